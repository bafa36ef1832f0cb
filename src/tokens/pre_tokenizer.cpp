// Each step turns the list of pieces into a finer one.
#include "tokens/pre_tokenizer.h"

#include <utility>

namespace fathom::tokens {
namespace {

struct Stretch {
  std::string_view text;
  bool match = false;
};

void find_stretches(Regex::Matches& matches, std::string_view text, bool invert, std::vector<Stretch>& out) {
  out.clear();
  matches.start(text);
  std::size_t done = 0, from = 0, begin = 0, end = 0;
  while (from <= text.size() && matches.next(from, begin, end)) {
    if (begin > done) out.push_back({text.substr(done, begin - done), invert});
    if (end > begin) out.push_back({text.substr(begin, end - begin), !invert});
    done = end;
    from = end;
    if (begin == end) {  // an empty match still cuts, and the search goes on after the next character
      ++from;
      while (from < text.size() && (static_cast<unsigned char>(text[from]) & 0xC0) == 0x80) ++from;
    }
  }
  if (done < text.size()) out.push_back({text.substr(done), invert});
}

std::string_view joined(std::string_view left, std::string_view right) {
  return {left.data(), left.size() + right.size()};
}

void emit(const std::vector<Stretch>& stretches, SplitBehavior behavior, std::vector<std::string_view>& out) {
  const std::size_t first = out.size();
  bool previous = false;
  switch (behavior) {
    case SplitBehavior::kIsolated:
      for (const Stretch& s : stretches) out.push_back(s.text);
      return;
    case SplitBehavior::kRemoved:
      for (const Stretch& s : stretches) {
        if (!s.match) out.push_back(s.text);
      }
      return;
    case SplitBehavior::kContiguous:
      for (const Stretch& s : stretches) {
        if (out.size() > first && s.match == previous) {
          out.back() = joined(out.back(), s.text);
        } else {
          out.push_back(s.text);
        }
        previous = s.match;
      }
      return;
    case SplitBehavior::kMergedWithPrevious:
      for (const Stretch& s : stretches) {
        if (out.size() > first && s.match && !previous) {
          out.back() = joined(out.back(), s.text);
        } else {
          out.push_back(s.text);
        }
        previous = s.match;
      }
      return;
    case SplitBehavior::kMergedWithNext:
      for (const Stretch& s : stretches) {
        if (out.size() > first && previous && !s.match) {
          out.back() = joined(out.back(), s.text);
        } else {
          out.push_back(s.text);
        }
        previous = s.match;
      }
      return;
  }
}

}  // namespace

base::Result<void> PreTokenizer::add_split(std::string_view pattern, SplitBehavior behavior, bool invert) {
  auto regex = Regex::compile(pattern);
  if (!regex) return std::unexpected(regex.error());
  Step& step = steps_.emplace_back();
  step.regex.push_back(std::move(*regex));
  step.behavior = behavior;
  step.invert = invert;
  return {};
}

base::Result<void> PreTokenizer::add_literal_split(std::string_view text, SplitBehavior behavior, bool invert) {
  auto regex = Regex::compile_literal(text);
  if (!regex) return std::unexpected(regex.error());
  Step& step = steps_.emplace_back();
  step.regex.push_back(std::move(*regex));
  step.behavior = behavior;
  step.invert = invert;
  return {};
}

void PreTokenizer::add_prefix_space() {
  steps_.emplace_back();
}

std::vector<std::string_view> PreTokenizer::split(std::string_view text, std::deque<std::string>& storage) const {
  std::vector<std::string_view> pieces, finer;
  if (!text.empty()) pieces.push_back(text);
  std::vector<Stretch> stretches;
  for (const Step& step : steps_) {
    finer.clear();
    if (step.regex.empty()) {
      for (const std::string_view piece : pieces) {
        finer.push_back(piece.front() == ' ' ? piece : storage.emplace_back(" " + std::string(piece)));
      }
    } else {
      Regex::Matches matches(step.regex.front());
      for (const std::string_view piece : pieces) {
        find_stretches(matches, piece, step.invert, stretches);
        emit(stretches, step.behavior, finer);
      }
    }
    std::swap(pieces, finer);
  }
  return pieces;
}

}  // namespace fathom::tokens
