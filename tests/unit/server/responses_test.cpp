#include <gtest/gtest.h>

#include "ask.h"
#include "server/responses_answer.h"
#include "server/responses_request.h"

namespace fathom::server {
namespace {

using files::Json;

constexpr const char* kResponsesPath = "/v1/responses";

Json chat_of_responses(std::string_view body) {
  const auto chat = responses_to_chat(Json::parse(body));
  EXPECT_TRUE(chat) << chat.error().message;
  return chat ? *chat : Json();
}

TEST(ResponsesRequest, BecomesAChat) {
  EXPECT_EQ(
      any_order(chat_of_responses(
          R"({"model":"m","input":"Hi","instructions":"be brief","max_output_tokens":7,"temperature":0.5,
                        "reasoning":{"effort":"low"},"store":true,"truncation":"auto","stream":true,"user":"u",
                        "include":["message.output_text.logprobs"],"top_logprobs":2,"metadata":{"a":"b"}})")),
      nlohmann::json::parse(R"({"model":"m","stream":true,"temperature":0.5,"top_logprobs":2,"user":"u","max_tokens":7,
                        "reasoning_effort":"low","logprobs":true,
                        "messages":[{"role":"system","content":"be brief"},{"role":"user","content":"Hi"}]})"));
}

TEST(ResponsesRequest, ItemsBecomeMessages) {
  const Json chat = chat_of_responses(R"({"input":[{"role":"developer","content":"d"},
    {"type":"message","role":"user","content":[{"type":"input_text","text":"a"},{"type":"input_text","text":"b"}]},
    {"type":"reasoning","id":"rs_1","summary":[],"content":[{"type":"reasoning_text","text":"why"}]},
    {"type":"message","role":"assistant","content":[{"type":"output_text","text":"I look","annotations":[]}]},
    {"type":"function_call","call_id":"c1","name":"find","arguments":"{\"x\":1}"},
    {"type":"function_call","call_id":"c2","name":"stop","arguments":"{}"},
    {"type":"function_call_output","call_id":"c1","output":"r"},
    {"type":"function_call_output","call_id":"c2","output":[{"type":"input_text","text":"s"}]},
    {"type":"reasoning","summary":[{"type":"summary_text","text":"short"}]},
    {"type":"function_call","call_id":"c3","name":"stop","arguments":"{}"},
    {"role":"assistant","content":"done"},{"role":"user","content":"more"}]})");
  EXPECT_EQ(chat["messages"], Json::parse(R"([{"role":"developer","content":"d"},{"role":"user","content":"a\nb"},
    {"role":"assistant","content":"I look","reasoning_content":"why","tool_calls":[
      {"id":"c1","type":"function","function":{"name":"find","arguments":"{\"x\":1}"}},
      {"id":"c2","type":"function","function":{"name":"stop","arguments":"{}"}}]},
    {"role":"tool","tool_call_id":"c1","content":"r"},{"role":"tool","tool_call_id":"c2","content":"s"},
    {"role":"assistant","content":null,"reasoning_content":"short","tool_calls":[
      {"id":"c3","type":"function","function":{"name":"stop","arguments":"{}"}}]},
    {"role":"assistant","content":"done"},{"role":"user","content":"more"}])"));
}

TEST(ResponsesRequest, ToolsAndFormats) {
  const Json chat = chat_of_responses(R"({"input":"x","parallel_tool_calls":false,
    "tools":[{"type":"function","name":"find","description":"finds","parameters":{"type":"object"},"strict":true}],
    "tool_choice":{"type":"function","name":"find"},
    "text":{"format":{"type":"json_schema","name":"n","schema":{"type":"object"},"strict":true}}})");
  EXPECT_EQ(chat["tools"], Json::parse(R"([{"type":"function","function":{"name":"find","description":"finds",
    "parameters":{"type":"object"},"strict":true}}])"));
  EXPECT_EQ(chat["tool_choice"], Json::parse(R"({"type":"function","function":{"name":"find"}})"));
  EXPECT_EQ(chat["parallel_tool_calls"], false);
  EXPECT_EQ(chat["response_format"], Json::parse(R"({"type":"json_schema","json_schema":{"name":"n",
    "schema":{"type":"object"},"strict":true}})"));
  EXPECT_EQ(chat_of_responses(R"({"input":"x","tool_choice":"required"})")["tool_choice"], "required");
  EXPECT_EQ(chat_of_responses(R"({"input":"x","text":{"format":{"type":"json_object"}}})")["response_format"],
            Json::parse(R"({"type":"json_object"})"));
}

