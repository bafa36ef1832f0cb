#!/usr/bin/env python3
"""server_test.py FATHOM MODEL

Starts `FATHOM serve MODEL --port 0`, drives it the way clients do, and ends with "N passed, N failed".
Standard library only.
"""
import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

from outcome import Outcome, expect, expect_equal

START_SECONDS = 120
ANSWER_SECONDS = 120
HI = [{"role": "user", "content": "Say hello in one word."}]
LONG = [{"role": "user", "content": "Count from one to two hundred in words, one after the other."}]

tests = []


def test(function):
    tests.append(function)
    return function


class Server:
    """A running `fathom serve`, its address taken from the line that it prints."""

    def __init__(self, fathom, model, *flags):
        self.log = tempfile.TemporaryFile()
        self.data = tempfile.TemporaryDirectory()
        self.process = subprocess.Popen([fathom, "serve", model, "--port", "0", *flags], stdout=subprocess.PIPE,
                                        stderr=self.log, text=True,
                                        env=os.environ | {"XDG_DATA_HOME": self.data.name})
        stuck = threading.Timer(START_SECONDS, self.process.kill)
        stuck.start()
        self.url = None
        for line in self.process.stdout:
            found = re.search(r"http://\S+", line)
            if found:
                self.url = found.group(0)
                break
        stuck.cancel()
        if self.url is None:
            self.log.seek(0)
            sys.exit(f"the server did not start:\n{self.log.read().decode(errors='replace')}")
        parts = urllib.parse.urlsplit(self.url)
        self.host, self.port = parts.hostname, parts.port

    def connect(self):
        return http.client.HTTPConnection(self.host, self.port, timeout=ANSWER_SECONDS)

    def ask(self, method, path, body=None, headers=None):
        """Status, headers and body (JSON where it is) of one request."""
        with contextlib.closing(self.connect()) as connection:
            text = body if body is None or isinstance(body, (str, bytes)) else json.dumps(body)
            connection.request(method, path, text, headers or {})
            reply = connection.getresponse()
            data = reply.read()
            with contextlib.suppress(ValueError):
                data = json.loads(data)
            return reply.status, dict(reply.getheaders()), data

    def chat(self, **fields):
        body = {"messages": HI, "max_tokens": 16, "temperature": 0} | fields
        return self.ask("POST", "/v1/chat/completions", body, {"Content-Type": "application/json"})

    def stream(self, **fields):
        """The JSON of every event of a stream, the last one "[DONE]"."""
        body = {"messages": HI, "max_tokens": 16, "temperature": 0, "stream": True} | fields
        with contextlib.closing(self.connect()) as connection:
            connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
            reply = connection.getresponse()
            expect_equal(reply.status, 200, "status of a stream")
            expect_equal(reply.getheader("content-type"), "text/event-stream", "type of a stream")
            text = reply.read().decode()
        events = [part for part in text.split("\n\n") if part and not part.startswith(":")]
        expect(all(event.startswith("data: ") for event in events), "every event is data")
        return [event[6:] if event == "data: [DONE]" else json.loads(event[6:]) for event in events]

    def cpu_seconds(self):
        fields = open(f"/proc/{self.process.pid}/stat").read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


def text_of(events):
    deltas = [event["choices"][0]["delta"] for event in events[:-1] if event["choices"]]
    return "".join(delta.get("content") or "" for delta in deltas)


@test
def health_and_version(server):
    status, _, body = server.ask("GET", "/health")
    expect_equal((status, body), (200, {"status": "ok"}), "/health")
    status, _, body = server.ask("GET", "/version")
    expect(status == 200 and body["version"], "/version")


@test
def models_are_listed(server):
    _, _, listed = server.ask("GET", "/v1/models")
    expect_equal(listed["object"], "list", "object of the list")
    name = listed["data"][0]["id"]
    status, _, one = server.ask("GET", "/v1/models/" + urllib.parse.quote(name, safe=""))
    expect_equal((status, one), (200, listed["data"][0]), "one model")
    expect_equal(server.ask("GET", "/models")[2], listed, "/models")


