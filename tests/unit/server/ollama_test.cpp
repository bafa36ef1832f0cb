#include <gtest/gtest.h>

#include "ask.h"
#include "server/ollama_answer.h"
#include "server/ollama_request.h"

namespace fathom::server {
namespace {

using files::Json;

Json chat_of_ollama(std::string_view body) {
  const auto chat = ollama_chat_to_chat(Json::parse(body));
  EXPECT_TRUE(chat) << chat.error().message;
  return chat ? *chat : Json();
}

TEST(OllamaRequest, OptionsAndSwitchesGetTheirNames) {
  EXPECT_EQ(any_order(chat_of_ollama(
                R"({"model":"m","messages":[{"role":"user","content":"Hi"}],"stream":false,"keep_alive":"5m",
    "think":true,"format":"json","options":{"num_predict":7,"temperature":0.5,"top_k":3,"top_p":0.9,"min_p":0.1,
    "seed":4,"stop":["a"],"repeat_penalty":1.1,"frequency_penalty":0.1,"presence_penalty":0.2,"num_ctx":4096}})")),
            nlohmann::json::parse(R"({"model":"m","stream":false,"messages":[{"role":"user","content":"Hi"}],
    "thinking":{"type":"enabled"},"response_format":{"type":"json_object"},"max_tokens":7,"temperature":0.5,"top_k":3,
    "top_p":0.9,"min_p":0.1,"seed":4,"stop":["a"],"repetition_penalty":1.1,"frequency_penalty":0.1,
    "presence_penalty":0.2})"));
  const Json chat =
      chat_of_ollama(R"({"think":"low","format":{"type":"object"},"options":{"num_predict":-1,"seed":-1}})");
  EXPECT_EQ(chat["stream"], true);
  EXPECT_EQ(chat["reasoning_effort"], "low");
  EXPECT_EQ(chat["response_format"]["json_schema"]["schema"], Json({{"type", "object"}}));
  EXPECT_FALSE(chat.contains("max_tokens"));
  EXPECT_FALSE(chat.contains("seed"));
}

TEST(OllamaRequest, CallsAndResultsAreTiedTogether) {
  const Json chat = chat_of_ollama(R"({"tools":[{"type":"function","function":{"name":"find"}}],"messages":[
    {"role":"user","content":"Hi"},
    {"role":"assistant","content":"","thinking":"why","tool_calls":[{"function":{"name":"find","arguments":{"x":1}}},
      {"function":{"name":"stop"}}]},
    {"role":"tool","tool_name":"find","content":"r"},{"role":"tool","content":"s"},
    {"role":"assistant","content":"So"}]})");
  EXPECT_EQ(chat["tools"], Json::parse(R"([{"type":"function","function":{"name":"find"}}])"));
  EXPECT_EQ(chat["messages"], Json::parse(R"([{"role":"user","content":"Hi"},
    {"role":"assistant","content":"","reasoning_content":"why","tool_calls":[
      {"id":"call_0","type":"function","function":{"name":"find","arguments":"{\"x\":1}"}},
      {"id":"call_1","type":"function","function":{"name":"stop","arguments":"{}"}}]},
    {"role":"tool","content":"r","tool_call_id":"call_0"},{"role":"tool","content":"s","tool_call_id":"call_1"},
    {"role":"assistant","content":"So","prefix":true}])"));
}

class OllamaTest : public testing::Test {
 protected:
  Answer chat(std::string_view fields) {
    Json body = {{"messages", Json::array({{{"role", "user"}, {"content", "Hi"}}})}};
    body.update(Json::parse(fields));
    return asker_.post("/api/chat", body);
  }
  Answer generate(std::string_view body) { return asker_.post("/api/generate", Json::parse(body)); }

  std::shared_ptr<FakeModel> model_ = std::make_shared<FakeModel>("fake", 400);
  Asker asker_{{model_}};
};

void expect_statistics(const Json& last, int prompt, int answer) {
  EXPECT_EQ(last["done"], true);
  EXPECT_EQ(last["prompt_eval_count"], prompt);
  EXPECT_EQ(last["eval_count"], answer);
  for (const char* name : {"total_duration", "load_duration", "prompt_eval_duration", "eval_duration"})
    EXPECT_TRUE(last[name].is_number_integer()) << name;
}