TEST(ResponsesRequest, WhatCannotBeReadIsNamed) {
  struct Case {
    const char* body;
    const char* param;
  };
  for (const auto& [body, param] : std::initializer_list<Case>{
           {R"({})", "input"},
           {R"({"input":5})", "input"},
           {R"({"input":[5]})", "input[0]"},
           {R"({"input":[{"type":"item_reference","id":"x"}]})", "input[0]"},
           {R"({"input":[{"role":"tool","content":"x"}]})", "input[0].role"},
           {R"({"input":[{"role":"user"}]})", "input[0].content"},
           {R"({"input":[{"role":"user","content":[{"type":"input_image"}]}]})", "input[0].content[0]"},
           {R"({"input":[{"type":"function_call","name":"a","arguments":"{}"}]})", "input[0].call_id"},
           {R"({"input":[{"type":"function_call","call_id":"a","name":"a"}]})", "input[0].arguments"},
           {R"({"input":[{"type":"function_call_output","output":"x"}]})", "input[0].call_id"},
           {R"({"input":"x","tools":[{"type":"web_search"}]})", "tools[0]"},
           {R"({"input":"x","tool_choice":{"type":"mcp"}})", "tool_choice"},
           {R"({"input":"x","previous_response_id":"resp_1"})", "previous_response_id"},
           {R"({"input":"x","conversation":"conv_1"})", "conversation"},
           {R"({"input":"x","background":true})", "background"},
           {R"({"input":"x","text":5})", "text"},
           {R"({"input":"x","instructions":5})", "instructions"},
       }) {
    const auto chat = responses_to_chat(Json::parse(body));
    ASSERT_FALSE(chat) << body;
    EXPECT_EQ(chat.error().status, 400) << body;
    EXPECT_EQ(chat.error().param, param) << body;
    EXPECT_TRUE(chat.error().message.starts_with(param)) << chat.error().message;
  }
}

class ResponsesTest : public testing::Test {
 protected:
  Answer ask(std::string_view fields) {
    Json body = {{"input", "Hi"}};
    body.update(Json::parse(fields));
    return asker_.post(kResponsesPath, body);
  }

  std::shared_ptr<FakeModel> model_ = std::make_shared<FakeModel>("fake", 400);
  Asker asker_{{model_}};
};

TEST_F(ResponsesTest, AWholeResponse) {
  const Answer answer = ask(R"({"instructions":"Be brief","metadata":{"a":"b"},"temperature":0.5})");
  ASSERT_EQ(answer.status, 200) << answer.body;
  Json body = answer.json();
  const std::string id = body["id"];
  ASSERT_TRUE(id.starts_with("resp_"));
  EXPECT_EQ(body["output"], Json::array({{{"id", "msg_" + id.substr(5) + "_0"},
                                          {"type", "message"},
                                          {"status", "completed"},
                                          {"role", "assistant"},
                                          {"content", Json::array({{{"type", "output_text"},
                                                                    {"text", "Hello!"},
                                                                    {"annotations", Json::array()},
                                                                    {"logprobs", Json::array()}}})}}}));
  EXPECT_GT(body["created_at"], 1700000000);
  for (const char* name : {"id", "output", "created_at", "top_p"}) body.erase(name);
  EXPECT_EQ(any_order(body),
            nlohmann::json::parse(R"({"object":"response","status":"completed","error":null,"incomplete_details":null,
    "model":"fake","instructions":"Be brief","max_output_tokens":null,"metadata":{"a":"b"},"parallel_tool_calls":true,
    "previous_response_id":null,"reasoning":{},"temperature":0.5,"text":{"format":{"type":"text"}},
    "tool_choice":"auto","tools":[],"truncation":"disabled","user":null,"store":false,
    "usage":{"input_tokens":40,"input_tokens_details":{"cached_tokens":3},"output_tokens":7,
             "output_tokens_details":{"reasoning_tokens":0},"total_tokens":47}})"));
}