@test
def a_whole_answer(server):
    for path in ("/v1/chat/completions", "/chat/completions", "/beta/chat/completions"):
        status, headers, body = server.ask("POST", path, {"messages": HI, "max_tokens": 8})
        expect_equal(status, 200, path)
        expect_equal(headers["Content-Type"], "application/json", "type")
        expect_equal(body["object"], "chat.completion", "object")
        choice = body["choices"][0]
        expect_equal(choice["message"]["role"], "assistant", "role")
        expect(choice["finish_reason"] in ("stop", "length"), "finish_reason")
        usage = body["usage"]
        expect(0 < usage["completion_tokens"] <= 8, "completion_tokens")
        expect_equal(usage["total_tokens"], usage["prompt_tokens"] + usage["completion_tokens"], "total_tokens")
        expect_equal(usage["prompt_tokens"], usage["prompt_cache_hit_tokens"] + usage["prompt_cache_miss_tokens"],
                     "prompt_tokens")


@test
def a_stream_says_what_the_whole_answer_says(server):
    events = server.stream()
    whole = server.chat()[2]
    expect_equal(events[0]["choices"][0]["delta"], {"role": "assistant", "content": ""}, "first delta")
    expect_equal(events[-1], "[DONE]", "last event")
    expect_equal(text_of(events), whole["choices"][0]["message"]["content"], "text")
    expect(text_of(events).strip(), "the answer is not empty")
    last = events[-2]
    expect_equal(last["choices"][0]["finish_reason"], whole["choices"][0]["finish_reason"], "finish_reason")
    expect_equal(last["usage"]["completion_tokens"], whole["usage"]["completion_tokens"], "usage on the last chunk")
    expect_equal(len({event["id"] for event in events[:-1]}), 1, "ids of one stream")


@test
def include_usage_moves_it_to_a_chunk_without_choices(server):
    events = server.stream(stream_options={"include_usage": True})
    expect_equal(events[-2]["choices"], [], "choices of the last chunk")
    expect(events[-2]["usage"]["total_tokens"] > 0, "usage")
    expect(all(event["usage"] is None for event in events[:-2]), "no usage before")


@test
def the_same_seed_gives_the_same_answer(server):
    answers = [server.chat(temperature=1.2, seed=seed, max_tokens=24)[2]["choices"][0]["message"]["content"]
               for seed in (7, 7, 8, 9)]
    expect_equal(answers[0], answers[1], "the same seed")
    expect(len(set(answers)) > 1, "other seeds give other answers")


@test
def several_choices(server):
    body = server.chat(n=3, temperature=1.0, seed=3)[2]
    expect_equal([choice["index"] for choice in body["choices"]], [0, 1, 2], "indexes")
    expect(body["usage"]["completion_tokens"] > 3, "all choices count")


@test
def logprobs_are_sorted_and_below_zero(server):
    entries = server.chat(logprobs=True, top_logprobs=3)[2]["choices"][0]["logprobs"]["content"]
    expect(entries, "there are entries")
    for entry in entries:
        top = [other["logprob"] for other in entry["top_logprobs"]]
        expect_equal(len(top), 3, "number of alternatives")
        expect(top == sorted(top, reverse=True) and top[0] <= 0, f"sorted: {top}")
        expect(abs(entry["logprob"] - top[0]) < 1e-5, "at temperature 0 the likeliest is chosen")


@test
def stop_strings_end_the_answer_before_them(server):
    text = server.chat(max_tokens=24)[2]["choices"][0]["message"]["content"]
    stop = text[2:5]
    cut = server.chat(max_tokens=24, stop=[stop])[2]["choices"][0]
    expect_equal(cut["message"]["content"], text[:text.index(stop)], "text")
    expect_equal(cut["finish_reason"], "stop", "finish_reason")


