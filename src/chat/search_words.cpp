// utf8proc knows the categories and the folding.
#include "chat/search_words.h"

#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <set>
#include <span>
#include <utility>

#include "chat/utf8_cut.h"

namespace fathom::chat {

namespace {

using Code = utf8proc_int32_t;

// The index has a list of its own for the first letters of words, so many of them; fewer say nothing yet.
constexpr std::size_t kShortestPrefix = 3;

bool between(Code code, Code low, Code high) {
  return code >= low && code <= high;
}

// Written without spaces, or with endings that grow onto the word.
bool is_letter(Code c) {
  return between(c, 0xAC00, 0xD7A3) || between(c, 0x4E00, 0x9FFF) || between(c, 0x3040, 0x30FF) ||
         between(c, 0x3400, 0x4DBF) || between(c, 0x20000, 0x3FFFF) || between(c, 0xF900, 0xFAFF) ||
         between(c, 0x3130, 0x318F) || between(c, 0x31F0, 0x31FF) || between(c, 0x1100, 0x11FF) || c == 0x3005;
}

bool is_word_part(Code c) {
  switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
      return true;
    default:
      return false;
  }
}

void append(std::string& text, Code code) {
  std::array<utf8proc_uint8_t, 4> bytes{};
  const auto size = utf8proc_encode_char(code, bytes.data());
  text.append(reinterpret_cast<const char*>(bytes.data()), static_cast<std::size_t>(size));
}

// Hangul that comes as its parts (macOS writes file names so), put together as Unicode's section 3.12 does.
constexpr Code kSyllables = 0xAC00, kLeads = 0x1100, kVowels = 0x1161, kTails = 0x11A7;
constexpr Code kVowelCount = 21, kTailCount = 28;

class UnitReader {
 public:
  explicit UnitReader(std::string_view text) : text_(text) {}

  std::vector<SearchUnit> read() {
    const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text_.data());
    for (std::size_t at = 0; at < text_.size();) {
      Code code = -1;
      const auto size = utf8proc_iterate(bytes + at, static_cast<utf8proc_ssize_t>(text_.size() - at), &code);
      const std::size_t length = size > 0 ? static_cast<std::size_t>(size) : 1;
      if (size <= 0) {
        after_letter_ = false;
        end_word();
      } else {
        take(code, at, at + length);
      }
      at += length;
    }
    end_word();
    return std::move(units_);
  }

 private:
  void take(Code code, std::size_t begin, std::size_t end) {
    if (code < 0x80) {
      const bool upper = code >= 'A' && code <= 'Z';
      const bool word = upper || (code >= 'a' && code <= 'z') || (code >= '0' && code <= '9');
      return word ? add_to_word(upper ? code + 32 : code, begin, end) : add_gap();
    }
    if (is_letter(code)) return add_letter(code, begin, end);
    std::array<Code, 32> folded{};
    int ignored = 0;
    const auto options = static_cast<utf8proc_option_t>(UTF8PROC_COMPAT | UTF8PROC_CASEFOLD | UTF8PROC_DECOMPOSE);
    const auto count = utf8proc_decompose_char(code, folded.data(), folded.size(), options, &ignored);
    for (Code part : std::span(folded).first(static_cast<std::size_t>(std::clamp<utf8proc_ssize_t>(count, 0, 32)))) {
      if (between(part, 0x300, 0x36F)) continue;  // an accent
      if (is_letter(part)) {
        add_letter(part, begin, end);
      } else if (is_word_part(part)) {
        add_to_word(part, begin, end);
      } else {
        add_gap();
      }
    }
  }

  void add_gap() {
    after_letter_ = false;
    end_word();
  }

  void add_to_word(Code code, std::size_t begin, std::size_t end) {
    after_letter_ = false;
    if (word_.text.empty()) word_.begin = begin;
    word_.end = end;
    append(word_.text, code);
  }

  void end_word() {
    if (word_.text.empty()) return;
    units_.push_back(std::exchange(word_, {}));
  }

  void add_letter(Code code, std::size_t begin, std::size_t end) {
    end_word();
    if (after_letter_ && compose(code, end)) return;
    SearchUnit unit{.begin = begin, .end = end, .letter = true, .joined = after_letter_};
    append(unit.text, code);
    units_.push_back(std::move(unit));
    last_ = code;
    after_letter_ = true;
  }