TEST_F(OllamaTest, AChatStreamsLines) {
  model_->say("<think>y</think>so");
  const Answer answer = chat("{}");
  EXPECT_EQ(answer.content_type, "application/x-ndjson");
  const auto lines = lines_of(answer.body);
  ASSERT_EQ(lines.size(), 4u) << answer.body;
  EXPECT_EQ(lines[0]["message"], Json::parse(R"({"role":"assistant","content":"","thinking":"y"})"));
  EXPECT_EQ(lines[1]["message"], Json::parse(R"({"role":"assistant","content":"s"})"));
  EXPECT_EQ(lines[1]["done"], false);
  EXPECT_EQ(lines[1]["model"], "fake");
  EXPECT_TRUE(lines[1]["created_at"].get<std::string>().ends_with("Z"));
  EXPECT_EQ(lines[3]["message"]["content"], "");
  EXPECT_EQ(lines[3]["done_reason"], "stop");
  expect_statistics(lines[3], 22, 6);
  EXPECT_FALSE(lines_of(answer.keep_alive).at(0)["done"].get<bool>());
}

TEST_F(OllamaTest, AWholeChat) {
  model_->say("<think>y</think>so");
  const Json body = chat(R"({"stream":false,"model":"fake:latest"})").json();
  EXPECT_EQ(body["message"], Json::parse(R"({"role":"assistant","content":"so","thinking":"y"})"));
  expect_statistics(body, 22, 6);
  EXPECT_EQ(chat(R"({"stream":false,"options":{"num_predict":4}})").json()["done_reason"], "length");
}

TEST_F(OllamaTest, ATextIsGenerated) {
  const auto lines = lines_of(generate(R"({"prompt":"Hi","system":"s"})").body);
  ASSERT_EQ(lines.size(), 7u);
  EXPECT_EQ(lines[0]["response"], "H");
  EXPECT_FALSE(lines[0].contains("message"));
  EXPECT_EQ(lines[6]["response"], "");
  expect_statistics(lines[6], 33, 7);
  EXPECT_EQ(generate(R"({"prompt":"Hi","stream":false})").json()["response"], "Hello!");
}

TEST_F(OllamaTest, ARawTextIsContinuedAndAGapFilled) {
  generate(R"({"prompt":"Hi","raw":true,"stream":false})");
  EXPECT_EQ(model_->engine().runs().at(0)->prompt, (std::vector<tokens::TokenId>{'H', 'i'}));
  EXPECT_EQ(generate(R"({"prompt":"a","suffix":"b"})").status, 400);  // this one has no tokens for it
  auto coder = std::make_shared<FakeModel>(
      "coder", 200, std::vector<std::string>{"<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"});
  const Asker asker({coder});
  EXPECT_EQ(asker.post("/api/generate", {{"prompt", "a"}, {"suffix", "b"}, {"stream", false}}).json()["response"],
            "Hello!");
  EXPECT_EQ(coder->engine().runs().at(0)->prompt, (std::vector<tokens::TokenId>{259, 'a', 260, 'b', 261}));
  EXPECT_TRUE(asker.post("/api/show", Json::object()).json()["capabilities"].dump().contains("insert"));
}

TEST_F(OllamaTest, AnEmptyCallOnlyAsksForTheModel) {
  EXPECT_EQ(generate(R"({"model":"fake"})").json()["done_reason"], "load");
  EXPECT_EQ(generate(R"({"model":"fake","keep_alive":0})").json()["done_reason"], "unload");
  EXPECT_EQ(chat(R"({"messages":[]})").json()["done_reason"], "load");
  EXPECT_EQ(generate(R"({"model":"none"})").status, 404);
  EXPECT_TRUE(model_->engine().runs().empty());
}

