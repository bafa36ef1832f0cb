#include <gtest/gtest.h>

#include "ask.h"

namespace fathom::server {
namespace {

using files::Json;

constexpr const char* kPath = "/v1/completions";

std::vector<tokens::TokenId> bytes(std::string_view text) {
  return byte_tokenizer().encode(text, false);
}

class CompletionsTest : public testing::Test {
 protected:
  Answer ask(std::string_view body) { return asker_.post(kPath, Json::parse(body)); }
  Json error(std::string_view body) { return ask(body).json()["error"]; }

  std::shared_ptr<FakeModel> model_ = std::make_shared<FakeModel>("fake", 200);
  Asker asker_{{model_}};
};

TEST_F(CompletionsTest, AWholeText) {
  const Answer answer = ask(R"({"prompt":"Say","max_tokens":50,"temperature":0})");
  ASSERT_EQ(answer.status, 200) << answer.body;
  Json body = answer.json();
  EXPECT_TRUE(body["id"].get<std::string>().starts_with("cmpl-"));
  EXPECT_EQ(body["object"], "text_completion");
  EXPECT_EQ(body["model"], "fake");
  EXPECT_EQ(body["system_fingerprint"], "fathom-9.9");
  EXPECT_EQ(body["choices"], Json::parse(R"([{"text":"Hello!","index":0,"logprobs":null,"finish_reason":"stop"}])"));
  EXPECT_EQ(body["usage"]["prompt_tokens"], 3);
  EXPECT_EQ(body["usage"]["completion_tokens"], 7);
  EXPECT_EQ(model_->engine().runs().at(0)->prompt, bytes("Say"));
}

TEST_F(CompletionsTest, EveryPathAnswersTheSame) {
  for (const char* path : {"/completions", "/v1/completions", "/beta/completions"})
    EXPECT_EQ(asker_.post(path, {{"prompt", "x"}}).json()["choices"][0]["text"], "Hello!") << path;
}

TEST_F(CompletionsTest, AStreamInDeepSeeksShape) {
  const Answer answer = ask(R"({"prompt":"Say","stream":true,"max_tokens":2})");
  EXPECT_EQ(answer.content_type, "text/event-stream");
  const auto events = events_of(answer.body);
  ASSERT_EQ(events.size(), 3u) << answer.body;
  EXPECT_EQ(events[0].data["object"], "text_completion");
  EXPECT_EQ(events[0].data["choices"], Json::parse(R"([{"text":"H","index":0,"logprobs":null,"finish_reason":null}])"));
  EXPECT_EQ(events[1].data["choices"],
            Json::parse(R"([{"text":"e","index":0,"logprobs":null,"finish_reason":"length"}])"));
  EXPECT_EQ(events[1].data["usage"]["total_tokens"], 5);
  EXPECT_EQ(events[2].data, "[DONE]");
}

TEST_F(CompletionsTest, IncludeUsageGivesAChunkOfItsOwn) {
  const auto events = events_of(ask(R"({"prompt":"Say","stream":true,"stream_options":{"include_usage":true}})").body);
  ASSERT_EQ(events.size(), 9u);
  EXPECT_TRUE(events[6].data.at("usage").is_null());
  EXPECT_EQ(events[6].data["choices"][0]["finish_reason"], "stop");
  EXPECT_EQ(events[7].data["choices"], Json::array());
  EXPECT_EQ(events[7].data["usage"]["completion_tokens"], 7);
}

TEST_F(CompletionsTest, ThoughtsAndControlTokensAreTextHere) {
  model_->say("<think>a</think>\n\nb");
  EXPECT_EQ(ask(R"({"prompt":"x"})").json()["choices"][0]["text"], "<think>a</think>\n\nb");
  // In the prompt they are a person's words, never tokens.
  ask(R"({"prompt":"<think>"})");
  EXPECT_EQ(model_->engine().runs().back()->prompt, bytes("<think>"));
}

TEST_F(CompletionsTest, PromptsAreTextsOrIdsOneOrMany) {
  const Json two = ask(R"({"prompt":["ab","c"],"n":2,"echo":true,"seed":4})").json();
  ASSERT_EQ(two["choices"].size(), 4u);
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(two["choices"][static_cast<std::size_t>(i)]["index"], i);
    EXPECT_EQ(two["choices"][static_cast<std::size_t>(i)]["text"], i < 2 ? "abHello!" : "cHello!");
  }
  EXPECT_EQ(two["usage"]["prompt_tokens"], 3);  // each prompt once
  EXPECT_EQ(two["usage"]["completion_tokens"], 28);
  auto runs = model_->engine().runs();
  ASSERT_EQ(runs.size(), 4u);
  EXPECT_EQ(runs[1]->sampling.seed, 5u);
  EXPECT_EQ(runs[2]->sampling.seed, 4u);

