#include "server/chat_answer.h"

#include <gtest/gtest.h>

#include "fake_model.h"

namespace fathom::server {
namespace {

using engine::AnswerDelta;
using engine::FinishReason;
using files::Json;

AnswerDelta reasoning(std::string text) {
  return {.reasoning = std::move(text)};
}
AnswerDelta content(std::string text) {
  return {.content = std::move(text)};
}

AnswerDelta last(FinishReason finish) {
  return {.finish = finish,
          .statistics = {.prompt_tokens = 10, .cached_tokens = 4, .generated_tokens = 7},
          .reasoning_tokens = 2};
}

// The JSON of each event; "[DONE]" as a string. Whatever is not an event is a failure.
std::vector<Json> events(std::string_view text) {
  std::vector<Json> result;
  while (!text.empty()) {
    const auto end = text.find("\n\n");
    EXPECT_NE(end, std::string_view::npos);
    EXPECT_TRUE(text.starts_with("data: "));
    const std::string_view data = text.substr(6, end - 6);
    result.push_back(data == "[DONE]" ? Json("[DONE]") : Json::parse(data));
    text.remove_prefix(end + 2);
  }
  return result;
}

class ChatAnswerTest : public testing::Test {
 protected:
  AnswerHead head() const {
    return {.id = "chatcmpl-1", .created = 1700000000, .model = "fake", .fingerprint = "fathom-test"};
  }
  std::string play(AnswerHead answer_head, const std::vector<AnswerDelta>& deltas) {
    ChunkWriter writer(std::move(answer_head), tokenizer_);
    std::string text = writer.open();
    for (const AnswerDelta& delta : deltas) text += writer.write(0, delta);
    EXPECT_TRUE(writer.done());
    return text;
  }
  tokens::Tokenizer tokenizer_ = byte_tokenizer();
};

const Json kUsage = Json::parse(R"({"prompt_tokens":10,"completion_tokens":7,"total_tokens":17,
  "prompt_cache_hit_tokens":4,"prompt_cache_miss_tokens":6,"prompt_tokens_details":{"cached_tokens":4},
  "completion_tokens_details":{"reasoning_tokens":2}})");

TEST_F(ChatAnswerTest, AStreamInDeepSeeksShapeByteForByte) {
  const std::string expected =
      R"(data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"fake",)"
      R"("system_fingerprint":"fathom-test","choices":[{"index":0,"delta":{"role":"assistant","content":""},)"
      R"("logprobs":null,"finish_reason":null}]})"
      "\n\n"
      R"(data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"fake",)"
      R"("system_fingerprint":"fathom-test","choices":[{"index":0,"delta":{"content":null,"reasoning_content":"hm"},)"
      R"("logprobs":null,"finish_reason":null}]})"
      "\n\n"
      R"(data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"fake",)"
      R"("system_fingerprint":"fathom-test","choices":[{"index":0,"delta":{"content":"Hi"},)"
      R"("logprobs":null,"finish_reason":null}]})"
      "\n\n"
      R"(data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"fake",)"
      R"("system_fingerprint":"fathom-test","choices":[{"index":0,"delta":{"content":""},)"
      R"("logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":7,)"
      R"("total_tokens":17,"prompt_cache_hit_tokens":4,"prompt_cache_miss_tokens":6,)"
      R"("prompt_tokens_details":{"cached_tokens":4},"completion_tokens_details":{"reasoning_tokens":2}}})"
      "\n\ndata: [DONE]\n\n";
  EXPECT_EQ(play(head(), {reasoning("hm"), content("Hi"), last(FinishReason::kStop)}), expected);
}

TEST_F(ChatAnswerTest, IncludeUsageGivesItOnAChunkOfItsOwn) {
  AnswerHead asked = head();
  asked.include_usage = true;
  const auto list = events(play(asked, {content("Hi"), last(FinishReason::kLength)}));
  ASSERT_EQ(list.size(), 5u);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(list[static_cast<std::size_t>(i)].at("usage").is_null());
  EXPECT_EQ(list[2]["choices"][0]["finish_reason"], "length");
  EXPECT_EQ(list[3]["choices"], Json::array());
  EXPECT_EQ(list[3]["usage"], kUsage);
  EXPECT_EQ(list[4], "[DONE]");
}

TEST_F(ChatAnswerTest, OneDeltaWithBothKindsBecomesTwoChunksReasoningFirst) {
  const auto list = events(play(head(), {{.reasoning = "so", .content = "yes"}, last(FinishReason::kStop)}));
  ASSERT_EQ(list.size(), 5u);
  EXPECT_EQ(list[1]["choices"][0]["delta"]["reasoning_content"], "so");
  EXPECT_EQ(list[2]["choices"][0]["delta"]["content"], "yes");
}

TEST_F(ChatAnswerTest, TheLastTextStandsBeforeTheFinish) {
  AnswerDelta end = last(FinishReason::kStop);
  end.content = "!";
  const auto list = events(play(head(), {end}));
  ASSERT_EQ(list.size(), 4u);
  EXPECT_EQ(list[1]["choices"][0]["delta"]["content"], "!");
  EXPECT_TRUE(list[1]["choices"][0]["finish_reason"].is_null());
  EXPECT_EQ(list[2]["choices"][0]["finish_reason"], "stop");
}

TEST_F(ChatAnswerTest, SeveralChoicesShareOneUsageOnTheLastFinish) {
  AnswerHead two = head();
  two.choices = 2;
  ChunkWriter writer(two, tokenizer_);
  std::string text = writer.open() + writer.write(1, content("b")) + writer.write(0, content("a")) +
                     writer.write(1, last(FinishReason::kStop));
  EXPECT_FALSE(writer.done());
  text += writer.write(0, last(FinishReason::kStop));
  EXPECT_TRUE(writer.done());
  const auto list = events(text);
  ASSERT_EQ(list.size(), 7u);
  EXPECT_EQ(list[0]["choices"][0]["index"], 0);
  EXPECT_EQ(list[1]["choices"][0]["index"], 1);
  EXPECT_EQ(list[2]["choices"][0]["index"], 1);
  EXPECT_FALSE(list[4].contains("usage"));
  EXPECT_EQ(list[5]["choices"][0]["index"], 0);
  EXPECT_EQ(list[5]["usage"]["completion_tokens"], 14);
  EXPECT_EQ(list[5]["usage"]["prompt_tokens"], 10);
}

TEST_F(ChatAnswerTest, ACancelledRunSaysSoAndAFailedOneIsAnError) {
  const auto cancelled = events(play(head(), {last(FinishReason::kCancelled)}));
  EXPECT_EQ(cancelled[1]["choices"][0]["finish_reason"], "insufficient_system_resource");
  AnswerDelta failed = last(FinishReason::kFailed);
  failed.error = "out of pages";
  const auto list = events(play(head(), {content("par"), failed}));
  ASSERT_EQ(list.size(), 4u);
  EXPECT_EQ(list[2]["error"]["message"], "out of pages");
  EXPECT_EQ(list[2]["error"]["type"], "server_error");
  EXPECT_EQ(list[3], "[DONE]");
}

TEST_F(ChatAnswerTest, LogprobsAreKeptApartAndWaitForTheirText) {
  AnswerHead asked = head();
  asked.logprobs = true;
  const engine::AnswerToken thought{.id = 'h', .logprob = -0.25f, .reasoning = true};
  const engine::AnswerToken half{.id = 0xed, .logprob = -0.5f, .top = {{0xed, -0.5f}, {'x', -2.f}}};
  const engine::AnswerToken rest{.id = 'y', .logprob = -1.f};
  const auto list = events(play(asked, {{.reasoning = "h", .tokens = {thought}},
                                        {.tokens = {half}},
                                        {.content = "y", .tokens = {rest}},
                                        {.tokens = {rest}, .finish = FinishReason::kLength}}));
  ASSERT_EQ(list.size(), 5u);
  const Json first = list[1]["choices"][0]["logprobs"];
  EXPECT_TRUE(first["content"].is_null());
  EXPECT_EQ(first["reasoning_content"][0]["token"], "h");
  EXPECT_EQ(first["reasoning_content"][0]["bytes"], Json::array({'h'}));
  const Json second = list[2]["choices"][0]["logprobs"];
  ASSERT_EQ(second["content"].size(), 2u);
  EXPECT_EQ(second["content"][0]["bytes"], Json::array({0xed}));
  EXPECT_EQ(second["content"][0]["token"], "\xef\xbf\xbd");  // not a character by itself
  EXPECT_EQ(second["content"][0]["top_logprobs"][1]["token"], "x");
  EXPECT_EQ(second["content"][1]["logprob"], -1.0);
  EXPECT_EQ(list[3]["choices"][0]["logprobs"]["content"].size(), 1u);
}

TEST_F(ChatAnswerTest, AWholeResponse) {
  AnswerCollector collector(head(), tokenizer_);
  collector.add(0, reasoning("h"));
  collector.add(0, reasoning("m"));
  collector.add(0, content("Hi"));
  EXPECT_FALSE(collector.done());
  collector.add(0, last(FinishReason::kStop));
  ASSERT_TRUE(collector.done());
  const Response response = collector.response();
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.content_type, "application/json");
  Json expected = Json::parse(R"({"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"fake",
    "system_fingerprint":"fathom-test","choices":[{"index":0,"message":{"role":"assistant","content":"Hi",
    "reasoning_content":"hm"},"logprobs":null,"finish_reason":"stop"}]})");
  expected["usage"] = kUsage;
  EXPECT_EQ(response.body, expected.dump());
}

