// Grammars against a vocabulary of single bytes with a few merged tokens: what is let through, what is not, what is
// refused before.
#include <gtest/gtest.h>

#include "../tokens/tiny_tokenizer.h"
#include "grammar/compiler.h"
#include "grammar/json_schema.h"

namespace fathom::grammar {
namespace {

using files::Json;
using tokens::TokenId;
using tokens::ToolSyntax;

// Ids of added tokens, behind 256 bytes and two merges.
constexpr TokenId kQuoteBrace = 257, kEnd = 258, kCallsBegin = 259, kStray = 261;

const tokens::Tokenizer& tokenizer() {
  static const tokens::Tokenizer made =
      tokens::tiny_tokenizer({.merges = {{"\"", ":"}, {"{", "\""}},
                              .added = {{"<|end|>"}, {"<｜tool▁calls▁begin｜>"}, {"<｜tool▁sep｜>"}, {"<|stray|>"}},
                              .eos = "<|end|>"});
  return made;
}

const Compiler& compiler() {
  static const Compiler made(tokenizer(), std::span(&kEnd, 1), ToolSyntax::kDeepseekV31);
  return made;
}

Compiled compiled(const base::Result<Format>& format, bool with_tools = false) {
  if (!format) throw std::runtime_error(format.error().message);
  auto result = compiler().compile(*format, with_tools);
  if (!result) throw std::runtime_error(result.error().message);
  return *result;
}

bool is_set(std::span<const std::uint32_t> mask, TokenId id) {
  return (mask[static_cast<std::size_t>(id) / 32] >> (id % 32) & 1) != 0;
}

// Whether the whole text may come, token by token as the mask says, and be the end.
bool takes(const Compiled& grammar, std::string_view text) {
  Matcher matcher = grammar.start();
  for (const TokenId id : tokenizer().encode(text, true)) {
    if (!is_set(matcher.allowed(), id)) {
      EXPECT_FALSE(matcher.accept(id)) << "the mask and the state disagree at " << id << " of " << text;
      return false;
    }
    EXPECT_TRUE(matcher.accept(id)) << text;
  }
  return is_set(matcher.allowed(), kEnd) && matcher.accept(kEnd);
}

bool takes_json(const Json& schema, std::string_view text) {
  return takes(compiled(json_schema(schema, "schema")), text);
}

std::string refused(const Json& schema) {
  const auto format = json_schema(schema, "schema");
  if (!format) return format.error().message;
  const auto result = compiler().compile(*format, false);
  return result ? "accepted" : result.error().message;
}

TEST(Grammar, KeepsAnAnswerToAnObject) {
  const Compiled grammar = compiled(json_object());
  EXPECT_TRUE(takes(grammar, R"({"a": [1, 2.5e3, null], "ü": {"x": "\u00e9\n"}})"));
  EXPECT_TRUE(takes(grammar, "{\n  \"a\": true\n}"));
  EXPECT_FALSE(takes(grammar, "[1]")) << "an object was asked for";
  EXPECT_FALSE(takes(grammar, R"({"a": 1,})"));
  EXPECT_FALSE(takes(grammar, R"({"a": 1)")) << "not complete";
  EXPECT_FALSE(takes(grammar, "{" + std::string(1000, ' ') + "}")) << "white space without end";
}

TEST(Grammar, ASchemaDecidesEveryToken) {
  const Json schema = Json::parse(R"({"type":"object","properties":{"name":{"type":"string"},"age":{"type":"integer",
    "minimum":0,"maximum":150},"kind":{"enum":["cat","dog",null]},"tags":{"type":"array","items":{"type":"string"},
    "minItems":1,"maxItems":2}},"required":["name","age"]})");
  EXPECT_TRUE(takes_json(schema, R"({"name": "Tom", "age": 7, "kind": "cat", "tags": ["a", "b"]})"));
  EXPECT_TRUE(takes_json(schema, R"({"name":"Tom","age":150})"));
  EXPECT_FALSE(takes_json(schema, R"({"name":"Tom","age":151})"));
  EXPECT_FALSE(takes_json(schema, R"({"name":"Tom"})"));
  EXPECT_FALSE(takes_json(schema, R"({"name":"Tom","age":1,"kind":"cow"})"));
  EXPECT_FALSE(takes_json(schema, R"({"name":"Tom","age":1,"other":1})")) << "a property that was not named";
  EXPECT_FALSE(takes_json(schema, R"({"name":"Tom","age":1,"tags":["a","b","c"]})"));
}

