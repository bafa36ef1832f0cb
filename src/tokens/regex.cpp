// The differences between Oniguruma and PCRE2 that matter for tokenizers: `\s` (PCRE2 counts U+180E as space, Unicode
// and Oniguruma do not), `\w` (PCRE2 10.42 leaves out marks), `$` and `^` (always line ends in Ruby).
#include "tokens/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "tokens/utf8.h"

namespace fathom::tokens {
namespace {

constexpr std::size_t kLongestPattern = 64 * 1024;
constexpr std::uint32_t kDeepestNesting = 100;
// Backtracking steps for one match: proportional to the text for the patterns that tokenizers use (`\s*[\r\n]+` steps
// back over a whole run of spaces), and an end to those that explode.
constexpr std::uint32_t kStepsPerByte = 16;
constexpr std::uint32_t kFreeSteps = 1'000'000;
constexpr std::uint32_t kHeapLimitKiB = 64 * 1024;

// Unicode White_Space and what is left, as ranges that a class can hold.
constexpr std::string_view kSpaces =
    R"(\x{9}-\x{D}\x{20}\x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000})";
constexpr std::string_view kNotSpaces =
    R"(\x{0}-\x{8}\x{E}-\x{1F}\x{21}-\x{84}\x{86}-\x{9F}\x{A1}-\x{167F}\x{1681}-\x{1FFF}\x{200B}-\x{2027})"
    R"(\x{202A}-\x{202E}\x{2030}-\x{205E}\x{2060}-\x{2FFF}\x{3001}-\x{D7FF}\x{E000}-\x{10FFFF})";
constexpr std::string_view kWord = R"(\p{L}\p{M}\p{Nd}\p{Pc})";

struct MatchContextFree {
  void operator()(pcre2_match_context* p) const { pcre2_match_context_free(p); }
};
struct CompileContextFree {
  void operator()(pcre2_compile_context* p) const { pcre2_compile_context_free(p); }
};
struct MatchDataFree {
  void operator()(pcre2_match_data* p) const { pcre2_match_data_free(p); }
};

std::string message_of(int code) {
  std::array<PCRE2_UCHAR, 256> buffer{};
  pcre2_get_error_message(code, buffer.data(), buffer.size());
  return reinterpret_cast<const char*>(buffer.data());
}

base::Result<std::string> translate_escape(char letter, bool in_class, std::string_view pattern) {
  const auto wrapped = [&](std::string_view ranges) {
    return in_class ? std::string(ranges) : "[" + std::string(ranges) + "]";
  };
  switch (letter) {
    case 's':
      return wrapped(kSpaces);
    case 'S':
      return wrapped(kNotSpaces);
    case 'w':
      return wrapped(kWord);
    case 'W':
      if (!in_class) return "[^" + std::string(kWord) + "]";
      return base::fail("pattern '{}': \\W inside a class is not supported", pattern);
    case 'h':
      return wrapped("0-9a-fA-F");
    case 'H':
    case 'R':
    case 'X':
    case 'K':
    case 'C':
    case 'g':
    case 'k':
    case 'G':
    case 'N':
    case 'O':
    case 'y':
    case 'Y':
      return base::fail("pattern '{}': \\{} is not supported in a pre-tokenizer", pattern, letter);
    default:
      return std::string{'\\', letter};
  }
}

}  // namespace

base::Result<std::string> pcre_from_oniguruma(std::string_view pattern) {
  // A search for `\s+$` tries every place of a long run of spaces, each time to its end. A run that does not match from
  // its first space matches from none, and after a match none is left in the same run, so starting at the first changes
  // nothing.
  if (pattern == R"(\s+$)") return fmt::format("(?<![{0}])[{0}]+$", kSpaces);
  std::string out;
  bool in_class = false;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    if (c == '\\' && i + 1 < pattern.size()) {
      auto escape = translate_escape(pattern[++i], in_class, pattern);
      if (!escape) return std::unexpected(escape.error());
      out += *escape;
      continue;
    }
    if (in_class && (c == '[' || (c == '&' && pattern.substr(i).starts_with("&&")))) {
      // Ruby nests and intersects classes, PCRE2 reads the same text as characters.
      return base::fail("pattern '{}': a class inside a class, or &&, is not supported (write \\[ or \\&)", pattern);
    }
    if (!in_class && pattern.substr(i).starts_with("(*")) {
      return base::fail("pattern '{}': (* is not supported", pattern);
    }
    if (c == '[' && !in_class) {
      in_class = true;
    } else if (c == ']' && in_class) {
      in_class = false;
    }
    out += c;
  }
  return out;
}

