// What the writer writes, the reader reads; and a failed writing leaves nothing behind.
#include "files/gguf_writer.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <array>
#include <csignal>
#include <numeric>

#include "files/gguf.h"
#include "temporary_folder.h"

namespace fathom::files {
namespace {

using base::DType;

GgufWriter example() {
  GgufWriter writer;
  writer.set_string("general.architecture", "test");
  writer.set_u32("test.block_count", 2);
  writer.set_i32("minus", -3);
  writer.set_u64("wide", 1ull << 40);
  writer.set_f32("eps", 0.125f);
  writer.set_bool("yes", true);
  writer.set_strings("words", std::array<std::string_view, 3>{"a", "", "ccc"});
  writer.set_i32s("ints", std::array{-1, 2});
  writer.set_f32s("reals", std::array{1.5f});
  EXPECT_TRUE(writer.add_tensor("a", DType::kF32, std::array<std::int64_t, 2>{3, 5}));
  EXPECT_TRUE(writer.add_tensor("b", DType::kQ8_0, std::array<std::int64_t, 3>{2, 1, 32}));
  return writer;
}

// Tensor i's bytes count up from i, given in pieces of 7.
const auto count_up = [](std::size_t i, GgufWriter::Sink sink) -> base::Result<void> {
  std::vector<std::uint8_t> bytes(i == 0 ? 60 : 68);
  std::iota(bytes.begin(), bytes.end(), static_cast<std::uint8_t>(i));
  for (std::size_t at = 0; at < bytes.size(); at += 7) {
    const auto piece = std::span(bytes).subspan(at, std::min<std::size_t>(7, bytes.size() - at));
    if (auto done = sink(std::as_bytes(piece)); !done) return done;
  }
  return {};
};

TEST(GgufWriter, ReadsBackAsWritten) {
  const TemporaryFolder folder;
  const auto path = folder / "m.gguf";
  const auto writer = example();
  ASSERT_TRUE(writer.write(path, count_up));
  EXPECT_EQ(folder.entries(), 1u);
  EXPECT_EQ(std::filesystem::file_size(path), writer.file_bytes());
  const auto g = Gguf::open(path);
  ASSERT_TRUE(g) << g.error().message;
  EXPECT_EQ(g->string("general.architecture"), "test");
  EXPECT_EQ(g->integer("test.block_count"), 2);
  EXPECT_EQ(g->integer("minus"), -3);
  EXPECT_EQ(g->integer("wide"), 1ll << 40);
  EXPECT_EQ(g->number("eps"), 0.125);
  EXPECT_EQ(g->boolean("yes"), true);
  ASSERT_EQ(g->strings("words").size(), 3u);
  EXPECT_EQ(g->strings("words")[2], "ccc");
  EXPECT_EQ(std::get<std::vector<std::int64_t>>(*g->array("ints")), (std::vector<std::int64_t>{-1, 2}));
  EXPECT_EQ(std::get<std::vector<double>>(*g->array("reals")), std::vector<double>{1.5});
  ASSERT_NE(g->tensor("b"), nullptr);
  EXPECT_EQ(g->tensor("a")->dim(0), 3);
  EXPECT_EQ(g->tensor("a")->dim(1), 5);
  EXPECT_EQ(static_cast<int>(g->tensor("a")->data[59]), 59);
  EXPECT_EQ(g->tensor("b")->dim(2), 32);
  EXPECT_EQ(static_cast<int>(g->tensor("b")->data[67]), 68);
}

TEST(GgufWriter, CopiedKeysKeepTheirTypes) {
  const TemporaryFolder folder;
  ASSERT_TRUE(example().write(folder / "m.gguf", count_up));
  const auto source = Gguf::open(folder / "m.gguf");
  ASSERT_TRUE(source);
  GgufWriter copy;
  copy.copy_keys(*source);
  copy.remove("minus");
  copy.set_u32("test.block_count", 7);
  ASSERT_TRUE(copy.write(folder / "copy.gguf", count_up));
  const auto g = Gguf::open(folder / "copy.gguf");
  ASSERT_TRUE(g) << g.error().message;
  EXPECT_EQ(g->values().size(), source->values().size() - 1);
  for (const auto& [key, value] : g->values()) {
    if (key == "test.block_count") continue;
    const auto a = g->encoded(key), b = source->encoded(key);
    EXPECT_TRUE(std::ranges::equal(a, b)) << key;
  }
  EXPECT_EQ(g->integer("test.block_count"), 7);
}

TEST(GgufWriter, AlignmentFollowsTheKey) {
  const TemporaryFolder folder;
  auto writer = example();
  writer.set_u32("general.alignment", 4096);
  ASSERT_TRUE(writer.write(folder / "m.gguf", count_up));
  const auto g = Gguf::open(folder / "m.gguf");
  ASSERT_TRUE(g) << g.error().message;
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(g->tensor("b")->data) % 4096, 0u);
  EXPECT_EQ(static_cast<int>(g->tensor("b")->data[67]), 68);
}

TEST(GgufWriter, RefusesTensorsThatTheFormatCannotHold) {
  GgufWriter writer;
  const auto refusal = [&](DType dtype, std::vector<std::int64_t> shape) {
    const auto done = writer.add_tensor("t", dtype, shape);
    return done ? "accepted" : done.error().message;
  };
  EXPECT_NE(refusal(DType::kF8E4M3, {4}).find("cannot hold"), std::string::npos);
  EXPECT_NE(refusal(DType::kF32, {1, 1, 1, 1, 1}).find("5 dimensions"), std::string::npos);
  EXPECT_NE(refusal(DType::kF32, {0}).find("impossible"), std::string::npos);
  EXPECT_NE(refusal(DType::kF32, {1ll << 40, 1ll << 40}).find("impossible"), std::string::npos);
  EXPECT_NE(refusal(DType::kQ4_K, {2, 128}).find("not a multiple of the 256"), std::string::npos);
  EXPECT_EQ(refusal(DType::kQ4_K, {2, 256}), "accepted");
  EXPECT_NE(refusal(DType::kQ4_K, {2, 256}).find("twice"), std::string::npos);
}

TEST(GgufWriter, AFailedCallbackLeavesNothingBehind) {
  const TemporaryFolder folder;
  folder.write("m.gguf", "what was there before");
  const auto done = example().write(folder / "m.gguf", [](std::size_t i, GgufWriter::Sink sink) -> base::Result<void> {
    if (i == 1) return base::fail("no more");
    return count_up(i, sink);
  });
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().message, "no more");
  EXPECT_EQ(folder.entries(), 1u);
  EXPECT_EQ(folder.read("m.gguf"), "what was there before");
}

