#include <gtest/gtest.h>

#include "ask.h"
#include "server/messages_answer.h"
#include "server/messages_request.h"

namespace fathom::server {
namespace {

using files::Json;

constexpr const char* kMessagesPath = "/v1/messages";

Json chat_of_messages(std::string_view body) {
  const auto chat = messages_to_chat(Json::parse(body));
  EXPECT_TRUE(chat) << chat.error().message;
  return chat ? *chat : Json();
}

TEST(MessagesRequest, BecomesAChat) {
  EXPECT_EQ(any_order(chat_of_messages(
                R"({"model":"m","max_tokens":5,"system":"be brief","temperature":0.5,"top_k":3,"top_p":0.9,
                        "stream":true,"stop_sequences":["a"],"metadata":{"user_id":"u"},
                        "messages":[{"role":"user","content":"Hi"}]})")),
            nlohmann::json::parse(R"({"model":"m","max_tokens":5,"stream":true,"temperature":0.5,"top_p":0.9,"top_k":3,
                        "stop":["a"],"user":"u","thinking":{"type":"disabled"},
                        "messages":[{"role":"system","content":"be brief"},{"role":"user","content":"Hi"}]})"));
}

TEST(MessagesRequest, BlocksBecomeMessages) {
  const Json chat = chat_of_messages(R"({"system":[{"type":"text","text":"x-anthropic-billing-header: cc_version=1;"},
      {"type":"text","text":"a","cache_control":{"type":"ephemeral"}},{"type":"text","text":"b"}],
    "messages":[{"role":"user","content":[{"type":"text","text":"one"},{"type":"text","text":"two"}]},
      {"role":"assistant","content":[{"type":"text","text":"I look"},
        {"type":"tool_use","id":"toolu_1","name":"find","input":{"x":1}}]},
      {"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_1","content":[{"type":"text","text":"r"}]},
        {"type":"tool_result","tool_use_id":"toolu_2"},{"type":"text","text":"and?"}]}]})");
  EXPECT_EQ(chat["messages"], Json::parse(R"([{"role":"system","content":"a\nb"},
    {"role":"user","content":"one\ntwo"},
    {"role":"assistant","content":"I look","tool_calls":[{"id":"toolu_1","type":"function",
      "function":{"name":"find","arguments":"{\"x\":1}"}}]},
    {"role":"tool","tool_call_id":"toolu_1","content":"r"},{"role":"tool","tool_call_id":"toolu_2","content":""},
    {"role":"user","content":"and?"}])"));
}

TEST(MessagesRequest, ALastTurnOfTheAssistantIsContinued) {
  const Json chat =
      chat_of_messages(R"({"messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":"He"}]})");
  EXPECT_EQ(chat["messages"][1], Json::parse(R"({"role":"assistant","content":"He","prefix":true})"));
}

TEST(MessagesRequest, OnlyThoughtsOfThisServerComeBack) {
  Json body = Json::parse(R"({"messages":[{"role":"user","content":"Hi"},
    {"role":"assistant","content":[{"type":"thinking","thinking":"why"},{"type":"redacted_thinking","data":"x"},
      {"type":"text","text":"so"}]},{"role":"user","content":"And?"}]})");
  const auto reasoning = [&] {
    const auto chat = messages_to_chat(body);
    EXPECT_TRUE(chat);
    return (*chat)["messages"][1].value("reasoning_content", "(none)");
  };
  Json& block = body["messages"][1]["content"][0];
  EXPECT_EQ(reasoning(), "(none)");
  block["signature"] = "c29tZSBvdGhlciBzZXJ2ZXIncw==";
  EXPECT_EQ(reasoning(), "(none)");
  block["signature"] = signature_of("why");
  EXPECT_EQ(reasoning(), "why");
  block["thinking"] = "why not";  // signed another
  EXPECT_EQ(reasoning(), "(none)");
}

TEST(MessagesRequest, ToolsAndTheirChoice) {
  const auto with = [](std::string_view choice) {
    Json body = Json::parse(R"({"messages":[{"role":"user","content":"Hi"}],"tools":[{"name":"find",
      "description":"finds","input_schema":{"type":"object"}}]})");
    body["tool_choice"] = Json::parse(choice);
    const auto chat = messages_to_chat(body);
    EXPECT_TRUE(chat);
    return *chat;
  };
  EXPECT_EQ(any_order(with(R"({"type":"auto"})")["tools"]),
            nlohmann::json::parse(R"([{"type":"function","function":{"name":"find",
    "description":"finds","parameters":{"type":"object"}}}])"));
  EXPECT_EQ(with(R"({"type":"auto"})")["tool_choice"], "auto");
  EXPECT_EQ(with(R"({"type":"any"})")["tool_choice"], "required");
  EXPECT_EQ(with(R"({"type":"none"})")["tool_choice"], "none");
  const Json named = with(R"({"type":"tool","name":"find","disable_parallel_tool_use":true})");
  EXPECT_EQ(named["tool_choice"], Json::parse(R"({"type":"function","function":{"name":"find"}})"));
  EXPECT_EQ(named["parallel_tool_calls"], false);
}