struct Regex::Code {
  struct Free {
    void operator()(pcre2_code* p) const { pcre2_code_free(p); }
  };
  std::unique_ptr<pcre2_code, Free> code;
};

struct Regex::Matches::State {
  const pcre2_code* code;
  std::string_view text;
  std::unique_ptr<pcre2_match_data, MatchDataFree> data;
  std::unique_ptr<pcre2_match_context, MatchContextFree> context;
};

static base::Result<pcre2_code*> compile_pcre(std::string_view pattern, std::string_view shown, std::uint32_t options) {
  if (pattern.size() > kLongestPattern) {
    return base::fail("pattern of {} bytes: a pre-tokenizer's may have {}", pattern.size(), kLongestPattern);
  }
  const std::unique_ptr<pcre2_compile_context, CompileContextFree> context(pcre2_compile_context_create(nullptr));
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  pcre2_set_parens_nest_limit(context.get(), kDeepestNesting);
  int error = 0;
  PCRE2_SIZE offset = 0;
  pcre2_code* code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(), options, &error,
                                   &offset, context.get());
  if (code == nullptr) return base::fail("pattern '{}': {} (at byte {})", shown, message_of(error), offset);
  // Without the JIT (some machines forbid writable code) the interpreter gives the same matches, slower.
  pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
  return code;
}

base::Result<Regex> Regex::compile(std::string_view pattern) {
  if (utf8::valid_prefix(pattern) != pattern.size()) return base::fail("a pre-tokenizer's pattern is not UTF-8");
  auto translated = pcre_from_oniguruma(pattern);
  if (!translated) return std::unexpected(translated.error());
  constexpr std::uint32_t options =
      PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C | PCRE2_NO_AUTO_CAPTURE;
  auto code = compile_pcre(*translated, pattern, options);
  if (!code) return std::unexpected(code.error());
  auto owned = std::make_unique<Code>();
  owned->code.reset(*code);
  return Regex(std::move(owned));
}

base::Result<Regex> Regex::compile_literal(std::string_view text) {
  auto code = compile_pcre(text, text, PCRE2_UTF | PCRE2_LITERAL);
  if (!code) return std::unexpected(code.error());
  auto owned = std::make_unique<Code>();
  owned->code.reset(*code);
  return Regex(std::move(owned));
}

Regex::Regex(std::unique_ptr<Code> code) : code_(std::move(code)) {}
Regex::Regex(Regex&&) noexcept = default;
Regex& Regex::operator=(Regex&&) noexcept = default;
Regex::~Regex() = default;

Regex::Matches::Matches(const Regex& regex) : state_(std::make_unique<State>()) {
  state_->code = regex.code_->code.get();
  state_->data.reset(pcre2_match_data_create(1, nullptr));
  state_->context.reset(pcre2_match_context_create(nullptr));
  pcre2_set_heap_limit(state_->context.get(), kHeapLimitKiB);
}

void Regex::Matches::start(std::string_view text) {
  state_->text = text;
  const std::uint64_t steps = kFreeSteps + std::uint64_t{kStepsPerByte} * text.size();
  pcre2_set_match_limit(state_->context.get(), static_cast<std::uint32_t>(std::min<std::uint64_t>(steps, UINT32_MAX)));
}

Regex::Matches::~Matches() = default;

bool Regex::Matches::next(std::size_t from, std::size_t& begin, std::size_t& end) {
  State& s = *state_;
  // The text was checked by whoever cut it: PCRE2's own check would read it again from here to its end, each time.
  constexpr std::uint32_t options = PCRE2_NO_UTF_CHECK;
  const auto subject = reinterpret_cast<PCRE2_SPTR>(s.text.data());
  int count = pcre2_match(s.code, subject, s.text.size(), from, options, s.data.get(), s.context.get());
  if (count == PCRE2_ERROR_JIT_STACKLIMIT) {
    count = pcre2_match(s.code, subject, s.text.size(), from, options | PCRE2_NO_JIT, s.data.get(), s.context.get());
  }
  if (count < 0) return false;
  const PCRE2_SIZE* offsets = pcre2_get_ovector_pointer(s.data.get());
  begin = offsets[0];
  end = offsets[1];
  return begin >= from && begin <= end && end <= s.text.size();
}

}  // namespace fathom::tokens