  // Whether the code is a part of the syllable that the last letter began.
  bool compose(Code code, std::size_t end) {
    const bool lead_and_vowel =
        between(last_, kLeads, kLeads + 18) && between(code, kVowels, kVowels + kVowelCount - 1);
    const bool open_syllable = between(last_, kSyllables, 0xD7A3) && (last_ - kSyllables) % kTailCount == 0;
    if (lead_and_vowel) {
      last_ = kSyllables + ((last_ - kLeads) * kVowelCount + code - kVowels) * kTailCount;
    } else if (open_syllable && between(code, kTails + 1, kTails + kTailCount - 1)) {
      last_ += code - kTails;
    } else {
      return false;
    }
    units_.back().text.clear();
    append(units_.back().text, last_);
    units_.back().end = end;
    return true;
  }

  std::string_view text_;
  std::vector<SearchUnit> units_;
  SearchUnit word_;
  Code last_ = 0;
  bool after_letter_ = false;
};

std::size_t start_of_character(std::string_view text, std::size_t at) {
  while (at > 0 && at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) --at;
  return at;
}

}  // namespace

std::vector<SearchUnit> search_units(std::string_view text) {
  return UnitReader(text).read();
}

std::string any_word_of(std::string_view text) {
  constexpr std::size_t kMostWords = 64;
  const auto units = search_units(text.substr(0, 16384));
  std::set<std::string> words;
  for (std::size_t i = 0; i < units.size() && words.size() < kMostWords; ++i) {
    const bool pair = i + 1 < units.size() && units[i + 1].joined;
    if (pair) words.insert(units[i].text + units[i + 1].text);
    if (!pair && !units[i].joined) words.insert(units[i].text);
  }
  std::string expression;
  for (const std::string& word : words) expression += fmt::format("{}\"{}\"", expression.empty() ? "" : " OR ", word);
  return expression;
}

SearchQuery::SearchQuery(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n";
  for (std::size_t at = text.find_first_not_of(kBlanks); at != text.npos; at = text.find_first_not_of(kBlanks, at)) {
    const std::size_t end = std::min(text.find_first_of(kBlanks, at), text.size());
    const auto units = search_units(text.substr(at, end - at));
    at = end;
    if (units.empty()) continue;  // a dash
    Word word;
    expression_ += expression_.empty() ? "\"" : " \"";
    for (const SearchUnit& unit : units) {
      if (!unit.joined && !word.empty()) expression_ += ' ';
      expression_ += unit.text;
      word.push_back(unit.text);
    }
    expression_ += '"';
    last_is_prefix_ = !units.back().letter && units.back().text.size() >= kShortestPrefix;
    words_.push_back(std::move(word));
  }
  if (last_is_prefix_) expression_ += '*';
}

// How many units from `at` on are a word of the query; the longest such, 0: none.
std::size_t SearchQuery::match(const std::vector<SearchUnit>& units, std::size_t at) const {
  std::size_t longest = 0;
  for (const Word& word : words_) {
    if (word.size() > units.size() - at || word.size() <= longest) continue;
    const bool prefix = last_is_prefix_ && &word == &words_.back();
    bool same = true;
    for (std::size_t i = 0; i < word.size() && same; ++i) {
      const std::string& found = units[at + i].text;
      same = prefix && i + 1 == word.size() ? found.starts_with(word[i]) : found == word[i];
    }
    if (same) longest = word.size();
  }
  return longest;
}

MarkedText SearchQuery::mark(std::string_view text, std::size_t most) const {
  const auto units = search_units(text);
  std::vector<std::pair<std::size_t, std::size_t>> hits;
  for (std::size_t at = 0; at < units.size();) {
    const std::size_t count = match(units, at);
    if (count > 0) hits.emplace_back(units[at].begin, units[at + count - 1].end);
    at += std::max<std::size_t>(count, 1);
  }
  std::size_t begin = 0, end = text.size();
  if (text.size() > most) {
    const std::size_t first = hits.empty() ? 0 : hits.front().first;
    begin = start_of_character(text, first > most / 3 ? first - most / 3 : 0);
    end = start_of_character(text, std::min(begin + most, text.size()));
  }
  MarkedText marked;
  const auto add = [&](std::size_t from, std::size_t to, bool hit) {
    if (from < to) marked.push_back({std::string(text.substr(from, to - from)), hit});
  };
  if (begin > 0) marked.push_back({"…", false});
  std::size_t at = begin;
  for (const auto& [from, to] : hits) {
    if (from < at || to > end) continue;
    add(at, from, false);
    add(from, to, true);
    at = to;
  }
  add(at, end, false);
  if (end < text.size()) marked.push_back({"…", false});
  return marked;
}

}  // namespace fathom::chat