TEST(MessagesRequest, ThinkingIsOffUnlessAskedFor) {
  const auto with = [](std::string_view fields) {
    Json body = Json::parse(R"({"messages":[{"role":"user","content":"Hi"}]})");
    body.update(Json::parse(fields));
    return *messages_to_chat(body);
  };
  EXPECT_EQ(with(R"({"thinking":{"type":"enabled","budget_tokens":2000}})")["thinking"],
            Json::parse(R"({"type":"enabled","budget_tokens":2000})"));
  EXPECT_EQ(with(R"({"thinking":{"type":"adaptive"}})")["thinking"]["type"], "enabled");
  EXPECT_EQ(with("{}")["thinking"]["type"], "disabled");
  const Json effort = with(R"({"output_config":{"effort":"high"}})");
  EXPECT_EQ(effort["reasoning_effort"], "high");
  EXPECT_FALSE(effort.contains("thinking"));
  EXPECT_EQ(
      with(R"({"output_config":{"format":{"type":"json_schema","schema":{"type":"object"}}}})")["response_format"],
      Json::parse(R"({"type":"json_schema","json_schema":{"name":"output","schema":{"type":"object"},
              "strict":true}})"));
}

TEST(MessagesRequest, WhatCannotBeReadIsNamed) {
  struct Case {
    const char* body;
    const char* param;
  };
  for (const auto& [body, param] : std::initializer_list<Case>{
           {R"({})", "messages"},
           {R"({"messages":[]})", "messages"},
           {R"({"messages":[5]})", "messages[0]"},
           {R"({"messages":[{"role":"system","content":"x"}]})", "messages[0].role"},
           {R"({"messages":[{"role":"user"}]})", "messages[0].content"},
           {R"({"messages":[{"role":"user","content":[{"type":"image"}]}]})", "messages[0].content[0]"},
           {R"({"messages":[{"role":"user","content":[{"type":"text"}]}]})", "messages[0].content[0].text"},
           {R"({"messages":[{"role":"user","content":[5]}]})", "messages[0].content[0]"},
           {R"({"messages":[{"role":"user","content":[{"type":"tool_result","content":"x"}]}]})",
            "messages[0].content[0].tool_use_id"},
           {R"({"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"b"}]}]})",
            "messages[0].content[0].input"},
           {R"({"system":5,"messages":[{"role":"user","content":"x"}]})", "system"},
           {R"({"tools":[{"type":"web_search_20250305"}],"messages":[{"role":"user","content":"x"}]})",
            "tools[0].type"},
           {R"({"tool_choice":{"type":"x"},"messages":[{"role":"user","content":"x"}]})", "tool_choice.type"},
           {R"({"thinking":{"type":"x"},"messages":[{"role":"user","content":"x"}]})", "thinking.type"},
           {R"({"stop_sequences":"x","messages":[{"role":"user","content":"x"}]})", "stop_sequences"},
       }) {
    const auto chat = messages_to_chat(Json::parse(body));
    ASSERT_FALSE(chat) << body;
    EXPECT_EQ(chat.error().param, param) << body;
    EXPECT_TRUE(chat.error().message.starts_with(param)) << chat.error().message;
  }
}

class MessagesTest : public testing::Test {
 protected:
  Answer ask(std::string_view fields) {
    Json body = {{"max_tokens", 100}, {"messages", Json::array({{{"role", "user"}, {"content", "Hi"}}})}};
    body.update(Json::parse(fields));
    return asker_.post(kMessagesPath, body);
  }

  std::shared_ptr<FakeModel> model_ = std::make_shared<FakeModel>("fake", 400);
  Asker asker_{{model_}};
};

