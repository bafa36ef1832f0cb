// The tokens are sorted, so those that share a beginning are neighbours: a walk down the text narrows the range of
// candidates byte by byte. A token's texts are short, so the whole search is linear.
#include "tokens/added_tokens.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "tokens/unicode.h"
#include "tokens/utf8.h"

namespace fathom::tokens {
namespace {

bool single_word_at(std::string_view text, Range range) {
  if (range.begin > 0 && is_word_character(character_before(text, range.begin))) return false;
  return range.end == text.size() || !is_word_character(utf8::unit_at(text, range.end).code);
}

Range with_white_space(std::string_view text, Range range, const AddedToken& token, std::size_t floor) {
  while (token.strip_left && range.begin > floor) {
    const std::size_t before = start_of_character_before(text, range.begin);
    if (before < floor || !is_white_space(utf8::unit_at(text, before).code)) break;
    range.begin = before;
  }
  while (token.strip_right && range.end < text.size()) {
    const utf8::Unit unit = utf8::unit_at(text, range.end);
    if (!is_white_space(unit.code)) break;
    range.end += unit.size;
  }
  return range;
}

}  // namespace

void AddedTokens::add(AddedToken token) {
  if (token.text.empty()) return;
  starts_[static_cast<std::uint8_t>(token.text.front())] = true;
  tokens_.push_back(std::move(token));
}

void AddedTokens::finish() {
  std::ranges::stable_sort(tokens_, {}, &AddedToken::text);
  const auto repeated = std::ranges::unique(tokens_, {}, &AddedToken::text);
  tokens_.erase(repeated.begin(), repeated.end());
}

const AddedToken* AddedTokens::longest_at(std::string_view text, std::size_t at, std::size_t trusted_end) const {
  const AddedToken* best = nullptr;
  auto low = tokens_.begin(), high = tokens_.end();
  for (std::size_t depth = 0; low != high && at + depth < text.size(); ++depth) {
    const char c = text[at + depth];
    const auto byte_at = [depth](const AddedToken& t) {
      return depth < t.text.size() ? static_cast<int>(static_cast<std::uint8_t>(t.text[depth])) : -1;
    };
    const auto same = std::ranges::equal_range(low, high, static_cast<int>(static_cast<std::uint8_t>(c)), {}, byte_at);
    low = same.begin();
    high = same.end();
    // The shortest of those that share this beginning stands first.
    if (low == high || low->text.size() != depth + 1) continue;
    const Range range{at, at + depth + 1};
    if (low->control && range.end > trusted_end) continue;
    if (low->single_word && !single_word_at(text, range)) continue;
    best = &*low;
  }
  return best;
}

std::vector<Segment> AddedTokens::split(std::string_view text, const std::vector<Range>& trusted) const {
  std::vector<Segment> segments;
  std::size_t done = 0;
  auto range = trusted.begin();
  for (std::size_t at = 0; at < text.size();) {
    if (!starts_[static_cast<std::uint8_t>(text[at])]) {
      ++at;
      continue;
    }
    while (range != trusted.end() && range->end <= at) ++range;
    const std::size_t trusted_end = range != trusted.end() && range->begin <= at ? range->end : 0;
    const AddedToken* token = longest_at(text, at, trusted_end);
    if (token == nullptr) {
      ++at;
      continue;
    }
    const Range found = with_white_space(text, {at, at + token->text.size()}, *token, done);
    if (found.begin > done) segments.push_back({{done, found.begin}});
    segments.push_back({found, token->id});
    done = at = found.end;
  }
  if (done < text.size()) segments.push_back({{done, text.size()}});
  return segments;
}

}  // namespace fathom::tokens