@test
def a_bias_forbids_and_forces_tokens(server):
    token = server.ask("POST", "/tokenize", {"content": " Paris"})[2]["tokens"][0]
    forced = server.chat(max_tokens=3, logit_bias={str(token): 100})[2]["choices"][0]["message"]["content"]
    expect("Paris" in forced, f"forced: {forced!r}")


@test
def a_prefix_is_continued(server):
    messages = HI + [{"role": "assistant", "content": "One, two, three, four,", "prefix": True}]
    choice = server.chat(messages=messages, max_tokens=6)[2]["choices"][0]
    expect("five" in choice["message"]["content"].lower(), f"continued: {choice['message']['content']!r}")


@test
def tokens_there_and_back(server):
    text = "Hello, wörld! 안녕하세요 你好 <|im_end|>"
    tokens = server.ask("POST", "/tokenize", {"content": text})[2]["tokens"]
    expect_equal(server.ask("POST", "/detokenize", {"tokens": tokens})[2]["content"], text, "round trip")
    prompt = server.ask("POST", "/apply-template", {"messages": HI})[2]["prompt"]
    expect(HI[0]["content"] in prompt, "the template holds the message")
    count = server.ask("POST", "/tokenize", {"messages": HI})[2]["count"]
    expect_equal(server.chat()[2]["usage"]["prompt_tokens"], count, "tokens of the prompt")


@test
def errors_say_what_is_wrong(server):
    for fields, status, param in (({"temperature": 3}, 422, "temperature"), ({"max_tokens": 0}, 422, "max_tokens"),
                                  ({"n": 100}, 422, "n"), ({"messages": []}, 400, "messages"),
                                  ({"messages": [{"role": "nobody", "content": "x"}]}, 400, "messages"),
                                  ({"stream_options": {}}, 400, "stream_options"), ({"model": "none"}, 404, "model"),
                                  ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, 400,
                                   "tools[0].function.name"),
                                  ({"response_format": {"type": "xml"}}, 400, "response_format")):
        found, _, body = server.chat(**fields)
        expect_equal((found, body["error"]["param"]), (status, param), str(fields))
        expect_equal(set(body["error"]), {"message", "type", "param", "code"}, "fields of the error")
    for text in ("", "{", "[]", "null"):
        expect_equal(server.ask("POST", "/v1/chat/completions", text)[0], 400, repr(text))
    expect_equal(server.ask("GET", "/nothing")[0], 404, "an unknown path")
    expect_equal(server.ask("GET", "/v1/chat/completions")[0], 405, "a wrong method")


CITY = {"type": "object", "properties": {"city": {"type": "string", "maxLength": 20},
                                         "people": {"type": "integer", "minimum": 0, "maximum": 99999999},
                                         "kind": {"enum": ["town", "village"]}},
        "required": ["city", "people", "kind"], "additionalProperties": False}


def expect_city(text, what):
    city = json.loads(text)
    expect_equal(list(city), ["city", "people", "kind"], what)
    expect(isinstance(city["city"], str) and len(city["city"]) <= 20 and 0 <= city["people"] <= 99999999
           and city["kind"] in ("town", "village"), f"{what}: {text}")


@test
def answers_keep_to_a_schema(server):
    form = {"type": "json_schema", "json_schema": {"name": "city", "strict": True, "schema": CITY}}
    about = [{"role": "user", "content": "Tell me of Bonn."}]
    for temperature in (0, 1.5):
        choice = server.chat(messages=about, response_format=form, temperature=temperature, seed=3,
                             max_tokens=200)[2]["choices"][0]
        expect_equal(choice["finish_reason"], "stop", "the end of an object")
        expect_city(choice["message"]["content"], f"an answer at temperature {temperature}")
    text = server.chat(messages=about, guided_regex="[0-9]{3}", temperature=0)[2]["choices"][0]["message"]["content"]
    expect(len(text) == 3 and text.isdigit(), f"three digits: {text!r}")


