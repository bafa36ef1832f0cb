// A string of the template language that knows of each byte whether the template wrote it (trusted) or a conversation
// did. Every operation carries the marks along, so that a prompt's pieces are right however a template shuffles them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace fathom::tokens::jinja {

struct Text {
  std::string bytes;
  std::string trust;  // as long as `bytes`: kTrusted or kUntrusted for each

  static constexpr char kTrusted = 1, kUntrusted = 0;

  Text() = default;
  Text(std::string_view text, bool trusted) : bytes(text), trust(text.size(), trusted ? kTrusted : kUntrusted) {}

  std::size_t size() const { return bytes.size(); }
  bool empty() const { return bytes.empty(); }
  void append(const Text& other) {
    bytes += other.bytes;
    trust += other.trust;
  }
  void append(std::string_view text, bool trusted) {
    bytes += text;
    trust.append(text.size(), trusted ? kTrusted : kUntrusted);
  }
  void append_part(const Text& other, std::size_t begin, std::size_t size) {
    bytes.append(other.bytes, begin, size);
    trust.append(other.trust, begin, size);
  }
  Text part(std::size_t begin, std::size_t size) const {
    Text out;
    out.append_part(*this, begin, size);
    return out;
  }
};

using TextPtr = std::shared_ptr<const Text>;

// Python's strings are sequences of code points; bytes that are not UTF-8 count one each here.
std::size_t count_characters(std::string_view text);
// Where each character starts, and the end of the text.
std::vector<std::size_t> character_starts(std::string_view text);

bool is_python_space(char32_t c);  // str.isspace: White_Space and the separators U+001C to U+001F

enum class Side { kLeft, kRight, kBoth };
// Python's strip: of white space, or of the characters in `characters` where given.
Text strip(const Text& text, Side side, const std::string* characters = nullptr);

Text upper(const Text& text);
Text lower(const Text& text);
Text capitalize(const Text& text);  // the first character upper, the rest lower
Text title(const Text& text);       // str.title: each run of letters capitalised

// Python's str.replace; count < 0 replaces all. An empty `old` stands between all characters.
Text replace(const Text& text, std::string_view old, const Text& replacement, std::int64_t count);

// Python's str.split: by a separator, or by white space (separator nullptr); at most `limit` cuts where limit >= 0.
std::vector<Text> split(const Text& text, const std::string* separator, std::int64_t limit);
std::vector<Text> split_from_right(const Text& text, const std::string* separator, std::int64_t limit);
std::vector<Text> split_lines(const Text& text);

}  // namespace fathom::tokens::jinja
