// A fixed set of threads that share one loop at a time. The caller takes part; between loops that follow closely the
// others spin, so that the hundreds of short loops of a decode step cost a fraction of a microsecond each, and then
// sleep. A loop waits for the threads that take part in it alone: one that the system has put aside for another program
// comes too late, and nobody waits for it.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "base/function_ref.h"

namespace fathom::base {

class ThreadPool {
 public:
  // threads >= 1, the caller's included.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return threads_; }

  // Calls work(begin, end, thread) on disjoint ranges of at most `grain` items that cover [0, n), and returns when all
  // are done. Who gets which range is not determined. One caller at a time; work must not call the pool.
  using Work = FunctionRef<void(std::int64_t begin, std::int64_t end, int thread)>;
  void loop(std::int64_t n, std::int64_t grain, Work work);

 private:
  void worker(int thread);
  void leave();
  void close();
  void take_ranges(int thread);

  const int threads_;
  // The loop under way. Written by the caller while nobody is inside, read by workers once they are.
  const Work* work_ = nullptr;
  std::int64_t n_ = 0;
  std::int64_t grain_ = 1;
  alignas(64) std::atomic<std::int64_t> next_{0};
  alignas(64) std::atomic<std::uint32_t> round_{0};    // which loop, whether workers may enter it, how many are inside
  alignas(64) std::atomic<std::uint32_t> emptied_{0};  // how often the last one left a closed loop
  std::atomic<bool> stopping_{false};
  std::vector<std::jthread> workers_;
};

}  // namespace fathom::base