  EXPECT_EQ(ask(R"({"prompt":[72,256],"echo":true})").json()["choices"][0]["text"], "H<|end|>Hello!");
  EXPECT_EQ(model_->engine().runs().back()->prompt, (std::vector<tokens::TokenId>{72, kEnd}));
  EXPECT_EQ(ask(R"({"prompt":[[72],[73,74]]})").json()["choices"].size(), 2u);
}

TEST_F(CompletionsTest, EchoComesFirstInAStream) {
  const auto events = events_of(ask(R"({"prompt":"Say: ","echo":true,"stream":true})").body);
  EXPECT_EQ(events[0].data["choices"][0]["text"], "Say: ");
  EXPECT_EQ(events[1].data["choices"][0]["text"], "H");
}

TEST_F(CompletionsTest, LogprobsAreParallelLists) {
  model_->engine().says = {'H', 0xc3, 0xa9};  // a letter, and one in two tokens
  const Json logprobs = ask(R"({"prompt":"x","logprobs":2})").json()["choices"][0]["logprobs"];
  EXPECT_EQ(logprobs["tokens"], Json::array({"H", "bytes:\\xc3", "bytes:\\xa9"}));
  EXPECT_EQ(logprobs["token_logprobs"], Json::array({-0.5, -0.5, -0.5}));
  EXPECT_EQ(logprobs["text_offset"], Json::array({0, 1, 2}));
  EXPECT_EQ(logprobs["top_logprobs"][0], Json({{"H", -0.5}, {"I", -1.5}}));
  const Json bare = ask(R"({"prompt":"x","logprobs":0})").json()["choices"][0]["logprobs"];
  EXPECT_EQ(bare["tokens"].size(), 3u);
  EXPECT_TRUE(bare["top_logprobs"][0].is_null());
}

TEST_F(CompletionsTest, StopStringsEndAText) {
  const Json choice = ask(R"({"prompt":"x","stop":["lo"]})").json()["choices"][0];
  EXPECT_EQ(choice["text"], "Hel");
  EXPECT_EQ(choice["finish_reason"], "stop");
}

TEST_F(CompletionsTest, AGapIsFilledByModelsThatHaveTheTokens) {
  const Json refused = error(R"({"prompt":"a","suffix":"b"})");
  EXPECT_EQ(refused["param"], "suffix");
  EXPECT_TRUE(refused["message"].get<std::string>().contains("fake has no tokens"));
  for (const auto& [begin, hole, end] : {std::array{"<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"},
                                         std::array{"<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"}}) {
    auto coder = std::make_shared<FakeModel>("coder", 200, std::vector<std::string>{begin, hole, end});
    const Answer answer = Asker({coder}).post(kPath, {{"prompt", "a"}, {"suffix", "b"}});
    EXPECT_EQ(answer.json()["choices"][0]["text"], "Hello!");
    // The fake's further control tokens have the ids after its own three.
    EXPECT_EQ(coder->engine().runs().at(0)->prompt, (std::vector<tokens::TokenId>{259, 'a', 260, 'b', 261}));
    Asker({coder}).post(kPath, {{"prompt", "a"}, {"suffix", ""}});
    EXPECT_EQ(coder->engine().runs().at(1)->prompt, bytes("a"));
  }
}

TEST_F(CompletionsTest, WhatIsWrongIsNamed) {
  struct Case {
    const char* body;
    int status;
    const char* param;
  };
  for (const auto& [body, status, param] : std::initializer_list<Case>{
           {R"({})", 422, "prompt"},
           {R"({"prompt":5})", 422, "prompt"},
           {R"({"prompt":[]})", 422, "prompt"},
           {R"({"prompt":[null]})", 422, "prompt"},
           {R"({"prompt":[1,"a"]})", 422, "prompt"},
           {R"({"prompt":[-1]})", 422, "prompt"},
           {R"({"prompt":[259]})", 422, "prompt"},
           {R"({"prompt":[1.5]})", 422, "prompt"},
           {R"({"prompt":[[]]})", 422, "prompt"},
           {R"({"prompt":""})", 400, "prompt"},
           {R"({"prompt":[1],"suffix":"b"})", 400, "suffix"},
           {R"({"prompt":"a","suffix":1})", 422, "suffix"},
           {R"({"prompt":"a","logprobs":21})", 422, "logprobs"},
           {R"({"prompt":"a","logprobs":true})", 422, "logprobs"},
           {R"({"prompt":"a","echo":1})", 422, "echo"},
           {R"({"prompt":"a","echo":true,"logprobs":1})", 400, "echo"},
           {R"({"prompt":"a","best_of":3})", 400, "best_of"},
           {R"({"prompt":"a","temperature":3})", 422, "temperature"},
           {R"({"prompt":"a","stream_options":{}})", 400, "stream_options"},
           {R"({"prompt":"a","model":"b"})", 404, "model"},
       }) {
    const Answer answer = ask(body);
    EXPECT_EQ(answer.status, status) << body << answer.body;
    EXPECT_EQ(answer.json()["error"]["param"], param) << body;
  }
  EXPECT_EQ(asker_.post(kPath, {{"prompt", std::vector<std::string>(65, "a")}}).status, 422);
  EXPECT_EQ(asker_.post(kPath, {{"prompt", std::vector<std::string>(10, "a")}, {"n", 8}}).status, 422);
  EXPECT_TRUE(model_->engine().runs().empty());
}

TEST_F(CompletionsTest, APromptBeyondTheContextNamesTheNumbers) {
  const Answer answer = asker_.post(kPath, {{"prompt", std::string(300, 'a')}});
  EXPECT_EQ(answer.status, 400);
  const Json error = answer.json()["error"];
  EXPECT_EQ(error["code"], "context_length_exceeded");
  EXPECT_EQ(error["param"], "prompt");
  for (const char* number : {"300", "200", "199", "101"})
    EXPECT_TRUE(error["message"].get<std::string>().contains(number)) << error["message"];
}

TEST_F(CompletionsTest, AFailedRunIsAnError) {
  model_->engine().fails_with = "out of pages";
  EXPECT_EQ(ask(R"({"prompt":"x"})").status, 500);
  const auto events = events_of(ask(R"({"prompt":"x","stream":true})").body);
  EXPECT_EQ(events[events.size() - 2].data["error"]["message"], "out of pages");
  EXPECT_EQ(events.back().data, "[DONE]");
}

}  // namespace
}  // namespace fathom::server
