// Pre-tokenizers recognised by what tokenizer.json says of them.
#include <gtest/gtest.h>

#include <string>

#include "weights/convert_tokenizer.h"

namespace fathom::weights {
namespace {

std::string split(const std::string& pattern) {
  return files::Json(
             {{"type", "Split"}, {"pattern", {{"Regex", pattern}}}, {"behavior", "Isolated"}, {"invert", false}})
      .dump();
}

std::string name_of(const std::string& steps) {
  const auto json = files::parse_json(R"({"pre_tokenizer": {"type": "Sequence", "pretokenizers": [)" + steps + "]}}",
                                      "tokenizer.json");
  EXPECT_TRUE(json);
  return std::string(pre_tokenizer_name(*json));
}

const std::string kBytes =
    R"({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false})";
const std::string kBytesAndWords = R"({"type": "ByteLevel", "add_prefix_space": false, "use_regex": true})";
const std::string kDigits = R"({"type": "Digits", "individual_digits": true})";
const std::string kWords =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

TEST(PreTokenizer, IsKnownByItsPatterns) {
  EXPECT_EQ(name_of(split(kWords) + "," + kBytes), "qwen2");
  std::string three = kWords;
  three.replace(three.find("\\p{N}| "), 6, "\\p{N}{1,3}|");
  EXPECT_EQ(name_of(split(three) + "," + kBytes), "llama-bpe");
  EXPECT_EQ(
      name_of(
          split("\\p{N}{1,3}") + "," + split("[一-龥\u3040-ゟ゠-ヿ]+") + "," +
          split(
              R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)") +
          "," + kBytes),
      "deepseek-v3");
  // One file holds line ends as characters, another their escapes.
  for (const char* lines : {"[\r\n]", "[\\r\\n]"})
    EXPECT_EQ(name_of(split(lines) + "," + split("\\s?\\p{L}+") + "," + split("\\s?\\p{P}+") + "," +
                      split("[一-龥ࠀ-一가-\uD7FF]+") + "," + kDigits + "," + kBytes),
              "deepseek-coder");
  EXPECT_EQ(name_of(kDigits + "," + kBytesAndWords), "smollm");
  EXPECT_EQ(name_of(kBytesAndWords), "gpt-2");
}

TEST(PreTokenizer, WithoutANameIsNone) {
  EXPECT_EQ(name_of(split("\\w+") + "," + kBytes), "");
  EXPECT_EQ(name_of(split(kWords)), "");
  EXPECT_EQ(name_of(kBytes), "");
  EXPECT_EQ(name_of(R"({"type": "Metaspace"})"), "");
  EXPECT_EQ(name_of(R"({"type": "ByteLevel", "add_prefix_space": true})"), "");
  // The same patterns used otherwise.
  EXPECT_EQ(
      name_of(R"({"type": "Split", "pattern": {"Regex": "\\p{N}"}, "behavior": "MergedWithNext", "invert": false},)" +
              kBytesAndWords),
      "");
}

}  // namespace
}  // namespace fathom::weights