@test
def a_required_tool_is_called(server):
    tool = {"type": "function", "function": {"name": "note_city", "description": "Notes a city.", "parameters": CITY}}
    about = [{"role": "user", "content": "Note the city of Bonn."}]
    fields = {"messages": about, "tools": [tool], "tool_choice": "required", "parallel_tool_calls": False,
              "temperature": 0, "max_tokens": 200}
    choice = server.chat(**fields)[2]["choices"][0]
    expect_equal(choice["finish_reason"], "tool_calls", "how a call ends")
    expect_equal(choice["message"]["content"], None, "no markup in the content")
    calls = choice["message"]["tool_calls"]
    expect_equal([(call["type"], call["function"]["name"]) for call in calls], [("function", "note_city")], "the call")
    expect_city(calls[0]["function"]["arguments"], "its arguments")

    chunks = server.stream(**fields)
    deltas = [delta for chunk in chunks[:-1] for c in chunk["choices"] for delta in c["delta"].get("tool_calls", [])]
    expect_equal((deltas[0]["index"], deltas[0]["type"], deltas[0]["function"]), (0, "function", {"name": "note_city", "arguments": ""}),
                 "the first delta of a call")
    expect(all("id" not in delta and delta["function"]["arguments"] for delta in deltas[1:]), "pieces of arguments")
    expect_equal("".join(delta["function"]["arguments"] for delta in deltas), calls[0]["function"]["arguments"],
                 "the same streamed")
    result = about + [choice["message"], {"role": "tool", "tool_call_id": calls[0]["id"], "content": "noted"}]
    status, _, body = server.chat(messages=result, tools=[tool], tool_choice="none", temperature=0, max_tokens=8)
    expect_equal(status, 200, f"the turn after a call: {body}")


@test
def a_prompt_beyond_the_context_names_the_numbers(server):
    limit = server.ask("GET", "/v1/models")[2]["data"][0]["context_length"]
    status, _, body = server.chat(messages=[{"role": "user", "content": "word " * (limit + 100)}])
    expect_equal((status, body["error"]["code"]), (400, "context_length_exceeded"), "overflow")
    expect(str(limit) in body["error"]["message"], body["error"]["message"])


@test
def strange_hosts_and_origins_are_refused(server):
    expect_equal(server.ask("GET", "/health", headers={"Host": "evil.example"})[0], 403, "a strange Host")
    expect_equal(server.ask("GET", "/health", headers={"Host": f"localhost:{server.port}"})[0], 200, "localhost")
    expect_equal(server.ask("GET", "/health", headers={"Origin": "https://evil.example"})[0], 403, "a strange Origin")
    own = {"Origin": server.url, "Host": f"127.0.0.1:{server.port}"}
    expect_equal(server.ask("GET", "/health", headers=own)[0], 200, "the page's own Origin")


@test
def a_connection_is_kept(server):
    with contextlib.closing(server.connect()) as connection:
        sockets = set()
        for _ in range(3):
            body = json.dumps({"messages": HI, "max_tokens": 4, "stream": True})
            connection.request("POST", "/v1/chat/completions", body)
            expect(connection.getresponse().read().endswith(b"data: [DONE]\n\n"), "a stream to its end")
            connection.request("GET", "/health")
            connection.getresponse().read()
            sockets.add(connection.sock.getsockname())
        expect_equal(len(sockets), 1, "connections used")


@test
def hanging_up_stops_the_work(server):
    body = json.dumps({"messages": LONG, "max_tokens": 1500, "ignore_eos": True, "stream": True})
    with socket.create_connection((server.host, server.port), timeout=ANSWER_SECONDS) as client:
        client.sendall(f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
                       f"{body}".encode())
        came = b""
        while b'"content":"' not in came.partition(b"role")[2].partition(b"\n\n")[2]:
            came += client.recv(65536)
    time.sleep(1.0)
    before = server.cpu_seconds()
    time.sleep(1.0)
    used = server.cpu_seconds() - before
    expect(used < 0.3, f"a second after the hang-up the server still computes: {used:.2f} s of CPU in one second")


