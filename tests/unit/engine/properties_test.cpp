// What prefix reuse, resumption, batching and drafts lean on, for every architecture and variation of the goldens,
// every cache type, and the kernels that FATHOM_KERNELS names (ctest runs this once for each): a sequence gets the same
// bits whatever else is in the batch, however its prefill was cut into steps and whatever the number of threads.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "engine/pages.h"
#include "engine/runner.h"
#include "golden_cases.h"

namespace fathom::engine {
namespace {

using Case = GoldenCase;
using Ids = std::vector<tokens::TokenId>;
using Logits = std::vector<float>;  // [T][V]

constexpr int kCell = 8;           // small, so that short texts fill cells
constexpr std::size_t kLong = 60;  // positions looked at, of texts that are longer

std::unique_ptr<Runner> load(const Case& c, const std::string& cache_type, int threads) {
  auto runner =
      Runner::load(c.path, {.threads = threads, .context = 256, .cache_type = cache_type, .prefill_cell = kCell});
  EXPECT_TRUE(runner) << runner.error().message;
  return runner ? std::move(*runner) : nullptr;
}

// A sequence and how far it is computed.
class Sequence {
 public:
  Sequence(Runner& runner, Ids ids, std::size_t prompt)
      : ids_(std::move(ids)),
        prompt_(static_cast<std::int64_t>(prompt)),
        pool_(std::move(*PagePool::make(runner.cache().page_bytes(), runner.context() / runner.cache().page_tokens))),
        cell_(runner.prefill_cell()) {
    while (pool_.free_pages() > 0) pages_.push_back(pool_.take());
  }
  std::size_t left() const { return ids_.size() - done_; }
  void add_rows(std::vector<model::Row>& rows, std::int32_t index, std::size_t n) {
    for (std::size_t i = 0; i < n; ++i, ++done_)
      rows.push_back({.token = ids_[done_],
                      .position = static_cast<std::int32_t>(done_),
                      .sequence = index,
                      .prefill = in_full_cell(static_cast<std::int64_t>(done_), prompt_, cell_),
                      .logits = true});
  }
  model::SequencePages pages() const { return {pages_}; }

 private:
  Ids ids_;
  std::int64_t prompt_;
  std::size_t done_ = 0;
  PagePool pool_;
  std::vector<std::byte*> pages_;
  int cell_;
};

// Logits of all of a text whose first `prompt` tokens are a prompt, computed `step` rows at a time; with a companion, a
// second sequence takes part in every step, before and after the first in turn.
Logits compute(Runner& runner, const Ids& ids, std::size_t prompt, std::size_t step, bool companion = false) {
  Ids other(ids.rbegin(), ids.rend());
  Sequence sequence(runner, ids, prompt), beside(runner, other, other.size() / 2);
  const auto vocabulary = static_cast<std::size_t>(runner.model().config().vocabulary);
  Logits all;
  for (int turn = 0; sequence.left() > 0; ++turn) {
    const std::size_t n = std::min(step, sequence.left()), m = companion ? std::min<std::size_t>(3, beside.left()) : 0;
    const bool first = turn % 2 == 0;
    std::vector<model::Row> rows;
    if (!first) beside.add_rows(rows, 0, m);
    sequence.add_rows(rows, first ? 0 : 1, n);
    if (first) beside.add_rows(rows, 1, m);
    const model::SequencePages pages[2] = {first ? sequence.pages() : beside.pages(),
                                           first ? beside.pages() : sequence.pages()};
    model::Step s = runner.step(rows, pages);
    runner.model().forward(s);
    const auto own = s.logits.subspan(first ? 0 : m * vocabulary, n * vocabulary);
    all.insert(all.end(), own.begin(), own.end());
  }
  return all;
}

double largest_difference(const Logits& a, const Logits& b) {
  double mean = 0, square = 0, largest = 0;
  for (const float v : a) mean += v / static_cast<double>(a.size());
  for (const float v : a) square += (v - mean) * (v - mean) / static_cast<double>(a.size());
  for (std::size_t i = 0; i < a.size(); ++i) largest = std::max(largest, std::abs(static_cast<double>(a[i]) - b[i]));
  return largest / std::sqrt(square);
}

class Properties : public testing::TestWithParam<Case> {};

TEST_P(Properties, SameBitsForEveryCutBatchAndThreadCount) {
  for (const std::string type : {"f32", "bf16", "q8"}) {
    auto one = load(GetParam(), type, 1), three = load(GetParam(), type, 3);
    ASSERT_TRUE(one && three);
    const Ids& ids = GetParam().ids;
    const std::size_t prompt = ids.size() * 3 / 4;
    const Logits expected = compute(*one, ids, prompt, ids.size());
    for (const std::size_t step : {1, 5, 16})
      EXPECT_EQ(compute(*one, ids, prompt, step), expected) << type << ", steps of " << step;
    EXPECT_EQ(compute(*one, ids, prompt, 7, true), expected) << type << ", with another sequence";
    EXPECT_EQ(compute(*three, ids, prompt, 16, true), expected) << type << ", three threads";
  }
}

// A draft is verified as several rows past the prompt in one step; it gets the bits of as many single steps.
TEST_P(Properties, VerifiedDraftsGetTheBitsOfSingleSteps) {
  auto runner = load(GetParam(), "bf16", 2);
  ASSERT_TRUE(runner);
  EXPECT_EQ(compute(*runner, GetParam().ids, 1, 4), compute(*runner, GetParam().ids, 1, 1));
}

// Prefill of n tokens (full cells: the form for many rows) equals n single steps (the form for one) within 1e-4. With
// 8-bit activations a rounding may fall the other way, so the bound holds for models without block formats there; for
// those with them the scalar kernels show it.
TEST_P(Properties, PrefillEqualsSingleSteps) {
  auto runner = load(GetParam(), "f32", 2);
  ASSERT_TRUE(runner);
  if (runner->resources().pack && runner->model().cache_planes().size() == 1)
    GTEST_SKIP() << "8-bit activations between two forms of attention";
  const Ids& ids = GetParam().ids;
  EXPECT_LT(largest_difference(compute(*runner, ids, ids.size(), ids.size()), compute(*runner, ids, 0, 1)), 1e-4);
}

INSTANTIATE_TEST_SUITE_P(Goldens, Properties, testing::ValuesIn(golden_cases(kLong)), golden_test_name);

TEST(PropertiesData, IsThere) {
  EXPECT_GE(golden_cases(kLong).size(), 10u);
}

}  // namespace
}  // namespace fathom::engine
