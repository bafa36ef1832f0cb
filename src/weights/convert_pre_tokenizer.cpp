// Names of pre-tokenizers. The patterns are facts of the models' tokenizer.json files, written as they are there.
#include <algorithm>
#include <vector>

#include "weights/convert_fields.h"
#include "weights/convert_tokenizer.h"

namespace fathom::weights {
namespace {

using files::Json;
using Patterns = std::vector<std::string>;

constexpr const char* kGpt2 = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr const char* kQwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kDeepSeekV3 =
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kHanKana = "[一-龥\u3040-ゟ゠-ヿ]+";
constexpr const char* kHanHangul = "[一-龥ࠀ-一가-\uD7FF]+";
constexpr const char* kPunctuation = R"(\s?[!-/:-~！-／：-～‘-‟　-。]+)";
// Of the long list of letters in DeepSeek LLM's file the beginning tells enough.
constexpr std::string_view kCasedLetters = R"(\s?[A-Za-zµÀ-ÖØ-öø-ƺ)";

// Steps of a Sequence, or the value itself as the only one.
void collect_steps(const Json& value, std::vector<const Json*>& out) {
  const Fields f(value, "pre_tokenizer");
  const Json* inner = f.find("pretokenizers");
  if (inner == nullptr || !inner->is_array()) return out.push_back(&value);
  for (const Json& step : *inner) collect_steps(step, out);
}

// Line ends written out: some files hold the characters, some their escapes.
std::string escaped(std::string_view pattern) {
  std::string out;
  for (const char c : pattern) {
    if (c == '\r') {
      out += "\\r";
    } else if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
  return out;
}

// The pattern of a Split whose matches become pieces of their own; empty for any other kind.
std::string split_pattern(Fields& step) {
  const std::string behavior = step.text("behavior");
  const bool invert = step.boolean("invert", false);
  if (!(behavior == "Isolated" && !invert) && !(behavior == "Removed" && invert)) return {};
  const Json* pattern = step.find("pattern");
  if (pattern == nullptr) return {};
  return escaped(Fields(*pattern, "pattern").text("Regex"));
}

// The patterns that cut text, in order; nothing where a step is of another kind.
Patterns patterns_of(const Json& tokenizer) {
  const Fields file(tokenizer, "tokenizer.json");
  const Json* value = file.find("pre_tokenizer");
  if (value == nullptr) return {};
  std::vector<const Json*> steps;
  collect_steps(*value, steps);
  Patterns out;
  bool byte_level = false;
  for (const Json* json : steps) {
    Fields step(*json, "pre_tokenizer");
    const std::string type = step.text("type");
    if (byte_level) return {};
    if (type == "Split") {
      out.push_back(split_pattern(step));
    } else if (type == "Digits" && step.boolean("individual_digits", false)) {
      out.push_back("\\p{N}");
    } else if (type == "ByteLevel" && !step.boolean("add_prefix_space", true)) {
      byte_level = true;
      if (step.boolean("use_regex", true)) out.push_back(kGpt2);
    } else {
      return {};
    }
  }
  return byte_level ? out : Patterns();
}

}  // namespace

std::string_view pre_tokenizer_name(const Json& tokenizer) {
  const Patterns found = patterns_of(tokenizer);
  if (found == Patterns{kQwen2}) return "qwen2";
  if (found == Patterns{kLlama3}) return "llama-bpe";
  if (found == Patterns{"\\p{N}{1,3}", kHanKana, kDeepSeekV3}) return "deepseek-v3";
  if (found == Patterns{"[\\r\\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", kHanHangul, "\\p{N}"}) return "deepseek-coder";
  if (found.size() == 6 && found[1].starts_with(kCasedLetters)) {
    Patterns rest = found;
    rest.erase(rest.begin() + 1);
    if (rest == Patterns{"[\\r\\n]", kPunctuation, "\\s+$", kHanHangul, "\\p{N}"}) return "deepseek-llm";
  }
  if (found == Patterns{"\\p{N}", kGpt2}) return "smollm";
  if (found == Patterns{kGpt2}) return "gpt-2";
  return {};
}

}  // namespace fathom::weights
