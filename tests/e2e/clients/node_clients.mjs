// The clients that programs use, unchanged, against a running server: FATHOM_URL with the model FATHOM_MODEL, and
// FATHOM_THINKER_URL whose model thinks (what it thinks is noise). Ends with "N passed, N failed".
import assert from "node:assert/strict";
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";
import { Ollama } from "ollama";
import { createDeepSeek } from "@ai-sdk/deepseek";
import { generateText, jsonSchema, stepCountIs, streamText, tool } from "ai";
import { ChatDeepSeek } from "@langchain/deepseek";

const url = process.env.FATHOM_URL;
const model = process.env.FATHOM_MODEL;
const thinkerUrl = process.env.FATHOM_THINKER_URL;
const question = "Say hello in one word.";
const messages = [{ role: "user", content: question }];

const openai = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0 });
const anthropic = new Anthropic({ baseURL: url, apiKey: "none", maxRetries: 0 });
const ollama = new Ollama({ host: url });
const deepseek = createDeepSeek({ baseURL: url, apiKey: "none" });
const thinker = createDeepSeek({ baseURL: thinkerUrl, apiKey: "none" });
const greedy = { model, temperature: 0, max_tokens: 16 };

// A tool that every dialect is given: where the model must call it, what comes is held to its parameters.
const parameters = {
  type: "object",
  properties: { city: { type: "string", enum: ["Paris", "Seoul"] }, days: { type: "integer", minimum: 1, maximum: 3 } },
  required: ["city", "days"],
  additionalProperties: false,
};
const weather = { name: "weather", description: "The weather of the next days." };
const weatherQuestion = [{ role: "user", content: "How is the weather in Seoul tomorrow?" }];
function checkArguments(value) {
  assert.ok(["Paris", "Seoul"].includes(value.city), JSON.stringify(value));
  assert.ok(Number.isInteger(value.days) && value.days >= 1 && value.days <= 3, JSON.stringify(value));
}

