"""Python's `openai`, unchanged, against a running server: FATHOM_URL with the model FATHOM_MODEL. Ends with "N passed,
N failed"."""
import os
import sys
import time
import traceback
from typing import Literal

import openai
import pydantic

MODEL = os.environ["FATHOM_MODEL"]
MESSAGES = [{"role": "user", "content": "Say hello in one word."}]
client = openai.OpenAI(base_url=os.environ["FATHOM_URL"] + "/v1", api_key="none", max_retries=0)
greedy = {"model": MODEL, "temperature": 0, "max_tokens": 16}
tests = []


def test(function):
    tests.append(function)
    return function


@test
def chat_whole_and_streamed():
    whole = client.chat.completions.create(messages=MESSAGES, **greedy)
    assert whole.choices[0].message.content
    stream = client.chat.completions.create(messages=MESSAGES, stream=True, **greedy)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
    assert text == whole.choices[0].message.content


@test
def chat_prefix_is_continued():
    begun = [*MESSAGES, {"role": "assistant", "content": "Hel", "prefix": True}]
    assert client.chat.completions.create(messages=begun, **greedy).choices[0].message.content is not None


@test
def completions():
    whole = client.completions.create(prompt=["One, two, three,", "Red, green,"], logprobs=1, **greedy)
    assert [choice.index for choice in whole.choices] == [0, 1]
    assert len(whole.choices[0].logprobs.tokens) == len(whole.choices[0].logprobs.text_offset)
    try:
        client.completions.create(prompt="def f(", suffix="return 1", **greedy)
    except openai.BadRequestError as error:
        assert error.param == "suffix", error
    else:
        raise AssertionError("a model without the tokens filled a gap")


@test
def responses_whole_and_streamed():
    asked = {"model": MODEL, "temperature": 0, "max_output_tokens": 16, "input": MESSAGES}
    whole = client.responses.create(**asked)
    assert whole.output_text
    with client.responses.stream(**asked) as stream:
        events = list(stream)
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert events[-1].type in ("response.completed", "response.incomplete")
    assert events[-1].response.output_text == text == whole.output_text


class Weather(pydantic.BaseModel):
    city: Literal["Paris", "Seoul"]
    days: int


ASK_WEATHER = [{"role": "user", "content": "How is the weather in Seoul tomorrow?"}]


@test
def tools_are_called_and_answered():
    asked = greedy | {"max_tokens": 60, "tools": [openai.pydantic_function_tool(Weather)], "parallel_tool_calls": False}
    whole = client.chat.completions.parse(messages=ASK_WEATHER, tool_choice="required", **asked)
    call = whole.choices[0].message.tool_calls[0]
    assert isinstance(call.function.parsed_arguments, Weather)
    with client.chat.completions.stream(messages=ASK_WEATHER, tool_choice="required", **asked) as stream:
        kinds = {event.type for event in stream}
        streamed = stream.get_final_completion().choices[0].message.tool_calls[0]
    assert "tool_calls.function.arguments.delta" in kinds, kinds
    assert streamed.function.arguments == call.function.arguments
    turns = [*ASK_WEATHER, whole.choices[0].message.model_dump(exclude_none=True),
             {"role": "tool", "tool_call_id": call.id, "content": "Sunny."}]
    assert client.chat.completions.create(messages=turns, tool_choice="none", **asked).choices[0].message.content


@test
def answers_are_parsed():
    whole = client.chat.completions.parse(messages=ASK_WEATHER, response_format=Weather, **(greedy | {"max_tokens": 60}))
    assert isinstance(whole.choices[0].message.parsed, Weather)
    answer = client.responses.parse(model=MODEL, temperature=0, max_output_tokens=60, input=ASK_WEATHER, text_format=Weather)
    assert isinstance(answer.output_parsed, Weather)


@test
def errors():
    for fields, kind in (({"model": "none"}, openai.NotFoundError), ({"top_p": 7}, openai.UnprocessableEntityError)):
        try:
            client.chat.completions.create(messages=MESSAGES, **(greedy | fields))
        except kind:
            continue
        raise AssertionError(f"{fields}: expected {kind.__name__}")


def main():
    failed = 0
    for function in tests:
        begin = time.monotonic()
        try:
            function()
            print(f"ok      openai.py: {function.__name__} ({1000 * (time.monotonic() - begin):.0f} ms)")
        except Exception:
            failed += 1
            print(f"FAILED  openai.py: {function.__name__}")
            traceback.print_exc(file=sys.stdout)
    print(f"{len(tests) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