@test
def streams_run_side_by_side(server):
    results = [None] * 4

    def run(i):
        results[i] = text_of(server.stream(max_tokens=24))

    threads = [threading.Thread(target=run, args=(i,)) for i in range(len(results))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expect(results[0] and all(result == results[0] for result in results), f"the same answer to all: {results}")


@test
def the_page_is_whole(server):
    status, headers, page = server.ask("GET", "/")
    expect_equal((status, headers["Content-Type"]), (200, "text/html; charset=utf-8"), "the page")
    expect("default-src 'self'" in headers["Content-Security-Policy"], "its policy")
    expect("script-src" not in headers["Content-Security-Policy"], "its policy is strict: no script of elsewhere or inline")
    names = re.findall(r'(?:src|href)="(/[^"#]+)"', page.decode())
    expect(len(names) >= 3, f"its files: {names}")
    for name in names:
        status, headers, data = server.ask("GET", name)
        expect_equal(status, 200, name)
        again = server.ask("GET", name, headers={"If-None-Match": headers["ETag"]})
        expect_equal((again[0], again[2]), (304, b""), f"{name} unchanged")


@test
def a_port_in_use_is_said(server):
    second = subprocess.run([server.process.args[0], "serve", server.process.args[2], "--port", str(server.port), "--no-chat"],
                            capture_output=True, text=True, timeout=START_SECONDS)
    expect(second.returncode != 0, "exit code")
    expect(f"port {server.port}" in second.stderr and "in use" in second.stderr, second.stderr)


@test
def a_conversation_goes_on_after_a_restart(server):
    messages = [{"role": "user", "content": "Tell me, in order, what a week's days are called, and why. " * 12}]
    fathom, model = server.process.args[0], server.process.args[2]
    with tempfile.TemporaryDirectory() as folder:
        flags = ("--cache-dir", folder, "--cache-disk", "1GB")
        before = Server(fathom, model, *flags)
        _, _, answer = before.chat(messages=messages)
        expect_equal(answer["usage"]["prompt_tokens_details"]["cached_tokens"], 0, "cached at first")
        before.stop()
        messages += [answer["choices"][0]["message"], {"role": "user", "content": "And the months?"}]
        after = Server(fathom, model, *flags)
        try:
            _, _, second = after.chat(messages=messages)
            usage = second["usage"]
            expect(usage["prompt_tokens_details"]["cached_tokens"] >= answer["usage"]["prompt_tokens"] // 64 * 64,
                   f"cached after a restart: {usage}")
        finally:
            after.stop()


@test
def with_a_key_only_health_and_the_page_are_open(server):
    locked = Server(server.process.args[0], server.process.args[2], "--api-key", "sk-test")
    try:
        expect_equal(locked.ask("GET", "/health")[0], 200, "/health")
        expect_equal(locked.ask("GET", "/")[0], 200, "the page")
        for method, path in (("GET", "/v1/models"), ("POST", "/v1/chat/completions"), ("POST", "/tokenize"),
                             ("GET", "/version"), ("GET", "/nothing")):
            expect_equal(locked.ask(method, path)[0], 401, path)
            expect_equal(locked.ask(method, path, headers={"Authorization": "Bearer sk-wrong"})[0], 401, path)
        expect_equal(locked.ask("GET", "/v1/models", headers={"Authorization": "Bearer sk-test"})[0], 200, "the key")
    finally:
        locked.stop()


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    server = Server(*sys.argv[1:])
    outcome = Outcome()
    for function in tests:
        outcome.attempt(function.__name__, lambda: function(server))
    outcome.attempt("it_stops", lambda: expect_equal(server.stop(), 0, "exit code"))
    outcome.end()


if __name__ == "__main__":
    main()