TEST_F(ResponsesTest, AThoughtIsAnItemOfItsOwn) {
  model_->say("<think>why</think>so");
  const Json body = ask(R"({"reasoning":{"effort":"high"}})").json();
  ASSERT_EQ(body["output"].size(), 2u);
  EXPECT_EQ(body["output"][0]["type"], "reasoning");
  EXPECT_EQ(body["output"][0]["summary"], Json::array());
  EXPECT_EQ(body["output"][0]["content"], Json::parse(R"([{"type":"reasoning_text","text":"why"}])"));
  EXPECT_EQ(body["output"][1]["content"][0]["text"], "so");
  EXPECT_GT(body["usage"]["output_tokens_details"]["reasoning_tokens"], 0);
}

std::vector<std::string> names_of(const std::vector<Event>& events) {
  std::vector<std::string> names;
  for (const Event& event : events) {
    EXPECT_EQ(event.name, event.data["type"]);
    EXPECT_EQ(event.data["sequence_number"], names.size());
    EXPECT_TRUE(event.name.starts_with("response.")) << event.name;
    names.push_back(event.name.substr(9));
  }
  return names;
}

TEST_F(ResponsesTest, AStreamBuildsItsItems) {
  model_->say("<think>y</think>s");
  const auto events = events_of(ask(R"({"stream":true})").body);
  EXPECT_EQ(names_of(events), (std::vector<std::string>{
                                  "created", "in_progress", "output_item.added", "content_part.added",
                                  "reasoning_text.delta", "reasoning_text.done", "content_part.done",
                                  "output_item.done", "output_item.added", "content_part.added", "output_text.delta",
                                  "output_text.done", "content_part.done", "output_item.done", "completed"}));
  EXPECT_EQ(events[0].data["response"]["status"], "in_progress");
  EXPECT_TRUE(events[0].data["response"].at("usage").is_null());
  EXPECT_EQ(events[2].data["item"]["status"], "in_progress");
  EXPECT_EQ(events[2].data["item"]["content"], Json::array());
  EXPECT_EQ(events[4].data["delta"], "y");
  EXPECT_EQ(events[10].data["delta"], "s");
  EXPECT_EQ(events[10].data["item_id"], events[8].data["item"]["id"]);
  EXPECT_EQ(events[10].data["output_index"], 1);
  EXPECT_EQ(events[10].data["content_index"], 0);
  EXPECT_EQ(events[11].data["text"], "s");
  EXPECT_EQ(events[12].data["part"]["text"], "s");
  EXPECT_EQ(events[13].data["item"]["status"], "completed");
  const Json& last = events[14].data["response"];
  EXPECT_EQ(last["status"], "completed");
  EXPECT_EQ(last["output"], Json::array({events[7].data["item"], events[13].data["item"]}));
  EXPECT_EQ(last["usage"]["output_tokens"], 5);
}

TEST_F(ResponsesTest, TheLimitOfTokensLeavesItIncomplete) {
  const Json body = ask(R"({"max_output_tokens":2})").json();
  EXPECT_EQ(body["status"], "incomplete");
  EXPECT_EQ(body["incomplete_details"], Json({{"reason", "max_output_tokens"}}));
  EXPECT_EQ(body["output"][0]["status"], "incomplete");
  const auto events = events_of(ask(R"({"max_output_tokens":2,"stream":true})").body);
  EXPECT_EQ(events.back().name, "response.incomplete");
}

