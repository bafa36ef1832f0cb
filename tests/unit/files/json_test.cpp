#include "files/json.h"

#include <gtest/gtest.h>

namespace fathom::files {
namespace {

std::string refusal(std::string_view text, const JsonLimits& limits = {}) {
  const auto json = parse_json(text, "test", limits);
  return json ? "accepted" : json.error().message;
}

TEST(Json, ReadsValuesAsTheyStand) {
  const auto json =
      parse_json(R"({"z":1,"a":[true,null,-2,1.5,"\u00e9"],"m":{"x":{}},"big":18446744073709551615})", "test");
  ASSERT_TRUE(json) << json.error().message;
  EXPECT_EQ(json->dump(), R"({"z":1,"a":[true,null,-2,1.5,"é"],"m":{"x":{}},"big":18446744073709551615})");
  EXPECT_EQ(parse_json("[]", "test")->dump(), "[]");
  EXPECT_EQ(parse_json(" 7 ", "test")->get<int>(), 7);
  EXPECT_EQ(parse_json(R"([[[1],[2]],{"k":[{}]}])", "test")->dump(), R"([[[1],[2]],{"k":[{}]}])");
}

TEST(Json, SaysWhereItIsBroken) {
  EXPECT_NE(refusal("").find("not valid JSON"), std::string::npos);
  EXPECT_NE(refusal("{\"a\":1,}").find("byte 8"), std::string::npos) << refusal("{\"a\":1,}");
  EXPECT_NE(refusal("[1] x").find("not valid JSON"), std::string::npos);
  EXPECT_NE(refusal("\"\xff\"").find("not valid JSON"), std::string::npos);
  EXPECT_NE(refusal("1e999").find("not valid JSON"), std::string::npos);
  for (const char c : refusal("\"\x01\xfe\x1b[31m\"")) EXPECT_TRUE(c >= 0x20 && c < 0x7f);
}

TEST(Json, RefusesDoubledNames) {
  EXPECT_NE(refusal(R"({"a":1,"a":2})").find("'a' stands twice"), std::string::npos);
  std::string many = "{";
  for (int i = 0; i < 50; ++i) many += fmt::format("\"k{}\":1,", i);
  EXPECT_NE(refusal(many + R"("k7":2})").find("'k7' stands twice"), std::string::npos);
  EXPECT_EQ(refusal(R"([{"a":1},{"a":2}])"), "accepted");
}

TEST(Json, HoldsToItsLimits) {
  const std::string deep = std::string(128, '[') + std::string(128, ']');
  EXPECT_EQ(refusal(deep), "accepted");
  EXPECT_NE(refusal("[" + deep + "]").find("nested deeper than 128"), std::string::npos);
  EXPECT_NE(refusal(std::string(1 << 20, '[')).find("nested deeper"), std::string::npos);
  EXPECT_NE(refusal("[1,2,3]", {.bytes = 3}).find("at most 3"), std::string::npos);
  EXPECT_EQ(refusal("[[1],{\"a\":2}]", {.values = 5}), "accepted");
  EXPECT_NE(refusal("[[1],{\"a\":2}]", {.values = 4}).find("more than 4 values"), std::string::npos);
}

TEST(Json, AVocabularyTakesNoLinearSearches) {
  std::string text = "{";
  for (int i = 0; i < 130'000; ++i) text += fmt::format("{}\"token{:06}\":{}", i ? "," : "", i, i);
  const auto json = parse_json(text + "}", "test");  // minutes if every key were looked up among the ones before it
  ASSERT_TRUE(json) << json.error().message;
  EXPECT_EQ(json->size(), 130'000u);
}

TEST(Json, NamesAMissingFile) {
  const auto json = read_json("/nonexistent/config.json");
  ASSERT_FALSE(json);
  EXPECT_NE(json.error().message.find("/nonexistent/config.json"), std::string::npos);
}

}  // namespace
}  // namespace fathom::files
