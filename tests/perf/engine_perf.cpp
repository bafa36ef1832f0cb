// perf_engine MODEL [TOKENS [THREADS]]
// What people wait for, measured on the real engine and printed as JSON lines:
//   gap      a stream runs, a prompt of TOKENS (8192) enters: the longest gap between the stream's tokens, in plain
//   steps restart  a conversation of TOKENS goes on with 32 more after the engine was ended and loaded again with its
//   disk cache
// To be run where nothing else runs.
#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <vector>

#include "engine/batch_engine.h"
#include "engine/disk_cache.h"

namespace fathom::engine {
namespace {

using Clock = std::chrono::steady_clock;
using Ids = std::vector<tokens::TokenId>;

double seconds(Clock::duration d) {
  return std::chrono::duration<double>(d).count();
}

// When the tokens of a run came.
struct Watched {
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<Clock::time_point> times;
  Ids ids;
  RunStatistics statistics;
  bool ended = false;

  TokenSink sink() {
    return [this](const TokenEvent& event, const RunStatistics& s) {
      const std::scoped_lock lock(mutex);
      times.push_back(Clock::now());
      if (event.token >= 0) ids.push_back(event.token);
      statistics = s;
      ended = event.finish != FinishReason::kNone;
      changed.notify_all();
      return true;
    };
  }
  void wait_for(std::size_t tokens) {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return ended || times.size() >= tokens; });
  }
  std::size_t count() {
    const std::scoped_lock lock(mutex);
    return times.size();
  }
};

struct Loaded {
  std::unique_ptr<Runner> runner;
  std::unique_ptr<BatchEngine> engine;

  Loaded(const std::string& path, int threads, std::shared_ptr<DiskCache> disk) {
    auto loaded = Runner::load(path, {.threads = threads});
    if (!loaded) die(loaded.error());
    runner = std::move(*loaded);
    auto made = BatchEngine::make(*runner, {}, {.disk = std::move(disk)});
    if (!made) die(made.error());
    engine = std::move(*made);
  }
  [[noreturn]] static void die(const base::Error& error) {
    fmt::print(stderr, "perf_engine: {}\n", error.message);
    std::exit(1);
  }
  void ask(const Ids& prompt, int tokens, std::string owner, Watched& watched) {
    const auto run = engine->submit({.prompt = prompt,
                                     .sampling = {.temperature = 0},
                                     .max_tokens = tokens,
                                     .ignore_stop = true,
                                     .owner = std::move(owner)},
                                    watched.sink());
    if (!run) die(run.error());
  }
  Ids text(int n, std::uint64_t seed) const {
    Ids ids;
    for (int i = 0; i < n; ++i) {
      seed = seed * 6364136223846793005u + 1442695040888963407u;
      ids.push_back(
          static_cast<tokens::TokenId>((seed >> 33) % static_cast<std::uint64_t>(runner->model().config().vocabulary)));
    }
    return ids;
  }
};

void gap(const std::string& path, int tokens, int threads) {
  constexpr std::size_t kPlain = 24;
  Watched stream, prompt;  // before the engine, which calls them until it ends
  Loaded loaded(path, threads, nullptr);
  loaded.ask(loaded.text(16, 1), -1, "stream", stream);
  stream.wait_for(kPlain);
  loaded.ask(loaded.text(tokens, 2), 1, "prompt", prompt);
  prompt.wait_for(1);
  stream.wait_for(stream.count() + 1);
  std::vector<double> plain, beside;
  const std::scoped_lock lock(stream.mutex, prompt.mutex);
  for (std::size_t i = 1; i < stream.times.size(); ++i)
    (i < kPlain ? plain : beside).push_back(seconds(stream.times[i] - stream.times[i - 1]));
  std::ranges::sort(plain);
  std::ranges::sort(beside);
  const double step = plain[plain.size() / 2];
  fmt::print(
      "{{\"what\": \"gap\", \"tokens\": {}, \"plain_step\": {:.4f}, \"median_beside\": {:.4f}, \"longest\": {:.4f}, "
      "\"longest_in_plain_steps\": {:.2f}, \"prompt_seconds\": {:.2f}}}\n",
      tokens, step, beside[beside.size() / 2], beside.back(), beside.back() / step, prompt.statistics.prefill_seconds);
  std::fflush(stdout);
}

void restart(const std::string& path, int tokens, int threads) {
  std::string folder = (std::filesystem::temp_directory_path() / "perf_engine_XXXXXX").string();
  if (mkdtemp(folder.data()) == nullptr) Loaded::die({"no folder for the disk cache"});
  const auto disk = [&] {
    auto cache = DiskCache::open(folder, std::uint64_t{16} << 30);
    if (!cache) Loaded::die(cache.error());
    return *cache;
  };
  Ids talk;
  double first = 0;
  {
    Loaded loaded(path, threads, disk());
    Watched turn;
    talk = loaded.text(tokens - 64, 3);
    loaded.ask(talk, 64, "", turn);
    turn.wait_for(64);
    talk.insert(talk.end(), turn.ids.begin(), turn.ids.end());
    first = turn.statistics.prefill_seconds;
  }
  const auto load = Clock::now();
  Loaded loaded(path, threads, disk());
  const double load_seconds = seconds(Clock::now() - load);
  const Ids next = loaded.text(32, 4);
  talk.insert(talk.end(), next.begin(), next.end());
  Watched turn;
  const auto start = Clock::now();
  loaded.ask(talk, 1, "", turn);
  turn.wait_for(1);
  fmt::print(
      "{{\"what\": \"restart\", \"tokens\": {}, \"first_turn_seconds\": {:.2f}, \"load_seconds\": {:.2f}, "
      "\"to_first_token\": {:.3f}, \"cached_tokens\": {}}}\n",
      tokens, first, load_seconds, seconds(turn.times[0] - start), turn.statistics.cached_tokens);
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace fathom::engine

int main(int argc, char** argv) {
  if (argc < 2 || argc > 4) {
    fmt::print(stderr, "perf_engine MODEL [TOKENS [THREADS]]\n");
    return 2;
  }
  const int tokens = argc > 2 ? std::atoi(argv[2]) : 8192, threads = argc > 3 ? std::atoi(argv[3]) : 0;
  fathom::engine::gap(argv[1], tokens, threads);
  fathom::engine::restart(argv[1], tokens, threads);
}
