// A decode step allocates nothing: the engine's thread is watched from one step to the next.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <new>

#include "engine/batch_engine.h"
#include "engine/disk_cache.h"
#include "recalling_model.h"
#include "seen.h"

namespace {

thread_local bool watched = false;
std::atomic<int> allocations = 0;

void* allocate(std::size_t size, std::size_t alignment) {
  if (watched) ++allocations;
  if (void* p = std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment)) return p;
  std::abort();
}

}  // namespace

void* operator new(std::size_t size) {
  return allocate(size, alignof(std::max_align_t));
}
void* operator new(std::size_t size, std::align_val_t a) {
  return allocate(size, static_cast<std::size_t>(a));
}
void operator delete(void* p) noexcept {
  std::free(p);
}
void operator delete(void* p, std::size_t) noexcept {
  std::free(p);
}
void operator delete(void* p, std::align_val_t) noexcept {
  std::free(p);
}
void operator delete(void* p, std::size_t, std::align_val_t) noexcept {
  std::free(p);
}

namespace fathom::engine {
namespace {

void run_and_count(const EngineOptions& options) {
  auto model = std::make_unique<RecallingModel>(true);
  int steps = 0, counted = 0;
  model->on_step = [&](const model::Step& step) {
    // From the third step of decoding alone (the arena has its size) until pages enough were filled.
    const bool decoding = step.rows() == 2 && !step.row_list()[0].prefill;
    steps = decoding ? steps + 1 : 0;
    watched = steps > 3 && steps < 300;
    counted += watched ? 1 : 0;
  };
  auto runner = Runner::make(std::move(model), "recalling",
                             {.threads = 1, .context = 1000, .cache_type = "f32", .prefill_cell = 32});
  ASSERT_TRUE(runner);
  auto engine = BatchEngine::make(**runner, {}, options);
  ASSERT_TRUE(engine);
  Seen seen[2];
  for (auto& s : seen)
    ASSERT_TRUE((*engine)->submit({.prompt = {1, 2, 3}, .sampling = {.temperature = 0.5f}, .max_tokens = 400},
                                  [&s, n = 0](const TokenEvent& event, const RunStatistics&) mutable {
                                    if (++n < 400) return true;
                                    return s.sink()(event, {});
                                  }));
  for (auto& s : seen) s.wait();
  EXPECT_GT(counted, 200);
  EXPECT_EQ(allocations, 0);
}

TEST(Allocation, NoneInADecodeStep) {
  run_and_count({.speculate = Speculate::kNever});
}

TEST(Allocation, NoneWherePagesAreWrittenToDisk) {
  std::string folder = testing::TempDir() + "allocation_XXXXXX";
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  auto disk = DiskCache::open(folder, 1 << 20);
  ASSERT_TRUE(disk);
  run_and_count({.disk = *disk, .speculate = Speculate::kNever});
  EXPECT_GT((*disk)->status().written, 0u);
  disk->reset();
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace fathom::engine
