// Follows Jinja's own reading: newlines become "\n", one newline at the end of the template goes, `-` eats all white
// space on its side, the newline after a block goes, and so do blanks before a block that stands first on its line.
#include "tokens/jinja/lexer.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>

#include "tokens/jinja/text.h"
#include "tokens/unicode.h"
#include "tokens/utf8.h"

namespace fathom::tokens::jinja {
namespace {

std::string with_plain_newlines(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (std::size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r') {
      out += '\n';
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    } else {
      out += source[i];
    }
  }
  if (out.ends_with('\n')) out.pop_back();
  return out;
}

bool is_name_start(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || static_cast<unsigned char>(c) >= 0x80;
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_hex(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

std::size_t space_size(std::string_view text, std::size_t at) {
  if (at >= text.size()) return 0;
  const utf8::Unit unit = utf8::unit_at(text, at);
  return unit.kind == utf8::Kind::kCharacter && is_python_space(unit.code) ? unit.size : 0;
}

constexpr std::array<std::string_view, 30> kOperators = {"**", "//", "==", "!=", "<=", ">=", "+", "-", "*", "/",
                                                         "%",  "~",  "(",  ")",  "[",  "]",  "{", "}", "<", ">",
                                                         "=",  ".",  ":",  ",",  "|",  ";",  "!", "&", "^", "@"};

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(with_plain_newlines(source)), text_(source_) {}

  base::Result<std::vector<LexerToken>> run() {
    while (at_ < text_.size() && error_.empty()) read_data();
    if (!error_.empty()) return base::fail("line {}: {}", line_, error_);
    tokens_.push_back({TokenKind::kEnd, "", line_});
    return std::move(tokens_);
  }

 private:
  // Literal text up to the next tag, and the tag.
  void read_data() {
    std::size_t tag = at_;
    while ((tag = text_.find('{', tag)) != text_.npos) {
      if (tag + 1 < text_.size() && (text_[tag + 1] == '{' || text_[tag + 1] == '%' || text_[tag + 1] == '#')) break;
      ++tag;
    }
    if (tag == text_.npos) {
      add_data(text_.substr(at_));
      move_to(text_.size());
      return;
    }
    const char kind = text_[tag + 1];
    const char sign = tag + 2 < text_.size() ? text_[tag + 2] : ' ';
    add_data(before_tag(text_.substr(at_, tag - at_), kind, sign));
    move_to(tag);
    move_to(tag + (sign == '-' || sign == '+' ? 3 : 2));
    if (kind == '#') {
      skip_comment();
    } else if (kind == '%' && is_raw()) {
      read_raw();
    } else {
      read_tag(kind == '{');
    }
  }

  // The text before a tag, without the white space that the tag takes.
  std::string_view before_tag(std::string_view data, char kind, char sign) const {
    if (sign == '-') {
      std::size_t end = data.size();
      while (end > 0) {
        const std::size_t start = start_of_character_before(data, end);
        if (space_size(data, start) != end - start) break;
        end = start;
      }
      return data.substr(0, end);
    }
    if (sign == '+' || kind == '{') return data;
    const std::size_t line = data.rfind('\n') + 1;  // 0 where there is none
    if (line == 0 && !line_starts_) return data;
    for (std::size_t i = line; i < data.size();) {
      const std::size_t size = space_size(data, i);
      if (size == 0) return data;
      i += size;
    }
    return data.substr(0, line);
  }

  void skip_comment() {
    const std::size_t end = text_.find("#}", at_);
    if (end == text_.npos) return fail("a comment has no end (#})");
    const char sign = end > at_ ? text_[end - 1] : ' ';
    move_to(end + 2);
    after_block(sign);
  }

  // What the end of a block takes of the text behind it.
  void after_block(char sign) {
    if (sign == '-') {
      skip_space();
    } else if (sign != '+' && at_ < text_.size() && text_[at_] == '\n') {
      move_to(at_ + 1);
    }
    line_starts_ = at_ > 0 && text_[at_ - 1] == '\n';
  }

  std::size_t after_word(std::size_t at, std::string_view word) const {
    while (const std::size_t size = space_size(text_, at)) at += size;
    if (text_.substr(at, word.size()) != word) return text_.npos;
    at += word.size();
    while (const std::size_t size = space_size(text_, at)) at += size;
    return at;
  }

  bool is_raw() const {
    const std::size_t at = after_word(at_, "raw");
    return at != text_.npos && (text_.substr(at, 2) == "%}" || text_.substr(at, 3) == "-%}");
  }

  void read_raw() {
    std::size_t at = after_word(at_, "raw");
    const bool trims = text_[at] == '-';
    move_to(at + (trims ? 3 : 2));
    if (trims) skip_space();
    line_starts_ = at_ > 0 && text_[at_ - 1] == '\n';
    for (std::size_t tag = text_.find("{%", at_); tag != text_.npos; tag = text_.find("{%", tag + 2)) {
      const char sign = tag + 2 < text_.size() ? text_[tag + 2] : ' ';
      const std::size_t word = after_word(tag + (sign == '-' || sign == '+' ? 3 : 2), "endraw");
      if (word == text_.npos || word >= text_.size()) continue;
      const char end_sign = text_[word] == '-' || text_[word] == '+' ? text_[word] : ' ';
      const std::size_t close = word + (end_sign == ' ' ? 0 : 1);
      if (text_.substr(close, 2) != "%}") continue;
      add_data(before_tag(text_.substr(at_, tag - at_), '%', sign));
      move_to(close + 2);
      return after_block(end_sign);
    }
    fail("a raw block has no end");
  }

  void read_tag(bool variable) {
    tokens_.push_back({variable ? TokenKind::kVariableBegin : TokenKind::kBlockBegin, "", line_});
    const std::string_view close = variable ? "}}" : "%}";
    open_.clear();
    while (true) {
      skip_space();
      if (at_ >= text_.size()) return fail(variable ? "{{ has no end (}})" : "{% has no end (%})");
      const char sign = text_[at_];
      const bool signed_end = sign == '-' || (sign == '+' && !variable);
      if (open_.empty() && text_.substr(at_ + (signed_end ? 1 : 0), 2) == close) {
        tokens_.push_back({variable ? TokenKind::kVariableEnd : TokenKind::kBlockEnd, "", line_});
        move_to(at_ + (signed_end ? 3 : 2));
        if (!variable) return after_block(signed_end ? sign : ' ');
        if (signed_end) skip_space();
        line_starts_ = text_[at_ - 1] == '\n';
        return;
      }
      read_token();
      if (!error_.empty()) return;
    }
  }

  void read_token() {
    const char c = text_[at_];
    if (is_name_start(c)) {
      std::size_t end = at_;
      while (end < text_.size() && (is_name_start(text_[end]) || is_digit(text_[end]))) ++end;
      return take(TokenKind::kName, end);
    }
    if (is_digit(c)) return read_number();
    if (c == '"' || c == '\'') return read_string();
    for (const std::string_view op : kOperators) {
      if (text_.substr(at_, op.size()) != op) continue;
      if (op == "(" || op == "[" || op == "{") open_ += op == "(" ? ')' : op == "[" ? ']' : '}';
      if (op == ")" || op == "]" || op == "}") {
        if (open_.empty() || open_.back() != op[0]) return fail(fmt::format("'{}' closes nothing", op));
        open_.pop_back();
      }
      return take(TokenKind::kOperator, at_ + op.size());
    }
    fail(fmt::format("unexpected character '{}'", text_.substr(at_, 1)));
  }

  void read_number() {
    std::size_t end = at_;
    const auto digits = [&](auto is_one) {
      while (end < text_.size() &&
             (is_one(text_[end]) || (text_[end] == '_' && end + 1 < text_.size() && is_one(text_[end + 1]))))
        ++end;
    };
    if (text_[at_] == '0' && at_ + 2 < text_.size() && (text_[at_ + 1] | 0x20) == 'x' && is_hex(text_[at_ + 2])) {
      end += 2;
      digits(is_hex);
      return take(TokenKind::kInteger, end);
    }
    digits(is_digit);
    bool is_float = false;
    const bool after_dot = at_ > 0 && text_[at_ - 1] == '.';  // a.0.1 is an item of an item
    if (!after_dot && end + 1 < text_.size() && text_[end] == '.' && is_digit(text_[end + 1])) {
      is_float = true;
      ++end;
      digits(is_digit);
    }
    std::size_t exponent = end + 1;
    if (exponent < text_.size() && (text_[exponent] == '+' || text_[exponent] == '-')) ++exponent;
    if (!after_dot && end < text_.size() && (text_[end] | 0x20) == 'e' && exponent < text_.size() &&
        is_digit(text_[exponent])) {
      is_float = true;
      end = exponent;
      digits(is_digit);
    }
    take(is_float ? TokenKind::kFloat : TokenKind::kInteger, end);
  }

  void read_string() {
    const char quote = text_[at_];
    const int line = line_;
    std::string value;
    std::size_t i = at_ + 1;
    while (i < text_.size() && text_[i] != quote) {
      if (text_[i] == '\\' && i + 1 < text_.size()) {
        i = append_escape(value, i + 1);
      } else {
        value += text_[i++];
      }
    }
    if (i >= text_.size()) return fail("a string has no end");
    move_to(i + 1);
    tokens_.push_back({TokenKind::kString, std::move(value), line});
  }

  // Python's escapes; an unknown one stays as it stands. Returns where the string goes on.
  std::size_t append_escape(std::string& value, std::size_t at) const {
    const char c = text_[at];
    const auto hex = [&](std::size_t count) -> std::optional<char32_t> {
      char32_t code = 0;
      for (std::size_t k = 1; k <= count; ++k) {
        if (at + k >= text_.size() || !is_hex(text_[at + k])) return std::nullopt;
        const char d = text_[at + k];
        code = code * 16 + static_cast<char32_t>(is_digit(d) ? d - '0' : (d | 0x20) - 'a' + 10);
      }
      return code;
    };
    constexpr std::string_view simple = "abfnrtv\\'\"";
    constexpr std::string_view meaning = "\a\b\f\n\r\t\v\\'\"";
    if (const std::size_t k = simple.find(c); k != simple.npos) {
      value += meaning[k];
      return at + 1;
    }
    if (c == '\n') return at + 1;
    const std::size_t count = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    if (count > 0) {
      const auto code = hex(count);
      if (code && *code <= 0x10FFFF && (*code < 0xD800 || *code > 0xDFFF)) {
        utf8::append(value, *code);
        return at + 1 + count;
      }
    }
    if (c >= '0' && c <= '7') {
      char32_t code = 0;
      std::size_t k = at;
      for (; k < text_.size() && k < at + 3 && text_[k] >= '0' && text_[k] <= '7'; ++k) {
        code = code * 8 + static_cast<char32_t>(text_[k] - '0');
      }
      utf8::append(value, code);
      return k;
    }
    value += '\\';
    value += c;
    return at + 1;
  }

  void take(TokenKind kind, std::size_t end) {
    tokens_.push_back({kind, std::string(text_.substr(at_, end - at_)), line_});
    move_to(end);
  }

  void add_data(std::string_view data) {
    if (!data.empty()) tokens_.push_back({TokenKind::kData, std::string(data), line_});
  }

  void skip_space() {
    std::size_t end = at_;
    while (const std::size_t size = space_size(text_, end)) end += size;
    move_to(end);
  }

  void move_to(std::size_t to) {
    line_ += static_cast<int>(std::count(text_.begin() + static_cast<std::ptrdiff_t>(at_),
                                         text_.begin() + static_cast<std::ptrdiff_t>(to), '\n'));
    at_ = to;
  }

  void fail(std::string message) {
    if (error_.empty()) error_ = std::move(message);
  }

  const std::string source_;
  const std::string_view text_;
  std::size_t at_ = 0;
  int line_ = 1;
  bool line_starts_ = true;  // nothing but what was eaten stands before at_ on its line
  std::string open_;         // brackets that wait for their end, inside a tag
  std::vector<LexerToken> tokens_;
  std::string error_;
};

}  // namespace

base::Result<std::vector<LexerToken>> tokenize(std::string_view source) {
  return Lexer(source).run();
}

}  // namespace fathom::tokens::jinja
