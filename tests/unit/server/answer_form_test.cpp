// What requests ask of an answer's form, and the constraint that comes of it, walked token by token.
#include "server/answer_form.h"

#include <gtest/gtest.h>

#include "fake_model.h"

namespace fathom::server {
namespace {

using files::Json;
using tokens::TokenId;

class AnswerFormTest : public testing::Test {
 protected:
  AnswerForm read(std::string_view body, std::optional<bool> thinking = std::nullopt) {
    auto form = read_answer_form(Json::parse(body), model_, thinking);
    if (!form) throw std::runtime_error(form.error().message);
    return std::move(*form);
  }
  std::string refused(std::string_view body) {
    const auto form = read_answer_form(Json::parse(body), model_, std::nullopt);
    return form ? "accepted" : form.error().param + " | " + form.error().message;
  }
  // Whether an answer may be exactly these tokens, </think> and the end among them.
  bool takes(const AnswerForm& form, std::string_view text, bool opens_thinking = false) {
    const auto constraint = make_constraint(model_, form.bounds, opens_thinking);
    for (const TokenId id : model_.tokenizer().encode(text, true)) {
      const auto allowed = constraint->allowed();
      const bool may = allowed.empty() || (allowed[static_cast<std::size_t>(id) / 32] >> (id % 32) & 1) != 0;
      EXPECT_EQ(constraint->accept(id), may) << text;
      if (!may) return false;
    }
    return true;
  }

  FakeModel model_;
};

constexpr std::string_view kTool = R"({"type":"function","function":{"name":"time","parameters":{"type":"object",
  "properties":{"zone":{"type":"integer"}},"required":["zone"]}}})";

TEST_F(AnswerFormTest, NothingAskedIsNothingHeld) {
  for (const auto* body : {"{}", R"({"response_format":{"type":"text"},"tools":[],"tool_choice":"none"})",
                           R"({"reasoning_effort":"high"})"}) {
    const AnswerForm form = read(body);
    EXPECT_FALSE(form.bounds.bounded()) << body;
    EXPECT_EQ(form.tool_syntax, tokens::ToolSyntax::kNone);
  }
}

