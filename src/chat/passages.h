// A text cut into passages that can be searched and given by their place.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace fathom::chat {

inline constexpr std::size_t kPassageBytes = 1200;  // some 300 tokens: several fit into a small context

// Where a passage stands: lines of a text, or the page of a document whose pages form feeds part; both from 1.
struct Passage {
  std::size_t from = 0, to = 0;  // bytes of the text
  std::int64_t first = 1, last = 1;
};

// Passages follow one another and hold all of the text. Each is whole lines, some kPassageBytes of them, ending at an
// empty line where there is one; only a longer line is cut, between words where it has any. With `pages` none goes over
// the end of a page.
std::vector<Passage> cut_into_passages(std::string_view text, bool pages);

}  // namespace fathom::chat