TEST(Grammar, FollowsReferences) {
  const Json schema = Json::parse(R"({"$defs":{"node":{"type":"object","properties":{"v":{"type":"integer"},
    "next":{"anyOf":[{"$ref":"#/$defs/node"},{"type":"null"}]}},"required":["v","next"],"additionalProperties":false}},
    "$ref":"#/$defs/node"})");
  EXPECT_TRUE(takes_json(schema, R"({"v":1,"next":{"v":2,"next":null}})"));
  EXPECT_FALSE(takes_json(schema, R"({"v":1,"next":2})"));
}

TEST(Grammar, PatternsAndFormats) {
  EXPECT_TRUE(takes_json({{"type", "string"}, {"pattern", "^[a-z]{2,3}-\\d+$"}}, R"("ab-12")"));
  EXPECT_FALSE(takes_json({{"type", "string"}, {"pattern", "^[a-z]{2,3}-\\d+$"}}, R"("a-12")"));
  EXPECT_TRUE(takes_json({{"type", "string"}, {"format", "date"}}, R"("2024-02-29")"));
  EXPECT_FALSE(takes_json({{"type", "string"}, {"format", "date"}}, R"("2024-13-01")"));
  EXPECT_TRUE(takes_json({{"type", "string"}, {"maxLength", 3}}, R"("äöü")"));
  EXPECT_FALSE(takes_json({{"type", "string"}, {"maxLength", 3}}, R"("abcd")"));
}

TEST(Grammar, RefusesWhatItCannotKeepByName) {
  EXPECT_EQ(refused({{"type", "object"}, {"properties", {{"a", {{"not", {{"type", "null"}}}}}}}}),
            "schema#/properties/a: the keyword not is not supported");
  EXPECT_EQ(refused({{"type", "array"}, {"uniqueItems", true}}), "schema#: the keyword uniqueItems is not supported");
  EXPECT_EQ(refused({{"type", "string"}, {"format", "iban"}}), "schema#: the format \"iban\" is not supported");
  EXPECT_EQ(refused({{"$ref", "#/$defs/x"}}), "schema#: $ref \"#/$defs/x\" leads nowhere");
  EXPECT_EQ(refused({{"$ref", "#"}}), "schema#: $ref leads back to itself");
  EXPECT_EQ(refused({{"$ref", "https://example.com/a"}}),
            "schema#: $ref \"https://example.com/a\": only references into the schema itself (\"#/…\") are supported");
  EXPECT_EQ(refused({{"type", "number"}, {"multipleOf", 0.1}}),
            "schema#: multipleOf is supported for integers, from 1 to 1024");
  EXPECT_EQ(refused({{"type", "string"}, {"pattern", "a(?=b)"}}),
            "schema#/pattern: the group (?= at byte 1 is not supported");
  EXPECT_EQ(refused({{"type", "string"}, {"pattern", "a$b"}}),
            "schema#/pattern: $ at byte 1 is supported at the very end alone");
  EXPECT_EQ(refused({{"anyOf", Json::array({{{"type", "null"}}})}, {"type", "string"}}),
            "schema#: type beside anyOf is not supported");
  EXPECT_EQ(refused({{"type", "string"}, {"maxLength", 10001}}),
            "schema#: maxLength: expected an integer from 0 to 10000");
  EXPECT_EQ(refused(false), "schema#: the schema false allows no value at all");
  EXPECT_NE(refused({{"type", "integer"}, {"minimum", 3}, {"maximum", 2}}), "accepted");
  EXPECT_NE(refused({{"type", "object"}, {"properties", {{"a", true}}}, {"required", {"b"}}}), "accepted");
}

