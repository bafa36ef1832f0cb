// The only file that includes XGrammar. It reports bad input by exceptions, which end here.
#include "grammar/compiler.h"

#include <xgrammar/xgrammar.h>

#include <algorithm>
#include <mutex>
#include <string>
#include <variant>

namespace fathom::grammar {

using base::fail;
using base::Result;
using tokens::TokenId;

namespace {

// Compiling happens while a request waits, and takes about half a millisecond for each place where an answer can stand
// (measured with 152k tokens): at most some seconds.
constexpr std::int64_t kMostPlaces = 6000;
constexpr std::size_t kMostFormatBytes = std::size_t{256} << 10;
constexpr std::size_t kMostGrammarBytes = std::size_t{512} << 10;
constexpr std::int64_t kCacheBytes = std::int64_t{64} << 20;  // of compiled grammars, for each vocabulary
constexpr int kThreads = 2;

// What went wrong, without XGrammar's "[time] file:line: " before it and on one line.
std::string reason(std::string_view what) {
  if (const std::size_t at = what.find(".cc:"); at != what.npos) {
    const std::size_t end = what.find(": ", at);
    if (end != what.npos) what.remove_prefix(end + 2);
  }
  std::string text(what.substr(0, 300));
  std::ranges::replace(text, '\n', ' ');
  while (text.ends_with(' ')) text.pop_back();
  return text;
}

// The counts of a regular expression or EBNF: {n}, {n,m}.
std::int64_t counted(std::string_view pattern) {
  std::int64_t sum = 0;
  for (std::size_t at = pattern.find('{'); at != pattern.npos; at = pattern.find('{', at + 1)) {
    std::int64_t number = 0, largest = 0;
    for (const char c : pattern.substr(at + 1, pattern.find('}', at) - at - 1)) {
      number = c >= '0' && c <= '9' ? std::min(number * 10 + (c - '0'), kMostPlaces + 1) : 0;
      largest = std::max(largest, number);
    }
    sum += largest;
  }
  return sum;
}

// About how many places a format will have: a few for every part of it, one for every repeat that is counted.
std::int64_t places(const files::Json& part) {
  if (!part.is_structured()) return 0;
  std::int64_t sum = part.is_object() ? 2 : 0;
  for (const auto& [name, value] : part.items()) {
    const bool count = name == "maxLength" || name == "minLength" || name == "maxItems" || name == "minItems";
    if (count && value.is_number_integer())
      sum += std::clamp<std::int64_t>(value.get<std::int64_t>(), 0, kMostPlaces + 1);
    if ((name == "pattern" || name == "grammar") && value.is_string())
      sum += counted(value.get_ref<const std::string&>());
    sum += places(value);
  }
  return sum;
}

// Bytes of every token. Padding and control tokens have none, so that no grammar lets one through.
std::vector<std::string> token_bytes(const tokens::Tokenizer& tokenizer, std::span<const TokenId> kept) {
  std::vector<std::string> bytes(static_cast<std::size_t>(tokenizer.vocabulary_size()));
  for (TokenId id = 0; id < tokenizer.vocabulary_size(); ++id) {
    if (tokenizer.is_control(id) && std::ranges::find(kept, id) == kept.end()) continue;
    bytes[static_cast<std::size_t>(id)] = tokenizer.bytes(id);
  }
  return bytes;
}

}  // namespace

struct Compiled::Impl {
  xgrammar::CompiledGrammar grammar;
  std::size_t words;
};

struct Matcher::Impl {
  xgrammar::GrammarMatcher matcher;
  std::vector<std::uint32_t> mask;
};

struct Compiler::Vocabulary {
  Vocabulary(const std::vector<std::string>& bytes, std::span<const TokenId> stops)
      : info(bytes, xgrammar::VocabType::RAW, static_cast<int>(bytes.size()),
             std::vector<std::int32_t>(stops.begin(), stops.end())),
        compiler(info, kThreads, true, kCacheBytes) {}