const tests = {
  async "openai: a chat, whole and streamed, says the same"() {
    const whole = await openai.chat.completions.create({ ...greedy, messages });
    assert.equal(whole.choices[0].message.role, "assistant");
    assert.ok(whole.choices[0].message.content.length > 0);
    assert.equal(whole.usage.total_tokens, whole.usage.prompt_tokens + whole.usage.completion_tokens);
    let text = "";
    let usage;
    const stream = await openai.chat.completions.create({
      ...greedy, messages, stream: true, stream_options: { include_usage: true },
    });
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? "";
      usage = chunk.usage ?? usage;
    }
    assert.equal(text, whole.choices[0].message.content);
    assert.equal(usage.completion_tokens, whole.usage.completion_tokens);
  },
  async "openai: its own reader of streams"() {
    const stream = openai.chat.completions.stream({ ...greedy, messages });
    const done = await stream.finalChatCompletion();
    assert.ok(["stop", "length"].includes(done.choices[0].finish_reason));
  },
  async "openai: log-probabilities and several choices"() {
    const whole = await openai.chat.completions.create({
      ...greedy, messages, temperature: 1, n: 2, logprobs: true, top_logprobs: 2, max_tokens: 3, seed: 1,
    });
    assert.equal(whole.choices.length, 2);
    const token = whole.choices[1].logprobs.content[0];
    assert.equal(token.top_logprobs.length, 2);
    assert.ok(token.logprob <= 0);
  },
  async "openai: completions"() {
    const whole = await openai.completions.create({ ...greedy, prompt: "One, two, three,", logprobs: 1, echo: false });
    assert.ok(whole.choices[0].text.length > 0);
    assert.equal(whole.choices[0].logprobs.tokens.length, whole.usage.completion_tokens);
    let text = "";
    for await (const chunk of await openai.completions.create({ ...greedy, prompt: "One, two, three,", stream: true }))
      text += chunk.choices[0]?.text ?? "";
    assert.equal(text, whole.choices[0].text);
  },
  async "openai: a call, whole and streamed, its result and the answer"() {
    const tools = [{ type: "function", function: { ...weather, parameters, strict: true } }];
    const asked = { model, temperature: 0, max_tokens: 60, messages: weatherQuestion, tools, tool_choice: "required", parallel_tool_calls: false };
    const whole = await openai.chat.completions.create(asked);
    assert.equal(whole.choices[0].finish_reason, "tool_calls");
    const [call] = whole.choices[0].message.tool_calls;
    assert.equal(call.function.name, "weather");
    checkArguments(JSON.parse(call.function.arguments));
    const streamed = await openai.chat.completions.stream(asked).finalChatCompletion();
    assert.equal(streamed.choices[0].message.tool_calls[0].function.arguments, call.function.arguments);
    const answer = await openai.chat.completions.create({
      ...asked, tool_choice: "none",
      messages: [...weatherQuestion, whole.choices[0].message, { role: "tool", tool_call_id: call.id, content: "Sunny." }],
    });
    assert.ok(answer.choices[0].message.content.length > 0);
  },
  async "openai: its own loop of tools"() {
    let called;
    const runner = openai.chat.completions.runTools({
      model, temperature: 0, max_tokens: 60, messages: weatherQuestion,
      tool_choice: { type: "function", function: { name: "weather" } },
      tools: [{ type: "function", function: { ...weather, parameters, parse: JSON.parse, function: (value) => { called = value; return "Sunny."; } } }],
    });
    await runner.done();
    checkArguments(called);
  },
  async "openai: an answer by a schema"() {
    const done = await openai.chat.completions.parse({
      model, temperature: 0, max_tokens: 60, messages: weatherQuestion,
      response_format: { type: "json_schema", json_schema: { name: "weather", strict: true, schema: parameters } },
    });
    checkArguments(JSON.parse(done.choices[0].message.content));
  },
  async "openai: responses with a tool and with a schema"() {
    const asked = { model, temperature: 0, max_output_tokens: 60, input: weatherQuestion };
    const called = await openai.responses.create({
      ...asked, tools: [{ type: "function", ...weather, parameters, strict: true }], tool_choice: "required",
    });
    const call = called.output.find((item) => item.type === "function_call");
    checkArguments(JSON.parse(call.arguments));
    const answer = await openai.responses.create({
      ...asked, tools: [{ type: "function", ...weather, parameters, strict: true }], tool_choice: "none",
      input: [...weatherQuestion, ...called.output, { type: "function_call_output", call_id: call.call_id, output: "Sunny." }],
    });
    assert.ok(answer.output_text.length > 0);
    const parsed = await openai.responses.parse({
      ...asked, text: { format: { type: "json_schema", name: "weather", strict: true, schema: parameters } },
    });
    checkArguments(JSON.parse(parsed.output_text));
  },
  async "openai: models"() {
    const list = [];
    for await (const each of openai.models.list()) list.push(each.id);
    assert.deepEqual(list, [model]);
    assert.equal((await openai.models.retrieve(model)).id, model);
  },
  async "openai: responses, whole and streamed, say the same"() {
    const asked = { model, temperature: 0, max_output_tokens: 16, instructions: "Be brief.", input: question };
    const whole = await openai.responses.create(asked);
    assert.equal(whole.object, "response");
    assert.ok(whole.output_text.length > 0);
    const stream = openai.responses.stream(asked);
    let text = "";
    stream.on("response.output_text.delta", (event) => (text += event.delta));
    const done = await stream.finalResponse();
    assert.equal(text, whole.output_text);
    assert.equal(done.output_text, whole.output_text);
    assert.equal(done.usage.output_tokens, whole.usage.output_tokens);
  },
  async "openai: responses go on from the items of the last"() {
    const first = await openai.responses.create({ model, temperature: 0, max_output_tokens: 8, input: question });
    const second = await openai.responses.create({
      model, temperature: 0, max_output_tokens: 8,
      input: [{ role: "user", content: question }, ...first.output, { role: "user", content: "And goodbye." }],
    });
    assert.ok(second.usage.input_tokens > first.usage.input_tokens);
    await assert.rejects(openai.responses.create({ model, input: "x", previous_response_id: first.id }), (error) => {
      assert.equal(error.status, 400);
      assert.equal(error.param, "previous_response_id");
      return true;
    });
  },
  async "openai: errors have their class and field"() {
    await assert.rejects(openai.chat.completions.create({ model: "none", messages }), OpenAI.NotFoundError);
    await assert.rejects(openai.chat.completions.create({ model, messages, temperature: 9 }), (error) => {
      assert.ok(error instanceof OpenAI.UnprocessableEntityError);
      assert.equal(error.param, "temperature");
      return true;
    });
    await assert.rejects(openai.embeddings.create({ model, input: "x" }), OpenAI.NotFoundError);
  },
  async "anthropic: a message, whole and streamed, says the same"() {
    const asked = { ...greedy, system: "Be brief.", messages };
    const whole = await anthropic.messages.create(asked);
    assert.equal(whole.type, "message");
    assert.equal(whole.content[0].type, "text");
    const stream = anthropic.messages.stream(asked);
    let text = "";
    stream.on("text", (piece) => (text += piece));
    const done = await stream.finalMessage();
    assert.equal(text, whole.content[0].text);
    assert.deepEqual(done.content, whole.content);
    assert.equal(done.stop_reason, whole.stop_reason);
    assert.equal(done.usage.output_tokens, whole.usage.output_tokens);
  },
  async "anthropic: stop sequences, counts and errors"() {
    const counted = await anthropic.messages.countTokens({ model, messages });
    const whole = await anthropic.messages.create({ ...greedy, messages, max_tokens: 4 });
    assert.equal(counted.input_tokens, whole.usage.input_tokens + whole.usage.cache_read_input_tokens);
    assert.equal(whole.stop_reason === "max_tokens", whole.usage.output_tokens === 4);
    const letter = whole.content[0].text[1];
    const stopped = await anthropic.messages.create({ ...greedy, messages, stop_sequences: [letter] });
    assert.equal(stopped.stop_reason, "stop_sequence");
    assert.equal(stopped.stop_sequence, letter);
    await assert.rejects(anthropic.messages.create({ ...greedy, messages, temperature: 9 }), Anthropic.BadRequestError);
    await assert.rejects(anthropic.messages.create({ ...greedy, messages, model: "none" }), (error) => {
      assert.equal(error.error.error.type, "not_found_error");
      return true;
    });
  },
  async "anthropic: a tool is used, streamed, and its result goes back"() {
    const tools = [{ ...weather, input_schema: parameters }];
    const asked = { model, temperature: 0, max_tokens: 60, messages: weatherQuestion, tools, tool_choice: { type: "any", disable_parallel_tool_use: true } };
    const done = await anthropic.messages.stream(asked).finalMessage();
    assert.equal(done.stop_reason, "tool_use");
    const use = done.content.find((block) => block.type === "tool_use");
    assert.equal(use.name, "weather");
    checkArguments(use.input);
    const answer = await anthropic.messages.create({
      ...asked, tool_choice: { type: "none" },
      messages: [...weatherQuestion, { role: "assistant", content: done.content },
        { role: "user", content: [{ type: "tool_result", tool_use_id: use.id, content: "Sunny." }] }],
    });
    assert.equal(answer.content[0].type, "text");
  },
  async "anthropic: thoughts come signed and go back"() {
    const thinking = new Anthropic({ baseURL: thinkerUrl, apiKey: "none", maxRetries: 0 });
    const asked = { model: "thinker", max_tokens: 24, messages, thinking: { type: "enabled", budget_tokens: 1024 } };
    const done = await thinking.messages.stream(asked).finalMessage();
    assert.equal(done.content[0].type, "thinking");
    assert.ok(done.content[0].signature.length > 0);
    const again = await thinking.messages.create({
      ...asked,
      messages: [...messages, { role: "assistant", content: done.content }, { role: "user", content: "And?" }],
    });
    assert.equal(again.type, "message");
  },
  async "ollama: chat, generate, list"() {
    const options = { temperature: 0, num_predict: 16 };
    const whole = await ollama.chat({ model, messages, options });
    assert.ok(whole.message.content.length > 0);
    let text = "";
    let last;
    for await (const part of await ollama.chat({ model: `${model}:latest`, messages, options, stream: true })) {
      text += part.message.content;
      last = part;
    }
    assert.equal(text, whole.message.content);
    assert.equal(last.done, true);
    assert.equal(last.eval_count, whole.eval_count);
    assert.ok(last.total_duration > 0);
    assert.ok((await ollama.generate({ model, prompt: "One, two, three,", raw: true, options })).response.length > 0);
    assert.deepEqual((await ollama.list()).models.map((each) => each.name), [model]);
    assert.ok((await ollama.show({ model })).capabilities.includes("completion"));
    assert.equal((await ollama.ps()).models.length, 1);
    assert.ok((await ollama.version()).version);
    await assert.rejects(ollama.chat({ model: "none", messages }), /no model "none"/);
  },
  async "ollama: an answer by a schema, and tools offered"() {
    const options = { temperature: 0, num_predict: 60 };
    const whole = await ollama.chat({ model, messages: weatherQuestion, format: parameters, options });
    checkArguments(JSON.parse(whole.message.content));
    const offered = await ollama.chat({ model, messages: weatherQuestion, options, tools: [{ type: "function", function: { ...weather, parameters } }] });
    for (const call of offered.message.tool_calls ?? []) checkArguments(call.function.arguments);
    assert.ok(offered.message.tool_calls?.length > 0 || offered.message.content.length > 0);
  },
  async "ollama: thoughts"() {
    const thinking = new Ollama({ host: thinkerUrl });
    const whole = await thinking.chat({ model: "thinker", messages, think: true, options: { num_predict: 8 } });
    assert.ok(whole.message.thinking.length > 0);
  },
  async "ai-sdk: text, whole and streamed"() {
    const asked = { model: deepseek(model), prompt: question, temperature: 0, maxOutputTokens: 16, maxRetries: 0 };
    const whole = await generateText(asked);
    assert.ok(whole.text.length > 0);
    assert.ok(whole.usage.inputTokens > 0);
    const stream = streamText(asked);
    let text = "";
    for await (const piece of stream.textStream) text += piece;
    assert.equal(text, whole.text);
  },
  async "ai-sdk: a tool is called in a loop"() {
    let called;
    const tools = {
      weather: tool({ description: weather.description, inputSchema: jsonSchema(parameters), execute: (value) => { called = value; return "Sunny."; } }),
    };
    const asked = { model: deepseek(model), messages: weatherQuestion, temperature: 0, maxOutputTokens: 60, maxRetries: 0 };
    const done = await generateText({
      ...asked, tools, stopWhen: stepCountIs(2), prepareStep: ({ stepNumber }) => ({ toolChoice: stepNumber === 0 ? { type: "tool", toolName: "weather" } : "none" }),
    });
    checkArguments(called);
    assert.equal(done.steps[0].toolCalls[0].toolName, "weather");
    assert.equal(done.steps.length, 2);
    const kinds = new Set();
    for await (const part of streamText({ ...asked, tools, toolChoice: { type: "tool", toolName: "weather" } }).fullStream) kinds.add(part.type);
    assert.ok(kinds.has("tool-input-delta") && kinds.has("tool-call"), [...kinds].join(" "));
  },
  async "ai-sdk: reasoning parts"() {
    const asked = { model: thinker("thinker"), prompt: question, maxOutputTokens: 16, maxRetries: 0 };
    const whole = await generateText(asked);
    assert.ok(whole.reasoningText.length > 0);
    const kinds = new Set();
    for await (const part of streamText(asked).fullStream) kinds.add(part.type);
    assert.ok(kinds.has("reasoning-delta"), [...kinds].join(" "));
  },
  async "langchain: invoke and stream"() {
    const chat = new ChatDeepSeek({
      model, temperature: 0, maxTokens: 16, apiKey: "none", maxRetries: 0, configuration: { baseURL: url },
    });
    const whole = await chat.invoke(question);
    assert.ok(whole.content.length > 0);
    let text = "";
    for await (const piece of await chat.stream(question)) text += piece.content;
    assert.equal(text, whole.content);
  },
  async "langchain: a tool and a structured answer"() {
    const chat = new ChatDeepSeek({
      model, temperature: 0, maxTokens: 60, apiKey: "none", maxRetries: 0, configuration: { baseURL: url },
    });
    const bound = chat.bindTools([{ type: "function", function: { ...weather, parameters } }], { tool_choice: "required" });
    const called = await bound.invoke("How is the weather in Seoul tomorrow?");
    assert.equal(called.tool_calls[0].name, "weather");
    checkArguments(called.tool_calls[0].args);
    checkArguments(await chat.withStructuredOutput(parameters, { name: "weather" }).invoke("The weather in Seoul?"));
  },
  async "langchain: reasoning"() {
    const chat = new ChatDeepSeek({
      model: "thinker", maxTokens: 8, apiKey: "none", maxRetries: 0, configuration: { baseURL: thinkerUrl },
    });
    assert.ok((await chat.invoke(question)).additional_kwargs.reasoning_content.length > 0);
  },
};

let failed = 0;
for (const [name, run] of Object.entries(tests)) {
  const begin = Date.now();
  try {
    await run();
    console.log(`ok      ${name} (${Date.now() - begin} ms)`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED  ${name}\n${error.stack}`);
  }
}
console.log(`${Object.keys(tests).length - failed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