TEST(Grammar, OneOfWhereTheOptionsDiffer) {
  const Json cat = {{"type", "object"}, {"properties", {{"kind", {{"const", "cat"}}}}}, {"required", {"kind"}}};
  const Json dog = {{"type", "object"}, {"properties", {{"kind", {{"const", "dog"}}}}}, {"required", {"kind"}}};
  EXPECT_TRUE(takes_json({{"oneOf", {cat, dog}}}, R"({"kind":"dog"})"));
  EXPECT_NE(refused({{"oneOf", {cat, cat}}}), "accepted");
  EXPECT_TRUE(takes_json({{"oneOf", {{{"type", "string"}}, {{"type", "null"}}}}}, "null"));
}

TEST(Grammar, RegexEbnfAndChoice) {
  EXPECT_TRUE(takes(compiled(regex("(yes|no)!?")), "yes!"));
  EXPECT_FALSE(takes(compiled(regex("(yes|no)!?")), "maybe"));
  EXPECT_TRUE(takes(compiled(ebnf("root ::= \"a\" item+\nitem ::= [0-9] | \"(\" item \")\"")), "a1((2))"));
  EXPECT_FALSE(takes(compiled(ebnf("root ::= \"a\" item+\nitem ::= [0-9] | \"(\" item \")\"")), "a(1"));
  EXPECT_TRUE(takes(compiled(choice({"red", "green"})), "green"));
  EXPECT_FALSE(takes(compiled(choice({"red", "green"})), "blue"));
  for (const std::string_view wrong : {"root ::= ", "root ::= \"a", "root ::= missing", "nothing"}) {
    const auto format = ebnf(wrong);
    ASSERT_TRUE(format);
    const auto result = compiler().compile(*format, false);
    ASSERT_FALSE(result) << wrong;
    EXPECT_EQ(result.error().message.find(".cc"), std::string::npos) << result.error().message;
  }
  EXPECT_FALSE(ebnf("root ::= " + std::string(200, '(') + "\"a\"" + std::string(200, ')')));
  EXPECT_FALSE(regex("a{100000}"));
}

TEST(Grammar, ControlTokensNeverStandInText) {
  Matcher matcher = compiled(json_object()).start();
  ASSERT_TRUE(matcher.accept(kQuoteBrace));  // {"
  EXPECT_TRUE(is_set(matcher.allowed(), 'x'));
  EXPECT_FALSE(is_set(matcher.allowed(), kStray));
  EXPECT_FALSE(is_set(matcher.allowed(), kCallsBegin));
  EXPECT_FALSE(is_set(matcher.allowed(), kEnd)) << "the object is not complete";
  EXPECT_FALSE(matcher.accept(kStray));
}

TEST(Grammar, TokensComeBack) {
  Matcher matcher = compiled(choice({"red", "rust"})).start();
  for (const char c : std::string_view("red")) ASSERT_TRUE(matcher.accept(c));
  ASSERT_TRUE(matcher.accept(kEnd));
  matcher.roll_back(3);
  ASSERT_TRUE(matcher.accept('u'));
  EXPECT_TRUE(is_set(matcher.allowed(), 's'));
  EXPECT_FALSE(is_set(matcher.allowed(), 'd'));
}

Format calls(ToolSyntax syntax, bool required, bool several = true, bool strict = false) {
  const Json parameters = Json::parse(
      R"({"type":"object","properties":{"city":{"type":"string"}},"required":["city"],"additionalProperties":false})");
  const auto format = tool_calls({.syntax = syntax,
                                  .tools = {{.name = "weather", .parameters = parameters, .strict = strict},
                                            {.name = "time", .parameters = {{"type", "object"}, {"not", true}}}},
                                  .required = required,
                                  .several = several});
  if (!format) throw std::runtime_error(format.error().message);
  return *format;
}

