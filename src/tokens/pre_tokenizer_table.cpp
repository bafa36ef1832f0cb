// Facts of the models' tokenizer.json files. Names that mean the same are one row.
#include "tokens/pre_tokenizer_table.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <initializer_list>

namespace fathom::tokens {

const std::string_view kGpt2Pattern = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

namespace {

// Qwen 2 and Llama 3 differ in how many digits stay together.
constexpr std::string_view kQwen2Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kLlama3Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+)"
    R"(|\s+(?!\S)|\s+)";

constexpr std::string_view kDeepseekV3Pattern =
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*)"
    R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";

// Han, Hiragana, Katakana; Hangul and more with them.
constexpr std::string_view kHanKana = R"([\x{4E00}-\x{9FA5}\x{3040}-\x{309F}\x{30A0}-\x{30FF}]+)";
constexpr std::string_view kHanHangul = R"([\x{4E00}-\x{9FA5}\x{800}-\x{4E00}\x{AC00}-\x{D7FF}]+)";

constexpr std::string_view kDeepseekLlmPunctuation =
    R"(\s?[\x{21}-\x{2F}\x{3A}-\x{7E}\x{FF01}-\x{FF0F}\x{FF1A}-\x{FF5E}\x{2018}-\x{201F}\x{3000}-\x{3002}]+)";

struct Letters {
  std::uint32_t first, last;
};
// DeepSeek LLM's cased letters. The file lists them as characters, which composing (NFC) would change: here by number.
constexpr std::array kDeepseekLlmLetters = std::to_array<Letters>({
    {0x41, 0x5A},       {0x61, 0x7A},       {0xB5, 0xB5},       {0xC0, 0xD6},       {0xD8, 0xF6},
    {0xF8, 0x1BA},      {0x1BC, 0x1BF},     {0x1C4, 0x293},     {0x295, 0x2AF},     {0x370, 0x373},
    {0x376, 0x376},     {0x377, 0x377},     {0x37B, 0x37D},     {0x37F, 0x37F},     {0x386, 0x386},
    {0x388, 0x38A},     {0x38C, 0x38C},     {0x38E, 0x3A1},     {0x3A3, 0x3F5},     {0x3F7, 0x481},
    {0x48A, 0x52F},     {0x531, 0x556},     {0x10A0, 0x10C5},   {0x13A0, 0x13F5},   {0x13F8, 0x13FD},
    {0x1C90, 0x1CBA},   {0x1CBD, 0x1CBF},   {0x1D00, 0x1D2B},   {0x1D6B, 0x1D77},   {0x1D79, 0x1D9A},
    {0x1E00, 0x1F15},   {0x1F18, 0x1F1D},   {0x1F20, 0x1F45},   {0x1F48, 0x1F4D},   {0x1F50, 0x1F57},
    {0x1F59, 0x1F59},   {0x1F5B, 0x1F5B},   {0x1F5D, 0x1F5D},   {0x1F5F, 0x1F7D},   {0x1F80, 0x1FB4},
    {0x1FB6, 0x1FBC},   {0x1FBE, 0x1FBE},   {0x1FC2, 0x1FC4},   {0x1FC6, 0x1FCC},   {0x1FD0, 0x1FD3},
    {0x1FD6, 0x1FDB},   {0x1FE0, 0x1FEC},   {0x1FF2, 0x1FF4},   {0x1FF6, 0x1FFC},   {0x2102, 0x2102},
    {0x2107, 0x2107},   {0x210A, 0x2113},   {0x2115, 0x2115},   {0x2119, 0x211D},   {0x2124, 0x2124},
    {0x2126, 0x2126},   {0x2128, 0x2128},   {0x212A, 0x212D},   {0x212F, 0x2134},   {0x2139, 0x2139},
    {0x213C, 0x213F},   {0x2145, 0x2149},   {0x214E, 0x214E},   {0x2183, 0x2183},   {0x2184, 0x2184},
    {0x2C00, 0x2C7B},   {0x2C7E, 0x2CE4},   {0x2CEB, 0x2CEE},   {0x2CF2, 0x2CF2},   {0x2CF3, 0x2CF3},
    {0xA640, 0xA66D},   {0xA680, 0xA69B},   {0xA722, 0xA76F},   {0xA771, 0xA787},   {0xA78B, 0xA78E},
    {0xAB70, 0xABBF},   {0xFB00, 0xFB06},   {0xFB13, 0xFB17},   {0xFF21, 0xFF3A},   {0xFF41, 0xFF5A},
    {0x10400, 0x1044F}, {0x104B0, 0x104D3}, {0x104D8, 0x104FB}, {0x10C80, 0x10CB2}, {0x10CC0, 0x10CF2},
    {0x118A0, 0x118DF}, {0x1E900, 0x1E943},
});

std::string deepseek_llm_letters() {
  std::string pattern = R"(\s?[)";
  for (const Letters& range : kDeepseekLlmLetters) {
    pattern += fmt::format(R"(\x{{{:X}}}-\x{{{:X}}})", range.first, range.last);
  }
  return pattern + "]+";
}

bool any_of(std::string_view name, std::initializer_list<std::string_view> names) {
  return std::ranges::find(names, name) != names.end();
}

}  // namespace

base::Result<PreTokenizerRow> pre_tokenizer_row(std::string_view name) {
  const auto pattern = [](std::string_view p) { return std::string(p); };
  if (name == "deepseek-llm") {
    return PreTokenizerRow{
        name,
        {"[\\r\\n]", deepseek_llm_letters(), pattern(kDeepseekLlmPunctuation), "\\s+$", pattern(kHanHangul), "\\p{N}"}};
  }
  if (name == "deepseek-coder") {
    return PreTokenizerRow{name, {"[\\r\\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", pattern(kHanHangul), "\\p{N}"}};
  }
  if (name == "deepseek-v3") {
    return PreTokenizerRow{name, {"\\p{N}{1,3}", pattern(kHanKana), pattern(kDeepseekV3Pattern)}};
  }
  if (any_of(name, {"qwen2", "deepseek-r1-qwen"})) {
    return PreTokenizerRow{.name = name, .patterns = {pattern(kQwen2Pattern)}, .nfc = true};
  }
  if (any_of(name, {"llama-bpe", "llama3", "llama-v3"})) {
    return PreTokenizerRow{
        .name = name, .patterns = {pattern(kLlama3Pattern)}, .ignore_merges = true, .adds_bos = true};
  }
  if (any_of(name, {"smollm", "starcoder", "refact", "codeshell"})) {
    return PreTokenizerRow{name, {"\\p{N}", pattern(kGpt2Pattern)}};
  }
  if (any_of(name, {"gpt-2", "gpt2", "phi-2"})) return PreTokenizerRow{name, {pattern(kGpt2Pattern)}};
  return base::fail(
      "tokenizer.ggml.pre '{}' is not known; known are deepseek-llm, deepseek-coder, deepseek-v3, deepseek-r1-qwen, "
      "qwen2, llama-bpe, smollm and gpt-2",
      name);
}

}  // namespace fathom::tokens