TEST_F(AnswerFormTest, FormatsOfEveryField) {
  EXPECT_TRUE(takes(read(R"({"response_format":{"type":"json_object"}})"), "{\"a\": 1}<|end|>"));
  EXPECT_FALSE(takes(read(R"({"response_format":{"type":"json_object"}})"), "Sure"));
  const auto schema = read(R"({"response_format":{"type":"json_schema","json_schema":{"name":"x","strict":true,
    "schema":{"type":"object","properties":{"n":{"type":"integer"}},"required":["n"],"additionalProperties":false}}}})");
  EXPECT_TRUE(takes(schema, "{\"n\":3}<|end|>"));
  EXPECT_FALSE(takes(schema, "{\"m\""));
  EXPECT_TRUE(takes(read(R"({"guided_json":{"type":"boolean"}})"), "true<|end|>"));
  EXPECT_TRUE(takes(read(R"({"guided_regex":"[ab]+"})"), "abba<|end|>"));
  EXPECT_TRUE(takes(read(R"({"guided_choice":["yes","no"]})"), "no<|end|>"));
  EXPECT_TRUE(takes(read(R"({"guided_grammar":"root ::= \"x\""})"), "x<|end|>"));
  EXPECT_TRUE(takes(read(R"({"grammar":"root ::= \"x\""})"), "x<|end|>"));
}

TEST_F(AnswerFormTest, WhatCannotBeIsSaid) {
  EXPECT_EQ(refused(R"({"response_format":{"type":"xml"}})"),
            "response_format | response_format: type: expected \"text\", \"json_object\" or \"json_schema\"");
  EXPECT_EQ(refused(R"({"response_format":{"type":"json_schema"}})"),
            "response_format | response_format: json_schema: expected an object with a schema in it");
  EXPECT_EQ(
      refused(R"({"response_format":{"type":"json_schema","json_schema":{"schema":{"type":"object","not":{}}}}})"),
      "response_format | response_format: schema#: the keyword not is not supported");
  EXPECT_EQ(refused(R"({"guided_json":{},"guided_regex":"a"})"),
            "guided_regex | guided_regex: cannot stand beside guided_json");
  EXPECT_EQ(refused(R"({"tool_choice":"required"})"),
            "tool_choice | tool_choice: \"required\" needs tools to choose from");
  EXPECT_EQ(refused(R"({"functions":[{"name":"f"}]})"),
            "functions | functions: the old form is not supported; use tools");
  const std::string tools = R"("tools":[)" + std::string(kTool) + "]";
  EXPECT_EQ(refused("{" + tools + R"(,"tool_choice":{"type":"function","function":{"name":"date"}}})"),
            "tool_choice | tool_choice: names a function that is not among the tools");
  EXPECT_EQ(refused("{" + tools + R"(,"tool_choice":"any"})"),
            "tool_choice | tool_choice: expected \"none\", \"auto\", \"required\" or a function by its name");
  EXPECT_EQ(refused(R"({"tools":[{"type":"function","function":{"name":"a b"}}]})"),
            "tools[0].function.name | tools[0].function.name: expected 1 to 64 letters, digits, _ and -");
  EXPECT_EQ(refused(R"({"tools":[)" + std::string(kTool) + "," + std::string(kTool) + "]}"),
            "tools[1].function.name | tools[1].function.name: \"time\" is there twice");
  EXPECT_EQ(refused(R"({"tools":[{"type":"retrieval"}]})"),
            "tools[0] | tools[0]: expected an object with type \"function\" and a function");
  EXPECT_EQ(refused(R"({"max_reasoning_tokens":-1})").substr(0, 20), "max_reasoning_tokens");
}

TEST_F(AnswerFormTest, ToolsByChoice) {
  const std::string tools = R"("tools":[)" + std::string(kTool) + "]";
  const std::string call = "<tool_call>\n{\"name\": \"time\", \"arguments\": {\"zone\": 1}}\n</tool_call>";
  const auto with = [&](const std::string& more) { return read("{" + tools + more + "}"); };
  for (const std::string more : {"", R"(,"tool_choice":"auto")"}) {
    EXPECT_EQ(with(more).tool_syntax, tokens::ToolSyntax::kHermes);
    EXPECT_EQ(with(more).tools.size(), 1u);
    EXPECT_TRUE(takes(with(more), "No need.<|end|>"));
    EXPECT_TRUE(takes(with(more), call + "<|end|>"));
  }
  for (const std::string more :
       {R"(,"tool_choice":"required")", R"(,"tool_choice":{"type":"function","function":{"name":"time"}})"}) {
    EXPECT_FALSE(takes(with(more), "No"));
    EXPECT_TRUE(takes(with(more), call + "<|end|>"));
    const bool named = more.contains("function");
    EXPECT_EQ(takes(with(more), call + "\n" + call + "<|end|>"), !named);
    EXPECT_FALSE(takes(with(more + R"(,"parallel_tool_calls":false)"), call + "\n" + call));
  }
  EXPECT_EQ(with(R"(,"tool_choice":"none")").tool_syntax, tokens::ToolSyntax::kNone);
  EXPECT_TRUE(with(R"(,"tool_choice":"none")").tools.empty());
  const AnswerForm both = with(R"(,"response_format":{"type":"json_object"})");
  EXPECT_TRUE(takes(both, call + "<|end|>"));
  EXPECT_TRUE(takes(both, "{}<|end|>"));
  EXPECT_FALSE(takes(both, "Hello"));
}

TEST_F(AnswerFormTest, TheThoughtIsFreeAndTheAnswerIsNot) {
  const AnswerForm form = read(R"({"response_format":{"type":"json_object"}})");
  EXPECT_TRUE(takes(form, "Let me {think</think>\n\n{}<|end|>", true));
  EXPECT_FALSE(takes(form, "Let me<|end|>", true)) << "an answer must follow";
  EXPECT_FALSE(takes(form, "a</think>b", true));
  EXPECT_TRUE(takes(form, "<think>a</think>{}<|end|>")) << "a thought that the model opens itself";
  EXPECT_FALSE(takes(read(R"({"response_format":{"type":"json_object"}})", false), "<think>")) << "thinking is off";
}

TEST_F(AnswerFormTest, ABudgetBeyondTheAnswerBoundsNothing) {
  const Json body = Json::parse(R"({"thinking":{"type":"enabled","budget_tokens":100}})");
  EXPECT_TRUE(read_answer_form(body, model_, std::nullopt, 101)->bounds.bounded());
  EXPECT_FALSE(read_answer_form(body, model_, std::nullopt, 100)->bounds.bounded());
  EXPECT_TRUE(read_answer_form(body, model_, std::nullopt)->bounds.bounded());
}

TEST_F(AnswerFormTest, ABudgetClosesTheThought) {
  for (const auto* body : {R"({"max_reasoning_tokens":3})", R"({"thinking":{"type":"enabled","budget_tokens":3}})",
                           R"({"reasoning_effort":"low","max_reasoning_tokens":3})"}) {
    const AnswerForm form = read(body);
    EXPECT_TRUE(takes(form, "abc</think>anything<|end|>", true)) << body;
    EXPECT_TRUE(takes(form, "a</think>anything<|end|>", true));
    EXPECT_FALSE(takes(form, "abcd", true));
    EXPECT_FALSE(takes(form, "abc<|end|>", true));
    EXPECT_TRUE(takes(form, "anything at all<|end|>"));
    EXPECT_TRUE(takes(form, " <think>abc</think>x<|end|>"));
    EXPECT_FALSE(takes(form, "<think>abcd"));
  }
  EXPECT_TRUE(takes(read(R"({"max_reasoning_tokens":0})"), "</think>x<|end|>", true));
  EXPECT_FALSE(takes(read(R"({"max_reasoning_tokens":0})"), "x", true));
  EXPECT_EQ(read(R"({"reasoning_effort":"minimal"})").bounds.max_reasoning_tokens, 512);
  EXPECT_EQ(read(R"({"max_reasoning_tokens":3})", false).bounds.max_reasoning_tokens, -1);
}

TEST_F(AnswerFormTest, DraftsAreTakenBack) {
  const AnswerForm form = read(R"({"response_format":{"type":"json_object"},"max_reasoning_tokens":2})");
  const auto constraint = make_constraint(model_, form.bounds, true);
  const auto may = [&](TokenId id) {
    const auto allowed = constraint->allowed();
    return allowed.empty() || (allowed[static_cast<std::size_t>(id) / 32] >> (id % 32) & 1) != 0;
  };
  for (const TokenId id : {TokenId{'a'}, TokenId{'b'}, kEndThink, TokenId{'{'}, TokenId{'}'}})
    ASSERT_TRUE(constraint->accept(id));
  EXPECT_TRUE(may(kEnd));
  constraint->roll_back(1);
  EXPECT_FALSE(may(kEnd));
  EXPECT_TRUE(may('"'));
  constraint->roll_back(2);
  EXPECT_TRUE(may(kEndThink));
  EXPECT_FALSE(may('c'));
  constraint->roll_back(1);
  EXPECT_TRUE(may('c'));
}

}  // namespace
}  // namespace fathom::server
