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

// The parts of `round_`. Numbers of rounds wrap: a worker that slept through all of them misses one more, no harm.
constexpr std::uint32_t kInside = 0x3ff;  // workers inside
constexpr std::uint32_t kOpen = 0x400;
constexpr std::uint32_t kOne = 0x800;      // one round
constexpr int kMostThreads = kInside + 1;  // the caller's included

std::uint32_t number(std::uint32_t round) {
  return round / kOne;
}

}  // namespace

ThreadPool::ThreadPool(int threads) : threads_(threads) {
  FATHOM_CHECK(threads >= 1 && threads <= kMostThreads);
  for (int i = 1; i < threads; ++i) workers_.emplace_back([this, i] { worker(i); });
}

ThreadPool::~ThreadPool() {
  stopping_.store(true, std::memory_order_relaxed);
  round_.fetch_add(kOne);
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
  std::uint32_t last = number(round_.load());
  int spins = 0;
  while (!stopping_.load(std::memory_order_relaxed)) {
    std::uint32_t round = round_.load(std::memory_order_acquire);
    if ((round & kOpen) == 0 || number(round) == last) {
      if (++spins < kSpins) {
        relax();
      } else {
        round_.wait(round, std::memory_order_acquire);
      }
    } else if (round_.compare_exchange_weak(round, round + 1, std::memory_order_acquire, std::memory_order_relaxed)) {
      last = number(round);
      take_ranges(thread);
      leave();
      spins = 0;
    }
  }
}

void ThreadPool::leave() {
  const std::uint32_t before = round_.fetch_sub(1, std::memory_order_release);
  if ((before & kOpen) != 0 || (before & kInside) != 1) return;
  emptied_.fetch_add(1);
  emptied_.notify_one();
}

// Lets nobody else in and waits until those inside have left.
void ThreadPool::close() {
  round_.fetch_and(~kOpen, std::memory_order_acquire);
  for (int spins = 0; (round_.load(std::memory_order_acquire) & kInside) != 0;) {
    if (++spins < kSpins) {
      relax();
      continue;
    }
    const std::uint32_t emptied = emptied_.load();
    if ((round_.load() & kInside) != 0) emptied_.wait(emptied);
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
  round_.fetch_add(kOne + kOpen, std::memory_order_release);  // it is closed: the sum opens the next
  round_.notify_all();
  take_ranges(0);
  close();
}

}  // namespace fathom::base