TEST_F(ResponsesTest, LogprobsStandWithTheirText) {
  const Json part = ask(R"({"top_logprobs":1,"include":["message.output_text.logprobs"],"max_output_tokens":1})")
                        .json()["output"][0]["content"][0];
  ASSERT_EQ(part["logprobs"].size(), 1u);
  EXPECT_EQ(part["logprobs"][0]["token"], "H");
  EXPECT_EQ(part["logprobs"][0]["top_logprobs"][0]["token"], "H");
}

TEST_F(ResponsesTest, ErrorsAreInTheClientsWords) {
  const auto check = [](const Answer& answer, int status, const char* param) {
    EXPECT_EQ(answer.status, status) << answer.body;
    EXPECT_EQ(answer.json()["error"]["param"], param) << answer.body;
    EXPECT_TRUE(answer.json()["error"]["message"].get<std::string>().starts_with(param)) << answer.body;
  };
  check(ask(R"({"temperature":7})"), 400, "temperature");
  check(ask(R"({"max_output_tokens":0})"), 400, "max_output_tokens");
  check(ask(R"({"reasoning":{"effort":"wild"}})"), 400, "reasoning.effort");
  check(asker_.post(kResponsesPath, {{"input", Json::array()}}), 400, "input");
  check(asker_.post(kResponsesPath, {{"input", std::string(500, 'a')}}), 400, "input");
  EXPECT_EQ(ask(R"({"model":"none"})").status, 404);
}

TEST_F(ResponsesTest, AFailedRunSaysSo) {
  model_->engine().fails_with = "out of pages";
  EXPECT_EQ(ask("{}").status, 500);
  const auto events = events_of(ask(R"({"stream":true})").body);
  EXPECT_EQ(events.back().name, "response.failed");
  EXPECT_EQ(events.back().data["response"]["error"]["message"], "out of pages");
}

TEST(ResponsesAnswer, ToolCallsAreItems) {
  const tokens::Tokenizer tokenizer = byte_tokenizer();
  const auto stream = response_stream(
      {.id = "resp_1", .created = 5, .model = "m", .asked = repeated_fields(Json::object()), .tokenizer = &tokenizer});
  std::string text = stream->open();
  text += stream->write(0, {.tool_calls = {{.index = 0, .name = "find"}}});
  text += stream->write(0, {.tool_calls = {{.index = 0, .arguments = R"({"x":1})"}, {.index = 1, .name = "stop"}}});
  text += stream->write(0, {.tool_calls = {{.index = 1, .arguments = "{}"}}, .finish = engine::FinishReason::kStop});
  EXPECT_TRUE(stream->done());
  const auto events = events_of(text);
  EXPECT_EQ(names_of(events),
            (std::vector<std::string>{"created", "in_progress", "output_item.added", "function_call_arguments.delta",
                                      "function_call_arguments.done", "output_item.done", "output_item.added",
                                      "function_call_arguments.delta", "function_call_arguments.done",
                                      "output_item.done", "completed"}));
  EXPECT_EQ(events[2].data["item"], Json::parse(R"({"id":"fc_1_0","type":"function_call","status":"in_progress",
    "call_id":"call_1_0","name":"find","arguments":""})"));
  EXPECT_EQ(events[3].data["item_id"], "fc_1_0");
  EXPECT_EQ(events[4].data["arguments"], R"({"x":1})");
  EXPECT_EQ(events[9].data["item"], Json::parse(R"({"id":"fc_1_1","type":"function_call","status":"completed",
    "call_id":"call_1_1","name":"stop","arguments":"{}"})"));
  EXPECT_EQ(events[10].data["response"]["output"].size(), 2u);
}

}  // namespace
}  // namespace fathom::server