  xgrammar::TokenizerInfo info;
  mutable xgrammar::GrammarCompiler compiler;
};

struct Compiler::Lazy {
  std::once_flag once[2];
  std::unique_ptr<Vocabulary> vocabulary[2];
};

Compiler::Compiler(const tokens::Tokenizer& tokenizer, std::span<const TokenId> stop_tokens, tokens::ToolSyntax syntax)
    : tokenizer_(&tokenizer),
      stops_(stop_tokens.begin(), stop_tokens.end()),
      syntax_(syntax),
      lazy_(std::make_unique<Lazy>()) {}

Compiler::~Compiler() = default;

const Compiler::Vocabulary& Compiler::vocabulary(bool with_tools) const {
  std::unique_ptr<Vocabulary>& made = lazy_->vocabulary[with_tools];
  std::call_once(lazy_->once[with_tools], [&] {
    const auto kept = tokens::tool_tokens(*tokenizer_, with_tools ? syntax_ : tokens::ToolSyntax::kNone);
    made = std::make_unique<Vocabulary>(token_bytes(*tokenizer_, kept), stops_);
  });
  return *made;
}

Result<Compiled> Compiler::compile(const Format& format, bool with_tools) const try {
  const std::string text = files::Json{{"type", "structural_tag"}, {"format", format}}.dump();
  if (text.size() > kMostFormatBytes)
    return fail("the grammar of the answer takes {} bytes, at most {} are compiled", text.size(), kMostFormatBytes);
  if (const std::int64_t size = places(format); size > kMostPlaces)
    return fail(
        "the schema or grammar is too large to compile: its parts and counted repeats come to {}, at most {} are "
        "taken",
        size, kMostPlaces);
  const Vocabulary& words = vocabulary(with_tools);
  // First without the vocabulary: what is wrong or too large shows, and is not kept.
  const auto parsed = xgrammar::Grammar::FromStructuralTag(text, words.info);
  if (const auto* error = std::get_if<xgrammar::StructuralTagError>(&parsed))
    return fail("{}", reason(std::visit([](const auto& e) { return std::string(e.what()); }, *error)));
  if (const std::size_t size = std::get<xgrammar::Grammar>(parsed).ToString().size(); size > kMostGrammarBytes)
    return fail("the grammar of the answer has {} KiB of rules, at most {} are compiled: make the schema smaller",
                size >> 10, kMostGrammarBytes >> 10);
  const auto bits = static_cast<std::size_t>(tokenizer_->vocabulary_size());
  return Compiled(std::make_shared<const Compiled::Impl>(words.compiler.CompileStructuralTag(text), (bits + 31) / 32));
} catch (const std::exception& error) {
  return fail("{}", reason(error.what()));
}

Matcher Compiled::start() const {
  // A copy shares the compiled grammar; the matcher's own state is new.
  return Matcher(std::make_unique<Matcher::Impl>(xgrammar::GrammarMatcher(impl_->grammar),
                                                 std::vector<std::uint32_t>(impl_->words)));
}

Matcher::Matcher(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Matcher::Matcher(Matcher&&) noexcept = default;
Matcher& Matcher::operator=(Matcher&&) noexcept = default;
Matcher::~Matcher() = default;

std::span<const std::uint32_t> Matcher::allowed() try {
  auto& mask = impl_->mask;
  if (impl_->matcher.IsTerminated()) {
    std::ranges::fill(mask, 0);
    return mask;
  }
  std::int64_t shape[1] = {static_cast<std::int64_t>(mask.size())};
  DLTensor tensor{.data = mask.data(),
                  .device = {kDLCPU, 0},
                  .ndim = 1,
                  .dtype = xgrammar::GetBitmaskDLType(),
                  .shape = shape,
                  .strides = nullptr,
                  .byte_offset = 0};
  // False: everything may come, and the mask was not written.
  if (!impl_->matcher.FillNextTokenBitmask(&tensor)) std::ranges::fill(mask, ~std::uint32_t{0});
  return mask;
} catch (const std::exception&) {
  std::ranges::fill(impl_->mask, 0);  // nothing may come: the engine ends the run with an error
  return impl_->mask;
}

bool Matcher::accept(TokenId token) try { return impl_->matcher.AcceptToken(token); } catch (const std::exception&) {
  return false;
}

void Matcher::roll_back(int count) {
  impl_->matcher.Rollback(count);
}

}  // namespace fathom::grammar
