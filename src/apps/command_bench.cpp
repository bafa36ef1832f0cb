// bench: prefill and decode speed of a model, beside what the machine's memory allows.
#include <algorithm>
#include <chrono>
#include <cstring>
#include <limits>
#include <memory>

#include "apps/commands.h"
#include "engine/pages.h"
#include "engine/runner.h"
#include "kernels/read_speed.h"
#include "model/sizes.h"

namespace fathom::apps {

using base::fail;
using base::Result;

namespace {

double seconds_of(auto&& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Bytes a second that all threads together read from memory, the best of three passes over half a gigabyte.
double read_bandwidth(base::ThreadPool& pool) {
  constexpr std::int64_t kWords = std::int64_t{1} << 26;
  const auto words = std::make_unique_for_overwrite<std::uint64_t[]>(static_cast<std::size_t>(kWords));
  std::fill_n(words.get(), kWords, 1);
  std::vector<std::uint64_t> sums(static_cast<std::size_t>(pool.threads()));
  double best = std::numeric_limits<double>::infinity();
  for (int pass = 0; pass < 3; ++pass)
    best = std::min(best, seconds_of([&] {
                      pool.loop(kWords, (kWords / (8 * pool.threads()) + 31) / 32 * 32,
                                [&](std::int64_t begin, std::int64_t end, int thread) {
                                  sums[static_cast<std::size_t>(thread)] +=
                                      kernels::sum_words(words.get() + begin, end - begin);
                                });
                    }));
  std::uint64_t total = 0;
  for (const std::uint64_t s : sums) total += s;
  FATHOM_CHECK(total == 3 * static_cast<std::uint64_t>(kWords));
  return static_cast<double>(kWords) * 8 / best;
}

// One sequence of arbitrary tokens, computed step by step.
class Bench {
 public:
  Bench(engine::Runner& runner, engine::PagePool pool) : runner_(runner), pool_(std::move(pool)) {
    while (pool_.free_pages() > 0) pages_.push_back(pool_.take());
  }

  // Feeds tokens at [first, first + n): a prompt in steps as the engine cuts it, or one at a time.
  void feed(std::int64_t first, std::int64_t n, bool prefill) {
    const std::int64_t most = prefill ? engine::kStepRows : 1;
    for (std::int64_t at = first; at < first + n; at += most) {
      rows_.clear();
      for (std::int64_t t = at; t < std::min(at + most, first + n); ++t)
        rows_.push_back({.token = token(t),
                         .position = static_cast<std::int32_t>(t),
                         .sequence = 0,
                         .prefill = prefill && engine::in_full_cell(t, first + n, runner_.prefill_cell()),
                         .logits = t + 1 == (prefill ? first + n : t + 1)});
      const model::SequencePages sequence{pages_};
      model::Step step = runner_.step(rows_, {&sequence, 1});
      runner_.model().forward(step);
    }
  }

 private:
  std::int32_t token(std::int64_t t) const {
    return static_cast<std::int32_t>(static_cast<std::uint64_t>(t) * 2654435761u %
                                     static_cast<std::uint64_t>(runner_.model().config().vocabulary));
  }

  engine::Runner& runner_;
  engine::PagePool pool_;
  std::vector<std::byte*> pages_;
  std::vector<model::Row> rows_;
};

struct Line {
  std::string_view what;
  std::int64_t n, depth;
  double seconds, bytes_per_token, bandwidth;
};

void print(const BenchFlags& flags, const Line& line) {
  const double rate = static_cast<double>(line.n) / line.seconds;
  const double share = rate * line.bytes_per_token / line.bandwidth;
  if (flags.json) {
    fmt::print(
        "{{\"name\": {}, \"what\": \"{}\", \"n\": {}, \"depth\": {}, \"tps\": {:.2f}, \"seconds\": {:.4f}, "
        "\"bytes_per_token\": {:.0f}, \"share_of_bandwidth\": {:.3f}}}\n",
        files::Json(flags.model).dump(), line.what, line.n, line.depth, rate, line.seconds, line.bytes_per_token,
        share);
  } else {
    fmt::print("{:8} {:6} tokens at {:6}: {:9.1f} tokens/s{}\n", line.what, line.n, line.depth, rate,
               line.what == "decode" ? fmt::format("  ({:.0f} % of the read bandwidth)", 100 * share) : "");
  }
  std::fflush(stdout);
}

}  // namespace

Status bench(const BenchFlags& flags) {
  auto path = resolve_model(flags.model);
  if (!path) return std::unexpected(path.error());
  const std::int64_t deepest = *std::ranges::max_element(flags.depth),
                     longest = *std::ranges::max_element(flags.prefill);
  const std::int64_t positions = std::max(deepest + std::max<std::int64_t>(flags.decode, 1) + 1, longest) + 1;
  engine::LoadOptions options = load_options(flags);
  if (positions > 1 << 30) return fail("{} positions are too many", positions);
  if (flags.context > 0 && flags.context < positions)
    return fail("these lengths need {} positions of context, more than --ctx {}", positions, flags.context);
  options.context = static_cast<int>(positions);
  options.note = {};  // lengths are chosen to be measured
  auto loaded = engine::Runner::load(*path, options);
  if (!loaded) return std::unexpected(loaded.error());
  engine::Runner& runner = **loaded;
  const auto& cache = runner.cache();
  auto pool = engine::PagePool::make(cache.page_bytes(), positions / cache.page_tokens + 1);
  if (!pool) return std::unexpected(pool.error());
  const double bandwidth = read_bandwidth(*runner.resources().pool);
  const auto sizes = model::sizes(runner.mutable_model());
  Bench b(runner, std::move(*pool));
  b.feed(0, std::min<std::int64_t>(longest, 64), true);  // touches the weights and sizes the arena
  for (const int n : flags.prefill) {
    const double seconds = seconds_of([&] { b.feed(0, n, true); });
    print(flags, {"prefill", n, 0, seconds, static_cast<double>(sizes.active_bytes) / n, bandwidth});
  }
  for (const int depth : flags.depth) {
    if (flags.decode <= 0) break;
    b.feed(0, std::max(depth, 1), true);
    const std::int64_t from = std::max(depth, 1);
    const double seconds = seconds_of([&] { b.feed(from, flags.decode, false); });
    const double cached =
        static_cast<double>(cache.bytes_per_token()) * (static_cast<double>(from) + flags.decode / 2.0);
    print(flags, {"decode", flags.decode, depth, seconds, static_cast<double>(sizes.active_bytes) + cached, bandwidth});
  }
  return {};
}

}  // namespace fathom::apps