TEST_F(ChatAnswerTest, AFailedRunIsAResponse500) {
  AnswerCollector collector(head(), tokenizer_);
  AnswerDelta failed = last(FinishReason::kFailed);
  failed.error = "out of pages";
  collector.add(0, failed);
  ASSERT_TRUE(collector.done());
  EXPECT_EQ(collector.response().status, 500);
  EXPECT_EQ(Json::parse(collector.response().body)["error"]["message"], "out of pages");
}

// Two calls, as the engine gives them.
std::vector<AnswerDelta> two_calls(FinishReason finish) {
  return {{.tool_calls = {{.index = 0, .name = "time", .arguments = ""}}},
          {.tool_calls = {{.index = 0, .name = "", .arguments = "{\"zone\""}}},
          {.tool_calls = {{.index = 0, .name = "", .arguments = ":1}"}, {.index = 1, .name = "now", .arguments = ""}}},
          {.tool_calls = {{.index = 1, .name = "", .arguments = "{}"}}},
          last(finish)};
}

TEST_F(ChatAnswerTest, CallsOfToolsStreamedPieceByPiece) {
  const auto all = events(play(head(), two_calls(FinishReason::kStop)));
  std::vector<Json> calls;
  for (const Json& chunk : all)
    if (chunk.is_object())
      for (const Json& call : chunk["choices"][0]["delta"].value("tool_calls", Json::array())) calls.push_back(call);
  ASSERT_EQ(calls.size(), 5u);
  EXPECT_EQ(calls[0], Json::parse(R"({"index":0,"id":"call_1_0_0","type":"function",
    "function":{"name":"time","arguments":""}})"));
  EXPECT_EQ(calls[1], Json::parse(R"({"index":0,"function":{"arguments":"{\"zone\""}})"));
  EXPECT_EQ(calls[3]["index"], 1);
  EXPECT_EQ(calls[3]["id"], "call_1_0_1");
  EXPECT_EQ(calls[4], Json::parse(R"({"index":1,"function":{"arguments":"{}"}})"));
  EXPECT_EQ(all[all.size() - 2]["choices"][0]["finish_reason"], "tool_calls");
  const auto cut = events(play(head(), two_calls(FinishReason::kLength)));
  EXPECT_EQ(cut[cut.size() - 2]["choices"][0]["finish_reason"], "length")
      << "a call that was cut off is not to be made";
}

TEST_F(ChatAnswerTest, CallsOfToolsInOneResponse) {
  AnswerCollector collector(head(), tokenizer_);
  for (const AnswerDelta& delta : two_calls(FinishReason::kStop)) collector.add(0, delta);
  const Json choice = Json::parse(collector.response().body)["choices"][0];
  EXPECT_EQ(choice["finish_reason"], "tool_calls");
  EXPECT_EQ(choice["message"], Json::parse(R"({"role":"assistant","content":null,"tool_calls":[
    {"id":"call_1_0_0","type":"function","function":{"name":"time","arguments":"{\"zone\":1}"}},
    {"id":"call_1_0_1","type":"function","function":{"name":"now","arguments":"{}"}}]})"));
}

}  // namespace
}  // namespace fathom::server
