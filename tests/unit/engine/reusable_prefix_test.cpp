#include "engine/reusable_prefix.h"

#include <gtest/gtest.h>

#include <map>
#include <utility>

namespace fathom::engine {
namespace {

using Ids = std::vector<tokens::TokenId>;
using Forms = std::vector<std::uint8_t>;
constexpr std::int64_t kPage = 2;

// Pages that are there, as letters: the form 'e' or 'a' of each page of a chain, upper case where it holds an answer.
class Kept {
 public:
  explicit Kept(Ids ids) : ids_(std::move(ids)) {}

  void add(std::string_view forms) {
    PageKey key = first_key({}, "");
    for (std::size_t p = 0; p < forms.size(); ++p) {
      key = next_key(key, tokens(p), forms[p] == 'e' || forms[p] == 'E');
      auto& answer = pages_[{key.low, key.high}];
      answer |= forms[p] == 'E' || forms[p] == 'A';
    }
  }
  // The forms of the pages that a prompt of all tokens begins with, which would compute its own in `own`.
  std::string reused(std::string_view own) const {
    Forms expanded;
    for (const char form : own) expanded.push_back(form == 'e');
    std::string forms;
    for (const auto& page : reusable_prefix(ids_, first_key({}, ""), kPage, expanded, [&](const PageKey& key, auto) {
           const auto at = pages_.find({key.low, key.high});
           return at == pages_.end() ? std::nullopt : std::optional(at->second);
         }))
      forms += page.expanded ? 'e' : 'a';
    return forms;
  }

 private:
  std::span<const tokens::TokenId> tokens(std::size_t page) const {
    return std::span(ids_).subspan(page * kPage, kPage);
  }
  Ids ids_;
  std::map<std::pair<std::uint64_t, std::uint64_t>, bool> pages_;
};

Ids eleven() {
  return {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
}

TEST(ReusablePrefix, NothingWhereNothingIsKept) {
  EXPECT_EQ(Kept(eleven()).reused("eeeea"), "");
}

TEST(ReusablePrefix, LeavesATokenToCompute) {
  Kept kept({1, 2, 3, 4});
  kept.add("ee");
  EXPECT_EQ(kept.reused("ee"), "e");
}

TEST(ReusablePrefix, PagesInTheFormThatThePromptWouldCompute) {
  Kept kept(eleven());
  kept.add("eeaa");                         // a prompt whose last cell began at the third page
  EXPECT_EQ(kept.reused("eeaaa"), "eeaa");  // one that ends in the same cell
  EXPECT_EQ(kept.reused("eeeea"), "ee");    // a longer one has that cell full
  EXPECT_EQ(kept.reused("aaaaa"), "");      // a shorter one has no full cell
}

TEST(ReusablePrefix, AConversationGoesOnWithWhatItHad) {
  Kept kept(eleven());
  kept.add("aaAA");
  EXPECT_EQ(kept.reused("eeeea"), "aaaa");
}

TEST(ReusablePrefix, AfterAnAnswerOnlyWhatThePromptWouldComputeTheSameWay) {
  Kept kept(eleven());
  kept.add("aAaa");
  EXPECT_EQ(kept.reused("eeeea"), "aa");
  EXPECT_EQ(kept.reused("eeaaa"), "aaaa");
}

TEST(ReusablePrefix, TheLongestOfSeveralChains) {
  Kept kept(eleven());
  kept.add("ee");    // another conversation that begins the same way
  kept.add("aaAA");  // this one
  EXPECT_EQ(kept.reused("eeeea"), "aaaa");
  kept.add("eeeee");
  EXPECT_EQ(kept.reused("eeeea"), "eeee");
  kept.add("eeeeA");
  EXPECT_EQ(kept.reused("eeeea"), "eeeea");
}

}  // namespace
}  // namespace fathom::engine