TEST_F(MessagesTest, AWholeMessage) {
  for (const char* path : {"/v1/messages", "/anthropic/v1/messages", "/v1/messages?beta=true"}) {
    const Answer answer =
        asker_.post(path, {{"max_tokens", 9}, {"messages", Json::array({{{"role", "user"}, {"content", "Hi"}}})}});
    ASSERT_EQ(answer.status, 200) << answer.body;
    Json body = answer.json();
    EXPECT_TRUE(body["id"].get<std::string>().starts_with("msg_"));
    body.erase("id");
    EXPECT_EQ(body, Json::parse(R"({"type":"message","role":"assistant","model":"fake",
      "content":[{"type":"text","text":"Hello!"}],"stop_reason":"end_turn","stop_sequence":null,
      "usage":{"input_tokens":19,"cache_creation_input_tokens":0,"cache_read_input_tokens":3,"output_tokens":7}})"));
  }
}

TEST_F(MessagesTest, AThoughtIsABlockWithASignature) {
  model_->say("<think>why</think>so");
  const Json content = ask(R"({"thinking":{"type":"enabled","budget_tokens":1024}})").json()["content"];
  EXPECT_EQ(content, Json::array({{{"type", "thinking"}, {"thinking", "why"}, {"signature", signature_of("why")}},
                                  {{"type", "text"}, {"text", "so"}}}));
}

TEST_F(MessagesTest, AStreamOpensFillsAndClosesEveryBlock) {
  model_->say("<think>y</think>s");
  const Answer answer = ask(R"({"stream":true})");
  EXPECT_EQ(answer.content_type, "text/event-stream");
  EXPECT_EQ(answer.keep_alive, "event: ping\ndata: {\"type\":\"ping\"}\n\n");
  const auto events = events_of(answer.body);
  std::vector<std::string> names;
  for (const Event& event : events) {
    EXPECT_EQ(event.name, event.data["type"]);
    names.push_back(event.name);
  }
  EXPECT_EQ(names,
            (std::vector<std::string>{"message_start", "content_block_start", "content_block_delta",
                                      "content_block_delta", "content_block_stop", "content_block_start",
                                      "content_block_delta", "content_block_stop", "message_delta", "message_stop"}));
  const Json& message = events[0].data["message"];
  EXPECT_EQ(message["content"], Json::array());
  EXPECT_TRUE(message.at("stop_reason").is_null());
  EXPECT_EQ(message["usage"]["input_tokens"], 19);
  EXPECT_EQ(message["usage"]["cache_read_input_tokens"], 3);
  EXPECT_EQ(events[1].data, Json::parse(R"({"type":"content_block_start","index":0,
    "content_block":{"type":"thinking","thinking":"","signature":""}})"));
  EXPECT_EQ(events[2].data["delta"], Json::parse(R"({"type":"thinking_delta","thinking":"y"})"));
  EXPECT_EQ(events[3].data["delta"], Json({{"type", "signature_delta"}, {"signature", signature_of("y")}}));
  EXPECT_EQ(events[5].data, Json::parse(R"({"type":"content_block_start","index":1,
    "content_block":{"type":"text","text":""}})"));
  EXPECT_EQ(events[6].data["delta"], Json::parse(R"({"type":"text_delta","text":"s"})"));
  EXPECT_EQ(events[7].data, Json::parse(R"({"type":"content_block_stop","index":1})"));
  EXPECT_EQ(events[8].data, Json::parse(R"({"type":"message_delta","delta":{"stop_reason":"end_turn",
    "stop_sequence":null},"usage":{"input_tokens":19,"cache_creation_input_tokens":0,"cache_read_input_tokens":3,
    "output_tokens":5}})"));
}

// The deltas of two calls, the second without arguments, after a word.
std::vector<engine::AnswerDelta> deltas_with_calls() {
  return {{.content = "ok"},
          {.tool_calls = {{.index = 0, .name = "find"}}},
          {.tool_calls = {{.index = 0, .arguments = R"({"x":)"}}},
          {.tool_calls = {{.index = 0, .arguments = "1}"}, {.index = 1, .name = "stop"}}},
          {.tool_calls = {{.index = 1, .arguments = "{}"}},
           .finish = engine::FinishReason::kStop,
           .statistics = {.prompt_tokens = 9, .generated_tokens = 5}}};
}