TEST(Grammar, CallsOfToolsInEveryForm) {
  struct Case {
    ToolSyntax syntax;
    std::string one, two;
  };
  const Case cases[] = {
      {ToolSyntax::kDeepseekV31,
       "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>weather<｜tool▁sep｜>{\"city\": "
       "\"Bonn\"}<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
       "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>weather<｜tool▁sep｜>{\"city\": \"Bonn\"}<｜tool▁call▁end｜>"
       "<｜tool▁call▁begin｜>time<｜tool▁sep｜>{}<｜tool▁call▁end｜><｜tool▁calls▁end｜>"},
      {ToolSyntax::kDeepseekV3,
       "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>weather\n```json\n{\"city\": \"Bonn\"}\n```"
       "<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
       "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>time\n```json\n{}\n```<｜tool▁call▁end｜>\n"
       "<｜tool▁call▁begin｜>function<｜tool▁sep｜>time\n```json\n{\"zone\": "
       "1}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>"},
      {ToolSyntax::kHermes, "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Bonn\"}}\n</tool_call>",
       "<tool_call>\n{\"name\": \"time\", \"arguments\": {}}\n</tool_call>\n"
       "<tool_call>\n{\"name\": \"time\", \"arguments\": {\"a\": [1]}}\n</tool_call>"},
      {ToolSyntax::kLlama3, "{\"name\": \"weather\", \"parameters\": {\"city\": \"Bonn\"}}", ""},
  };
  for (const Case& c : cases) {
    const Compiled required = compiled(calls(c.syntax, true), true), free = compiled(calls(c.syntax, false), true);
    const Compiled single = compiled(calls(c.syntax, true, false), true);
    EXPECT_TRUE(takes(required, c.one)) << c.one;
    EXPECT_FALSE(takes(required, "The weather is fine.")) << c.one;
    EXPECT_TRUE(takes(free, "The weather is fine."));
    EXPECT_TRUE(takes(free, c.one)) << c.one;
    EXPECT_TRUE(takes(free, "Let me see.\n\n" + c.one)) << c.one;
    std::string wrong = c.one;
    wrong.replace(wrong.find("city"), 4, "town");
    EXPECT_FALSE(takes(required, wrong)) << "arguments that the schema does not have";
    EXPECT_FALSE(takes(free, wrong));
    wrong = c.one;
    wrong.replace(wrong.find("weather"), 7, "whether");
    EXPECT_FALSE(takes(required, wrong)) << "a tool that is not there";
    EXPECT_TRUE(takes(single, c.one));
    if (c.two.empty()) continue;
    EXPECT_TRUE(takes(required, c.two)) << c.two;
    EXPECT_TRUE(takes(free, c.two)) << c.two;
    EXPECT_FALSE(takes(single, c.two)) << "one call was asked for";
  }
}

TEST(Grammar, AStrictToolWantsASchemaThatCanBeKept) {
  const auto format = tool_calls(
      {.syntax = ToolSyntax::kHermes,
       .tools = {{.name = "time", .parameters = {{"type", "object"}, {"minProperties", 1}}, .strict = true}}});
  ASSERT_FALSE(format);
  EXPECT_EQ(format.error().message, "the parameters of time#: the keyword minProperties is not supported");
}

TEST(Grammar, BehindAThoughtALineMayBeLeft) {
  const Compiled grammar = compiled(after_thought(json_object()));
  EXPECT_TRUE(takes(grammar, "\n\n{}"));
  EXPECT_TRUE(takes(grammar, "{}"));
  EXPECT_FALSE(takes(grammar, "\n\n\n{}"));
}

TEST(Grammar, RefusesWhatIsTooLargeToCompile) {
  Json properties = Json::object();
  for (int i = 0; i < 2000; ++i) properties["a_long_name_of_a_property_" + std::to_string(i)] = {{"type", "integer"}};
  EXPECT_EQ(refused({{"type", "object"}, {"properties", properties}}),
            "schema#/properties/a_long_name_of_a_property_1999: a schema may have 2000 parts at most");
  EXPECT_NE(refused({{"type", "string"}, {"maxLength", 6001}}).find("too large"), std::string::npos);
  EXPECT_NE(refused({{"type", "string"}, {"pattern", "(a{3000}b{3000,}c){20}"}}).find("too large"), std::string::npos);
  EXPECT_FALSE(compiler().compile(*ebnf("root ::= \"a\"{100000}"), false));
  EXPECT_NE(refused({{"const", std::string(300'000, 'x')}}).find("at most"), std::string::npos);
}

}  // namespace
}  // namespace fathom::grammar
