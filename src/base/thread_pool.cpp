#include "base/thread_pool.h"

#include "base/error.h"

#if defined(__x86_64__)
#include <emmintrin.h>
#endif

namespace fathom::base {
namespace {

void relax() {
#if defined(__x86_64__)
  _mm_pause();
#endif
}

// About 50 to 100 microseconds of spinning: longer than the gaps between the loops of a step, far shorter than a pause
// between two answers.
constexpr int kSpins = 2000;

}  // namespace

ThreadPool::ThreadPool(int threads) : threads_(threads) {
  FATHOM_CHECK(threads >= 1);
  for (int i = 1; i < threads; ++i) workers_.emplace_back([this, i] { worker(i); });
}

ThreadPool::~ThreadPool() {
  stopping_.store(true, std::memory_order_relaxed);
  round_.fetch_add(1, std::memory_order_release);
  round_.notify_all();
}

void ThreadPool::take_ranges(int thread) {
  const Work& work = *work_;
  for (;;) {
    const std::int64_t begin = next_.fetch_add(grain_, std::memory_order_relaxed);
    if (begin >= n_) return;
    work(begin, begin + grain_ < n_ ? begin + grain_ : n_, thread);
  }
}

void ThreadPool::worker(int thread) {
  std::uint32_t seen = 0;
  for (;;) {
    int spins = 0;
    while (round_.load(std::memory_order_acquire) == seen) {
      if (++spins < kSpins) {
        relax();
      } else {
        round_.wait(seen, std::memory_order_acquire);
      }
    }
    // Rounds advance one at a time: the caller waits for every worker before it raises the next.
    ++seen;
    if (stopping_.load(std::memory_order_relaxed)) return;
    take_ranges(thread);
    if (running_.fetch_sub(1, std::memory_order_acq_rel) == 1) running_.notify_one();
  }
}

void ThreadPool::loop(std::int64_t n, std::int64_t grain, Work work) {
  FATHOM_CHECK(grain >= 1);
  if (n <= 0) return;
  if (threads_ == 1 || n <= grain) {
    for (std::int64_t begin = 0; begin < n; begin += grain) work(begin, begin + grain < n ? begin + grain : n, 0);
    return;
  }
  work_ = &work;
  n_ = n;
  grain_ = grain;
  next_.store(0, std::memory_order_relaxed);
  running_.store(threads_ - 1, std::memory_order_relaxed);
  round_.fetch_add(1, std::memory_order_release);
  round_.notify_all();
  take_ranges(0);
  int spins = 0;
  for (int left; (left = running_.load(std::memory_order_acquire)) != 0;) {
    if (++spins < kSpins) {
      relax();
    } else {
      running_.wait(left, std::memory_order_acquire);
    }
  }
}

}  // namespace fathom::base