TEST_F(OllamaTest, ModelsAreListedAndShown) {
  for (const char* path : {"/api/tags", "/api/ps"}) {
    const Json models = asker_.ask("GET", path).json()["models"];
    ASSERT_EQ(models.size(), 1u) << path;
    EXPECT_EQ(models[0]["name"], "fake");
    EXPECT_EQ(models[0]["model"], "fake");
  }
  EXPECT_EQ(asker_.ask("GET", "/api/tags").json()["models"][0]["modified_at"], "2023-11-14T22:13:20Z");
  EXPECT_EQ(asker_.ask("GET", "/api/ps").json()["models"][0]["context_length"], 400);
  const Json shown = asker_.post("/api/show", {{"model", "fake"}}).json();
  EXPECT_EQ(shown["capabilities"], Json::array({"completion", "thinking"}));
  EXPECT_EQ(shown["model_info"]["jinja.context_length"], 400);
  EXPECT_TRUE(shown["parameters"].get<std::string>().starts_with("temperature 0.6"));
  EXPECT_EQ(asker_.post("/api/show", {{"name", "none"}}).status, 404);
  EXPECT_EQ(asker_.ask("GET", "/api/version").json(), Json({{"version", "9.9"}}));
}

TEST_F(OllamaTest, ErrorsAreOneString) {
  const auto check = [](const Answer& answer, int status, std::string_view begin) {
    EXPECT_EQ(answer.status, status) << answer.body;
    ASSERT_TRUE(answer.json()["error"].is_string()) << answer.body;
    EXPECT_TRUE(answer.json()["error"].get<std::string>().starts_with(begin)) << answer.body;
  };
  check(asker_.ask("POST", "/api/chat", "{nonsense"), 400, "request body");
  check(chat(R"({"options":{"num_predict":0}})"), 400, "options.num_predict:");
  check(chat(R"({"options":{"temperature":5}})"), 400, "options.temperature:");
  check(chat(R"({"options":{"repeat_penalty":"x"}})"), 400, "options.repeat_penalty:");
  check(chat(R"({"think":5})"), 400, "think:");
  check(chat(R"({"think":"wild"})"), 400, "think:");
  check(chat(R"({"format":5})"), 400, "format:");
  check(chat(R"({"messages":[{"role":"user","content":"x","images":["abc"]}]})"), 400, "messages[0]");
  check(chat(R"({"messages":[{"role":"user","content":5}]})"), 400, "messages[0].content:");
  check(chat(R"({"messages":[{"role":"assistant","tool_calls":[{}]}]})"), 400, "messages[0].tool_calls[0].function:");
  check(generate(R"({"prompt":"x","template":"y"})"), 400, "template:");
  check(generate(R"({"prompt":"x","context":[1]})"), 400, "context:");
  check(generate(R"({"prompt":"x","raw":true,"format":"json"})"), 400, "format:");
  check(chat(R"({"model":"none"})"), 404, "no model");
  check(asker_.post("/api/show", {{"model", 5}}), 400, "model:");
  check(asker_.post("/api/chat", {{"model", 5}, {"messages", Json::array()}}), 400, "model:");
  check(asker_.post("/api/embed", Json::object()), 404, "no embeddings");
  check(Asker({model_}, "k").post("/api/chat", Json::object()), 401, "no API key");
  model_->engine().fails_with = "out of pages";
  check(chat(R"({"stream":false})"), 500, "out of pages");
  EXPECT_EQ(lines_of(chat("{}").body).back(), Json({{"error", "out of pages"}}));
}

TEST(OllamaAnswer, AToolCallIsOneLineWithAnObject) {
  const auto stream = ollama_stream({.model = "m"});
  std::string text = stream->write(0, {.tool_calls = {{.index = 0, .name = "find"}}});
  text += stream->write(0, {.tool_calls = {{.index = 0, .arguments = R"({"x":)"}}});
  text += stream->write(0, {.tool_calls = {{.index = 0, .arguments = "1}"}, {.index = 1, .name = "stop"}}});
  text += stream->write(0, {.tool_calls = {{.index = 1, .arguments = "{}"}}, .finish = engine::FinishReason::kStop});
  const auto lines = lines_of(text);
  ASSERT_EQ(lines.size(), 3u) << text;
  EXPECT_EQ(lines[0]["message"], Json::parse(R"({"role":"assistant","content":"",
    "tool_calls":[{"function":{"name":"find","arguments":{"x":1}}}]})"));
  EXPECT_EQ(lines[1]["message"]["tool_calls"][0]["function"]["name"], "stop");
  EXPECT_EQ(lines[2]["done"], true);
}

}  // namespace
}  // namespace fathom::server
