#include "engine/score.h"

#include <algorithm>
#include <vector>

#include "engine/pages.h"

namespace fathom::engine {

using base::fail;
using base::Result;

Result<void> check_tokens(std::span<const tokens::TokenId> ids, std::int64_t vocabulary) {
  if (ids.empty()) return fail("there are no tokens: expected at least one");
  for (std::size_t i = 0; i < ids.size(); ++i)
    if (ids[i] < 0 || ids[i] >= vocabulary)
      return fail("token {} (number {}) is outside the vocabulary of {}", ids[i], i + 1, vocabulary);
  return {};
}

namespace {

// A few hundred rows of logits at a time: [rows][V] of a large vocabulary is most of the memory a step takes.
constexpr std::int64_t kScoreRows = 128;

void each_logits(std::int64_t first, std::span<const float> logits, std::int64_t vocabulary,
                 const std::function<void(std::int64_t, std::span<const float>)>& sink) {
  for (std::int64_t i = 0; i * vocabulary < static_cast<std::int64_t>(logits.size()); ++i)
    sink(first + i, logits.subspan(static_cast<std::size_t>(i * vocabulary), static_cast<std::size_t>(vocabulary)));
}

}  // namespace

Result<void> score(Runner& runner, std::span<const tokens::TokenId> ids, const ScoreSinks& sinks) {
  const auto& config = runner.model().config();
  const auto count = static_cast<std::int64_t>(ids.size());
  if (auto ok = check_tokens(ids, config.vocabulary); !ok) return ok;
  if (count > runner.context()) return fail("{} tokens do not fit the context of {}", count, runner.context());
  if (sinks.mtp_logits && runner.model().drafts() == 0) return fail("{} has no MTP layer", runner.name());

  const auto& cache = runner.cache();
  const std::int64_t page_count = (count + cache.page_tokens - 1) / cache.page_tokens;
  auto pool = PagePool::make(cache.page_bytes(), page_count);
  if (!pool) return std::unexpected(pool.error());
  std::vector<std::byte*> pages;
  for (std::int64_t i = 0; i < page_count; ++i) pages.push_back(pool->take());
  const model::SequencePages sequence{pages};

  std::vector<model::Row> rows;
  for (std::int64_t first = 0; first < count; first += kScoreRows) {
    const std::int64_t last = std::min(first + kScoreRows, count);
    rows.clear();
    for (std::int64_t t = first; t < last; ++t)
      rows.push_back({.token = ids[static_cast<std::size_t>(t)],
                      .position = static_cast<std::int32_t>(t),
                      .sequence = 0,
                      .prefill = in_full_cell(t, count, runner.prefill_cell()),
                      .logits = true});
    model::Step step = runner.step(rows, {&sequence, 1});
    runner.model().forward(step);
    if (sinks.logits) each_logits(first, step.logits, config.vocabulary, sinks.logits);
    if (!sinks.mtp_logits) continue;
    // Row t pairs the hidden state at t with the token at t + 1; the last position has none.
    if (last == count) rows.pop_back();
    for (model::Row& row : rows) row.token = ids[static_cast<std::size_t>(row.position) + 1];
    if (rows.empty()) continue;
    model::Step draft(runner.resources(), rows, {&sequence, 1});
    runner.model().draft(draft, step.hidden);
    each_logits(first, draft.logits, config.vocabulary, sinks.mtp_logits);
  }
  return {};
}

}  // namespace fathom::engine
