// Any bytes as a schema, a regular expression, a grammar or the parameters of a tool: refused in one line, or compiled
// within the bounds; and then the mask and the state of the matcher agree along an answer that the same bytes choose.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "files/json.h"
#include "grammar/compiler.h"

namespace {

using namespace fathom;

tokens::Tokenizer make_tokenizer() {
  files::Json vocabulary = files::Json::object();
  int id = 0;
  // The byte alphabet: printable bytes of Latin-1 are themselves, the others stand in order from U+0100 on.
  const auto add = [&](unsigned code) {
    vocabulary[code < 0x80
                   ? std::string(1, static_cast<char>(code))
                   : std::string{static_cast<char>(0xc0 | code >> 6), static_cast<char>(0x80 | (code & 0x3f))}] = id++;
  };
  for (unsigned byte = 0, others = 0x100; byte < 256; ++byte) {
    const bool printable = (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte != 0xad);
    add(printable ? byte : others++);
  }
  vocabulary["{\""] = id++;
  const files::Json file = {
      {"added_tokens",
       files::Json::array({{{"id", id}, {"content", "<|end|>"}, {"special", true}, {"normalized", false}}})},
      {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}}},
      {"model", {{"type", "BPE"}, {"vocab", vocabulary}, {"merges", files::Json::array()}}}};
  auto made = tokens::Tokenizer::from_json(file.dump(), R"({"eos_token":"<|end|>"})");
  FATHOM_CHECK(made.has_value());
  return std::move(*made);
}

base::Result<grammar::Format> format_of(int kind, std::string_view text) {
  if (kind == 1) return grammar::regex(text);
  if (kind == 2) return grammar::ebnf(text);
  const auto json = files::parse_json(text, "schema", {.depth = 64, .values = 10'000});
  if (!json) return base::fail("{}", json.error().message);
  if (kind == 0) return grammar::json_schema(*json, "schema");
  return grammar::tool_calls({.syntax = tokens::ToolSyntax::kHermes, .tools = {{.name = "f", .parameters = *json}}});
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const tokens::Tokenizer tokenizer = make_tokenizer();
  static const grammar::Compiler compiler(tokenizer, tokenizer.stop_tokens(), tokens::ToolSyntax::kHermes);
  if (size < 2) return 0;
  const auto format = format_of(data[0] % 4, {reinterpret_cast<const char*>(data) + 1, size - 1});
  if (!format) return 0;
  const auto compiled = compiler.compile(*format, data[0] % 4 == 3);
  if (!compiled) return 0;
  auto matcher = compiled->start();
  for (std::size_t step = 0; step < 64; ++step) {
    const auto mask = matcher.allowed();
    const auto start = static_cast<tokens::TokenId>(data[step % size]);
    tokens::TokenId chosen = -1;
    for (tokens::TokenId i = 0; i < tokenizer.vocabulary_size() && chosen < 0; ++i) {
      const tokens::TokenId id = (start + i) % tokenizer.vocabulary_size();
      if ((mask[static_cast<std::size_t>(id) / 32] >> (id % 32) & 1) != 0) chosen = id;
    }
    if (chosen < 0) break;
    if (!matcher.accept(chosen)) __builtin_trap();
    if (step % 16 == 15) {
      matcher.roll_back(2);
      (void)matcher.allowed();
    }
  }
  return 0;
}