TEST(MessagesAnswer, ToolCallsAreBlocksWhoseInputComesInPieces) {
  const auto stream = message_stream({.id = "msg_1", .model = "m"});
  std::string text = stream->open();
  for (const engine::AnswerDelta& delta : deltas_with_calls()) text += stream->write(0, delta);
  EXPECT_TRUE(stream->done());
  const auto events = events_of(text);
  ASSERT_EQ(events.size(), 13u) << text;
  EXPECT_EQ(events[4].data, Json::parse(R"({"type":"content_block_start","index":1,
    "content_block":{"type":"tool_use","id":"toolu_1_1","name":"find","input":{}}})"));
  EXPECT_EQ(events[5].data, Json::parse(R"({"type":"content_block_delta","index":1,
    "delta":{"type":"input_json_delta","partial_json":"{\"x\":"}})"));
  EXPECT_EQ(events[6].data["delta"]["partial_json"], "1}");
  EXPECT_EQ(events[7].name, "content_block_stop");
  EXPECT_EQ(events[8].data["content_block"]["name"], "stop");
  EXPECT_EQ(events[8].data["index"], 2);
  EXPECT_EQ(events[9].data["delta"]["partial_json"], "{}");
  EXPECT_EQ(events[11].data["delta"]["stop_reason"], "tool_use");
}

TEST(MessagesAnswer, ToolCallsOfAWholeMessage) {
  BlockResponse writer([&](const BlockAnswer& answer) { return whole_message({.id = "msg_1", .model = "m"}, answer); });
  for (const engine::AnswerDelta& delta : deltas_with_calls()) writer.add(0, delta);
  ASSERT_TRUE(writer.done());
  const Json body = Json::parse(writer.response().body);
  EXPECT_EQ(body["content"], Json::parse(R"([{"type":"text","text":"ok"},
    {"type":"tool_use","id":"toolu_1_1","name":"find","input":{"x":1}},
    {"type":"tool_use","id":"toolu_1_2","name":"stop","input":{}}])"));
  EXPECT_EQ(body["stop_reason"], "tool_use");
}

TEST_F(MessagesTest, TheReasonOfTheEndIsNamed) {
  EXPECT_EQ(ask(R"({"max_tokens":2})").json()["stop_reason"], "max_tokens");
  const Json stopped = ask(R"({"stop_sequences":["x","lo"]})").json();
  EXPECT_EQ(stopped["stop_reason"], "stop_sequence");
  EXPECT_EQ(stopped["stop_sequence"], "lo");
  EXPECT_EQ(stopped["content"][0]["text"], "Hel");
}

TEST_F(MessagesTest, APrefillReachesTheModel) {
  asker_.post(kMessagesPath,
              Json::parse(R"({"messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":"He"}]})"));
  EXPECT_EQ(model_->engine().runs().at(0)->prompt, model_->tokenizer().encode("[user] Hi\n[assistant] He", false));
}

TEST_F(MessagesTest, TokensAreCounted) {
  for (const char* path : {"/v1/messages/count_tokens", "/anthropic/v1/messages/count_tokens"}) {
    const Answer answer = asker_.post(path, Json::parse(R"({"messages":[{"role":"user","content":"Hi"}]})"));
    EXPECT_EQ(answer.body, R"({"input_tokens":22})");
  }
  EXPECT_EQ(asker_.post("/v1/messages/count_tokens", Json::object()).status, 400);
  EXPECT_TRUE(model_->engine().runs().empty());
}

TEST_F(MessagesTest, ErrorsHaveTheirOwnEnvelope) {
  const auto check = [](const Answer& answer, int status, const char* type) {
    EXPECT_EQ(answer.status, status) << answer.body;
    EXPECT_EQ(answer.json()["type"], "error");
    EXPECT_EQ(answer.json()["error"]["type"], type);
    EXPECT_FALSE(answer.json()["error"]["message"].get<std::string>().empty());
  };
  check(asker_.ask("POST", kMessagesPath, "{nonsense"), 400, "invalid_request_error");
  check(ask(R"({"messages":[]})"), 400, "invalid_request_error");
  check(ask(R"({"temperature":7})"), 400, "invalid_request_error");
  check(ask(R"({"model":"none"})"), 404, "not_found_error");
  const Answer stops = ask(R"({"stop_sequences":[""]})");
  check(stops, 400, "invalid_request_error");
  EXPECT_TRUE(stops.json()["error"]["message"].get<std::string>().starts_with("stop_sequences:")) << stops.body;
  check(Asker({model_}, "k").ask("POST", kMessagesPath, "{}"), 401, "authentication_error");
  model_->engine().full = true;
  check(ask("{}"), 503, "overloaded_error");
}

TEST_F(MessagesTest, AFailedRunEndsTheStreamWithAnError) {
  model_->engine().fails_with = "out of pages";
  const auto events = events_of(ask(R"({"stream":true})").body);
  EXPECT_EQ(events.back().name, "error");
  EXPECT_EQ(events.back().data,
            Json::parse(R"({"type":"error","error":{"type":"api_error","message":"out of pages"}})"));
  EXPECT_EQ(ask("{}").status, 500);
}

}  // namespace
}  // namespace fathom::server
