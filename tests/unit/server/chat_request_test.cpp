#include "server/chat_request.h"

#include <gtest/gtest.h>

#include "fake_model.h"
#include "server/field_reader.h"

namespace fathom::server {
namespace {

using files::Json;

class ChatRequestTest : public testing::Test {
 protected:
  // The fields given, in a request that is otherwise right.
  ApiResult<ChatRequest> read(std::string_view fields) {
    Json body = {{"messages", Json::array({{{"role", "user"}, {"content", "Hi"}}})}};
    body.update(Json::parse(fields));
    return read_chat_request(body, model_);
  }

  void expect_refused(std::string_view fields, int status, std::string_view param) {
    const auto request = read(fields);
    ASSERT_FALSE(request) << fields;
    EXPECT_EQ(request.error().status, status) << fields;
    EXPECT_EQ(request.error().param, param) << fields;
    EXPECT_TRUE(request.error().message.contains(param)) << request.error().message;
  }

  FakeModel model_;
};

TEST_F(ChatRequestTest, DefaultsAreTheModels) {
  const auto request = read("{}");
  ASSERT_TRUE(request);
  EXPECT_FLOAT_EQ(request->sampling.temperature, 0.6f);
  EXPECT_FLOAT_EQ(request->sampling.top_p, 0.95f);
  EXPECT_EQ(request->sampling.top_logprobs, -1);
  EXPECT_EQ(request->max_tokens, -1);
  EXPECT_EQ(request->choices, 1);
  EXPECT_FALSE(request->stream);
  EXPECT_FALSE(request->seed);
  EXPECT_FALSE(request->render.thinking);
}

TEST_F(ChatRequestTest, EveryFieldArrives) {
  const auto request = read(R"({"temperature":0, "top_p":0.5, "top_k":40, "min_p":0.1, "frequency_penalty":-1.5,
    "presence_penalty":2, "repetition_penalty":1.1, "seed":7, "logit_bias":{"5":-100,"6":3.5}, "stop":["a","b"],
    "max_tokens":9, "ignore_eos":true, "n":3, "stream":true, "stream_options":{"include_usage":true}, "logprobs":true,
    "top_logprobs":4, "user":"x", "unknown":{"deep":[1]}, "tools":[], "tool_choice":"auto",
    "response_format":{"type":"text"}})");
  ASSERT_TRUE(request) << request.error().message;
  EXPECT_FLOAT_EQ(request->sampling.temperature, 0);
  EXPECT_FLOAT_EQ(request->sampling.top_p, 0.5f);
  EXPECT_EQ(request->sampling.top_k, 40);
  EXPECT_FLOAT_EQ(request->sampling.min_p, 0.1f);
  EXPECT_FLOAT_EQ(request->sampling.frequency_penalty, -1.5f);
  EXPECT_FLOAT_EQ(request->sampling.presence_penalty, 2);
  EXPECT_FLOAT_EQ(request->sampling.repetition_penalty, 1.1f);
  EXPECT_EQ(request->seed, 7u);
  const std::vector<std::pair<tokens::TokenId, float>> biases{{5, -100.f}, {6, 3.5f}};
  EXPECT_EQ(request->sampling.logit_bias, biases);
  EXPECT_EQ(request->stop, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(request->max_tokens, 9);
  EXPECT_TRUE(request->ignore_eos);
  EXPECT_EQ(request->choices, 3);
  EXPECT_TRUE(request->stream);
  EXPECT_TRUE(request->include_usage);
  EXPECT_TRUE(request->logprobs);
  EXPECT_EQ(request->sampling.top_logprobs, 4);
}

TEST_F(ChatRequestTest, NullIsAbsentAndWholeFloatsAreIntegers) {
  const auto request = read(R"({"temperature":null, "max_tokens":null, "stop":null, "top_k":-1, "seed":-3,
    "max_completion_tokens":12.0, "logit_bias":null, "stream_options":null, "tools":null})");
  ASSERT_TRUE(request) << request.error().message;
  EXPECT_FLOAT_EQ(request->sampling.temperature, 0.6f);
  EXPECT_EQ(request->sampling.top_k, 0);
  EXPECT_EQ(request->max_tokens, 12);
  EXPECT_EQ(request->seed, static_cast<std::uint64_t>(-3));
}

TEST_F(ChatRequestTest, OutOfRangeIs422WithTheFieldNamed) {
  expect_refused(R"({"temperature":2.1})", 422, "temperature");
  expect_refused(R"({"temperature":-0.1})", 422, "temperature");
  expect_refused(R"({"temperature":"hot"})", 422, "temperature");
  expect_refused(R"({"top_p":0})", 422, "top_p");
  expect_refused(R"({"top_p":1.01})", 422, "top_p");
  expect_refused(R"({"min_p":-0.5})", 422, "min_p");
  expect_refused(R"({"top_k":-2})", 422, "top_k");
  expect_refused(R"({"top_k":1.5})", 422, "top_k");
  expect_refused(R"({"frequency_penalty":2.5})", 422, "frequency_penalty");
  expect_refused(R"({"presence_penalty":-3})", 422, "presence_penalty");
  expect_refused(R"({"max_tokens":0})", 422, "max_tokens");
  expect_refused(R"({"max_tokens":-1})", 422, "max_tokens");
  expect_refused(R"({"max_tokens":99999999999999999999})", 422, "max_tokens");
  expect_refused(R"({"max_completion_tokens":1e300})", 422, "max_completion_tokens");
  expect_refused(R"({"n":0})", 422, "n");
  expect_refused(R"({"n":9})", 422, "n");
  expect_refused(R"({"seed":1e40})", 422, "seed");
  expect_refused(R"({"seed":18446744073709551615})", 422, "seed");
  expect_refused(R"({"logprobs":true,"top_logprobs":21})", 422, "top_logprobs");
  expect_refused(R"({"top_logprobs":2})", 422, "top_logprobs");
  expect_refused(R"({"stream":"yes"})", 422, "stream");
  expect_refused(R"({"logit_bias":{"5":101}})", 422, "logit_bias");
  expect_refused(R"({"logit_bias":{"x":1}})", 422, "logit_bias");
  expect_refused(R"({"logit_bias":{"-1":1}})", 422, "logit_bias");
  expect_refused(R"({"logit_bias":{"259":1}})", 422, "logit_bias");
  expect_refused(R"({"logit_bias":[1]})", 422, "logit_bias");
  expect_refused(R"({"thinking":{"type":"maybe"}})", 422, "thinking.type");
  expect_refused(R"({"reasoning_effort":"huge"})", 422, "reasoning_effort");
  expect_refused(R"({"chat_template_kwargs":{"messages":[]}})", 422, "chat_template_kwargs");
}

TEST_F(ChatRequestTest, StopIsOneStringOrUpToSixteen) {
  EXPECT_EQ(read(R"({"stop":"END"})")->stop, std::vector<std::string>{"END"});
  EXPECT_EQ(read(R"({"stop":["1","2","3","4","5","6","7","8","9","10","11","12","13","14","15","16"]})")->stop.size(),
            16u);
  expect_refused(R"({"stop":["1","2","3","4","5","6","7","8","9","10","11","12","13","14","15","16","17"]})", 422,
                 "stop");
  expect_refused(R"({"stop":[1]})", 422, "stop");
  expect_refused(R"({"stop":""})", 422, "stop");
  expect_refused(fmt::format(R"({{"stop":"{}"}})", std::string(1025, 'x')), 422, "stop");
}

// All of it: answer_form_test.cpp.
TEST_F(ChatRequestTest, TheFormOfTheAnswerIsReadToo) {
  const auto request = read(R"({"tools":[{"type":"function","function":{"name":"f"}}]})");
  ASSERT_TRUE(request);
  EXPECT_EQ(request->render.tools.size(), 1u);
  EXPECT_TRUE(request->form.bounds.grammar);
  expect_refused(R"({"tool_choice":"required"})", 400, "tool_choice");
  expect_refused(R"({"response_format":{"type":"json_schema"}})", 400, "response_format");
}

TEST_F(ChatRequestTest, StreamOptionsNeedAStream) {
  expect_refused(R"({"stream_options":{"include_usage":true}})", 400, "stream_options");
  expect_refused(R"({"stream":true,"stream_options":{"include_usage":1}})", 422, "stream_options.include_usage");
  EXPECT_FALSE(read(R"({"stream":true})")->include_usage);
}

TEST_F(ChatRequestTest, ThinkingIsAskedForInFourWays) {
  EXPECT_EQ(read(R"({"thinking":{"type":"enabled"}})")->render.thinking, true);
  EXPECT_EQ(read(R"({"thinking":{"type":"disabled"}})")->render.thinking, false);
  EXPECT_EQ(read(R"({"reasoning_effort":"none"})")->render.thinking, false);
  EXPECT_EQ(read(R"({"reasoning_effort":"high"})")->render.thinking, true);
  EXPECT_EQ(read(R"({"chat_template_kwargs":{"enable_thinking":true}})")->render.thinking, true);
  EXPECT_EQ(read(R"({"reasoning_effort":"high","thinking":{"type":"disabled"}})")->render.thinking, false);
}

TEST_F(ChatRequestTest, MessagesAreNeededAndNamedWhereTheyAreWrong) {
  expect_refused(R"({"messages":[]})", 400, "messages");
  expect_refused(R"({"messages":"hello"})", 400, "messages");
  expect_refused(R"({"messages":null})", 400, "messages");
  expect_refused(R"({"messages":[{"role":"wizard","content":"x"}]})", 400, "messages");
  expect_refused(R"({"messages":[{"content":"x"}]})", 400, "messages");
  expect_refused(R"({"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"x"}}]}]})", 400,
                 "messages");
}

TEST(ReadBody, OnlyAnObjectOfBoundedDepth) {
  const auto status = [](std::string body) {
    const auto read = read_body({.body = std::move(body)});
    return read ? 200 : read.error().status;
  };
  EXPECT_EQ(status("{}"), 200);
  EXPECT_EQ(status(""), 400);
  EXPECT_EQ(status("{"), 400);
  EXPECT_EQ(status("[]"), 400);
  EXPECT_EQ(status("{\"a\":1} x"), 400);
  EXPECT_EQ(status("{\"a\":" + std::string(100, '[') + std::string(100, ']') + "}"), 400);
}

}  // namespace
}  // namespace fathom::server