TEST(GgufWriter, AFileTooLargeIsSaidAndLeavesNothingBehind) {
  const TemporaryFolder folder;
  // A limit on the size of files stands in for a full disk: the same path through the code, without a disk to fill.
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  auto* const handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{.rlim_cur = 100, .rlim_max = before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const auto done = example().write(folder / "m.gguf", count_up);
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  ASSERT_FALSE(done);
  EXPECT_NE(done.error().message.find("more than this file system lets a file have"), std::string::npos)
      << done.error().message;
  EXPECT_EQ(folder.entries(), 0u);
}

TEST(GgufWriter, NamesAFolderThatIsNotThere) {
  const TemporaryFolder folder;
  const auto done = example().write(folder / "absent/m.gguf", count_up);
  ASSERT_FALSE(done);
  EXPECT_NE(done.error().message.find("absent/m.gguf: cannot create it"), std::string::npos) << done.error().message;
}

TEST(GgufWriterDeathTest, TooFewBytesAreAProgrammersMistake) {
  const TemporaryFolder folder;
  const auto nothing = [](std::size_t, GgufWriter::Sink) -> base::Result<void> { return {}; };
  EXPECT_DEATH((void)example().write(folder / "m.gguf", nothing), "internal error");
}

}  // namespace
}  // namespace fathom::files
