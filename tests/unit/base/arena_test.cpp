#include "base/arena.h"

#include <gtest/gtest.h>

#include <cstring>

namespace fathom::base {
namespace {

TEST(Arena, HandsOutAlignedMemoryThatDoesNotOverlap) {
  Arena arena;
  std::byte* a = arena.bytes(100);
  std::byte* b = arena.bytes(3'000'000);
  std::byte* c = arena.bytes(1);
  for (std::byte* p : {a, b, c}) EXPECT_EQ(reinterpret_cast<std::uintptr_t>(p) % 64, 0u);
  std::memset(a, 1, 100);
  std::memset(b, 2, 3'000'000);
  std::memset(c, 3, 1);
  EXPECT_EQ(a[99], std::byte{1});
  EXPECT_EQ(b[2'999'999], std::byte{2});
}

TEST(Arena, StopsAllocatingOnceItKnowsTheNeed) {
  Arena arena;
  const auto step = [&] {
    arena.reset();
    for (int i = 0; i < 10; ++i) arena.bytes(500'000);
  };
  step();
  step();
  const std::size_t settled = arena.capacity();
  for (int i = 0; i < 5; ++i) step();
  EXPECT_EQ(arena.capacity(), settled);
}

TEST(Arena, ReleaseGivesTheSameMemoryAgain) {
  Arena arena;
  arena.bytes(64);
  const auto mark = arena.mark();
  std::byte* first = arena.bytes(1000);
  arena.release(mark);
  EXPECT_EQ(arena.bytes(1000), first);
}

}  // namespace
}  // namespace fathom::base
