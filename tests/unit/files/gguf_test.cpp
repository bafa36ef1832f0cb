// The GGUF reader against bytes made by hand: what it accepts, and each thing that it must refuse.
#include "files/gguf.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>

namespace fathom::files {
namespace {

// Appends numbers and strings as GGUF writes them.
class Bytes {
 public:
  template <class T>
  Bytes& put(T value) {
    const auto* p = reinterpret_cast<const char*>(&value);
    data_.append(p, sizeof(T));
    return *this;
  }
  Bytes& u32(std::uint32_t v) { return put(v); }
  Bytes& u64(std::uint64_t v) { return put(v); }
  Bytes& text(std::string_view s) {
    u64(s.size());
    data_ += s;
    return *this;
  }
  Bytes& raw(std::string_view s) {
    data_ += s;
    return *this;
  }
  Bytes& pad(std::size_t to) {
    while (data_.size() % to != 0) data_ += '\0';
    return *this;
  }
  Bytes& head(std::uint64_t tensors, std::uint64_t keys, std::uint32_t version = 3) {
    return raw("GGUF").u32(version).u64(tensors).u64(keys);
  }
  Bytes& tensor(std::string_view name, std::vector<std::uint64_t> ne, std::uint32_t type, std::uint64_t offset) {
    text(name).u32(static_cast<std::uint32_t>(ne.size()));
    for (const auto n : ne) u64(n);
    return u32(type).u64(offset);
  }
  const std::string& str() const { return data_; }
  base::Result<Gguf> parse() const { return Gguf::parse(std::as_bytes(std::span(data_)), "test"); }

 private:
  std::string data_;
};

std::string refusal(const Bytes& bytes) {
  const auto gguf = bytes.parse();
  return gguf ? "accepted" : gguf.error().message;
}

#define EXPECT_REFUSED(bytes, words) EXPECT_PRED_FORMAT2(testing::IsSubstring, words, refusal(bytes))

constexpr std::uint32_t kF32 = 0, kQ4_0 = 2;

TEST(Gguf, ReadsEveryKindOfValue) {
  Bytes b;
  b.head(0, 15);
  b.text("u8").u32(0).put<std::uint8_t>(200);
  b.text("i8").u32(1).put<std::int8_t>(-5);
  b.text("u16").u32(2).put<std::uint16_t>(60000);
  b.text("i16").u32(3).put<std::int16_t>(-300);
  b.text("u32").u32(4).put<std::uint32_t>(4000000000u);
  b.text("i32").u32(5).put<std::int32_t>(-7);
  b.text("f32").u32(6).put<float>(1.5f);
  b.text("yes").u32(7).put<std::uint8_t>(1);
  b.text("str").u32(8).text("héllo");
  b.text("u64").u32(10).put<std::uint64_t>(1ull << 40);
  b.text("i64").u32(11).put<std::int64_t>(-(1ll << 40));
  b.text("f64").u32(12).put<double>(2.25);
  b.text("words").u32(9).u32(8).u64(2).text("a").text("");
  b.text("ints").u32(9).u32(5).u64(2).put<std::int32_t>(-1).put<std::int32_t>(9);
  b.text("reals").u32(9).u32(6).u64(1).put<float>(0.5f);
  const auto g = b.parse();
  ASSERT_TRUE(g) << g.error().message;
  EXPECT_EQ(g->integer("u8"), 200);
  EXPECT_EQ(g->integer("i8"), -5);
  EXPECT_EQ(g->integer("u16"), 60000);
  EXPECT_EQ(g->integer("i16"), -300);
  EXPECT_EQ(g->integer("u32"), 4000000000);
  EXPECT_EQ(g->integer("i32"), -7);
  EXPECT_EQ(g->number("f32"), 1.5);
  EXPECT_EQ(g->number("i32"), -7.0);
  EXPECT_EQ(g->boolean("yes"), true);
  EXPECT_EQ(g->integer("yes"), 1);
  EXPECT_EQ(g->string("str"), "héllo");
  EXPECT_EQ(g->integer("u64"), 1ll << 40);
  EXPECT_EQ(g->integer("i64"), -(1ll << 40));
  EXPECT_EQ(g->number("f64"), 2.25);
  ASSERT_EQ(g->strings("words").size(), 2u);
  EXPECT_EQ(g->strings("words")[0], "a");
  ASSERT_NE(g->array("ints"), nullptr);
  EXPECT_EQ(std::get<std::vector<std::int64_t>>(*g->array("ints")), (std::vector<std::int64_t>{-1, 9}));
  EXPECT_EQ(std::get<std::vector<double>>(*g->array("reals")), std::vector<double>{0.5});
  // Asked for as something else, a value is absent.
  EXPECT_FALSE(g->integer("str"));
  EXPECT_FALSE(g->integer("f32"));
  EXPECT_FALSE(g->string("u8"));
  EXPECT_FALSE(g->boolean("u8"));
  EXPECT_TRUE(g->strings("ints").empty());
  EXPECT_EQ(g->array("u8"), nullptr);
  EXPECT_EQ(g->find("absent"), nullptr);
}

Bytes two_tensors(std::uint64_t second_offset = 64) {
  Bytes b;
  b.head(2, 0, 2).tensor("a", {4, 3}, kF32, 0).tensor("b", {32, 1, 2}, kQ4_0, second_offset).pad(32);
  for (int i = 0; i < 12; ++i) b.put<float>(static_cast<float>(i));
  b.pad(32);
  for (int i = 0; i < 36; ++i) b.put<std::uint8_t>(static_cast<std::uint8_t>(i));
  return b;
}

TEST(Gguf, TensorsAreViewsWithShapesTurnedRound) {
  const auto b = two_tensors();
  const auto g = b.parse();
  ASSERT_TRUE(g) << g.error().message;
  ASSERT_EQ(g->tensors().size(), 2u);
  const auto* a = g->tensor("a");
  ASSERT_NE(a, nullptr);
  EXPECT_EQ(a->rank, 2);
  EXPECT_EQ(a->dim(0), 3);
  EXPECT_EQ(a->dim(1), 4);
  float last;
  std::memcpy(&last, a->row(2) + 12, 4);
  EXPECT_EQ(last, 11.0f);
  const auto* q = g->tensor("b");
  ASSERT_NE(q, nullptr);
  EXPECT_EQ(q->dtype, base::DType::kQ4_0);
  EXPECT_EQ(q->rank, 3);
  EXPECT_EQ(q->dim(0), 2);
  EXPECT_EQ(q->dim(2), 32);
  EXPECT_EQ(q->bytes(), 36u);
  EXPECT_EQ(static_cast<int>(q->data[35]), 35);
  EXPECT_EQ(g->tensor("c"), nullptr);
}

TEST(Gguf, EveryShorterFileIsRefused) {
  const auto whole = two_tensors().str();
  for (std::size_t n = 0; n < whole.size(); ++n) {
    Bytes cut;
    cut.raw(std::string_view(whole).substr(0, n));
    EXPECT_FALSE(cut.parse()) << n << " bytes";
  }
}

TEST(Gguf, RefusesWhatIsNotGguf) {
  EXPECT_REFUSED(Bytes(), "cut off");
  EXPECT_REFUSED(Bytes().raw("PK\x03\x04 and so on and so on"), "not a GGUF file");
  EXPECT_REFUSED(Bytes().head(0, 0, 1), "version 1");
  EXPECT_REFUSED(Bytes().head(0, 0, 0x03000000), "big-endian");
}

TEST(Gguf, RefusesImpossibleCountsBeforeAllocating) {
  EXPECT_REFUSED(Bytes().head(~0ull, 0), "too many");
  EXPECT_REFUSED(Bytes().head(0, ~0ull), "too many");
  EXPECT_REFUSED(Bytes().head(1000, 0).raw(std::string(100, 'x')),
                 "list of its 0 keys and 1000 tensors: the file is cut");
  EXPECT_REFUSED(Bytes().head(30, 5), "inside the list of its 5 keys and 30 tensors: the file is cut off");
  EXPECT_REFUSED(Bytes().head(0, 1).text("k").u32(8).u64(~0ull), "cut off");
  EXPECT_REFUSED(Bytes().head(0, 1).text("k").u32(9).u32(8).u64(1ull << 62), "cut off");
  EXPECT_REFUSED(Bytes().head(0, 1).u64(1ull << 63).raw("xxxxxxxxxxxxx"), "cut off");
}

TEST(Gguf, RefusesOddValues) {
  EXPECT_REFUSED(Bytes().head(0, 1).text("k").u32(13).u64(0), "unknown type 13");
  EXPECT_REFUSED(Bytes().head(0, 1).text("k").u32(9).u32(77).u64(0), "unknown type 77");
  EXPECT_REFUSED(Bytes().head(0, 1).text("k").u32(9).u32(9).u64(0), "array of arrays");
  EXPECT_REFUSED(Bytes().head(0, 1).text("k").u32(10).u64(~0ull), "larger than any number");
  EXPECT_REFUSED(Bytes().head(0, 1).text("").u32(10).u64(0), "0 bytes");
  EXPECT_REFUSED(Bytes().head(0, 2).text("k").u32(4).u32(1).text("k").u32(4).u32(2), "twice");
}

Bytes one_tensor(std::vector<std::uint64_t> ne, std::uint32_t type, std::uint64_t offset = 0) {
  return Bytes().head(1, 0).tensor("t", std::move(ne), type, offset).pad(32).raw(std::string(256, '\0'));
}

TEST(Gguf, RefusesImpossibleTensors) {
  EXPECT_TRUE(one_tensor({64}, kF32).parse());
  EXPECT_TRUE(one_tensor({}, kF32).parse());
  EXPECT_REFUSED(one_tensor({65}, kF32), "cut off");
  EXPECT_REFUSED(one_tensor({64}, kF32, 32), "needs 256 bytes at offset 32");
  EXPECT_REFUSED(one_tensor({8}, kF32, 16), "not a multiple of 32");
  EXPECT_REFUSED(one_tensor({8}, kF32, ~31ull), "cut off");
  EXPECT_REFUSED(one_tensor({1, 1, 1, 1, 1}, kF32), "5 dimensions");
  EXPECT_REFUSED(one_tensor({0}, kF32), "impossible dimension");
  EXPECT_REFUSED(one_tensor({1ull << 32, 1ull << 32}, kF32), "impossible dimension");
  EXPECT_REFUSED(one_tensor({1ull << 31, 1ull << 31}, kF32), "larger than the file");
  EXPECT_REFUSED(one_tensor({1ull << 63}, kF32), "impossible dimension");
  EXPECT_REFUSED(one_tensor({33}, kQ4_0), "not a multiple of the 32");
  EXPECT_REFUSED(one_tensor({32}, 4), "ggml type 4");
  EXPECT_REFUSED(one_tensor({32}, ~0u), "ggml type");
}

TEST(Gguf, RefusesOverlapAndDoubledNames) {
  EXPECT_REFUSED(two_tensors(32), "overlap");
  EXPECT_REFUSED(two_tensors(0), "overlap");
  Bytes b;
  b.head(2, 0).tensor("a", {8}, kF32, 0).tensor("a", {8}, kF32, 32).pad(32).raw(std::string(64, '\0'));
  EXPECT_REFUSED(b, "twice");
}

TEST(Gguf, AlignmentIsHonouredAndChecked) {
  const auto aligned = [](std::uint32_t align) {
    Bytes b;
    b.head(2, 1).text("general.alignment").u32(4).u32(align);
    b.tensor("a", {2}, kF32, 0).tensor("b", {2}, kF32, align).pad(align == 8 ? 8 : 512).raw(std::string(2 * 512, '\0'));
    return b;
  };
  EXPECT_TRUE(aligned(8).parse());
  EXPECT_TRUE(aligned(512).parse());
  for (const std::uint32_t bad : {0u, 1u, 4u, 24u, 1u << 31}) EXPECT_REFUSED(aligned(bad), "power of two");
  Bytes text;
  text.head(1, 1).text("general.alignment").u32(8).text("32").tensor("a", {2}, kF32, 0).pad(32).raw("12345678");
  EXPECT_REFUSED(text, "power of two");
}

class GgufFiles : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() / fmt::format("fathom-gguf-{}", ::getpid());
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string write(const std::string& name, const Bytes& bytes) {
    const auto path = (folder_ / name).string();
    std::ofstream(path, std::ios::binary) << bytes.str();
    return path;
  }
  // One part of a set, with one tensor of 8 floats.
  static Bytes part(int number, int count, const std::string& tensor, int total) {
    Bytes b;
    b.head(1, 3).text("split.no").u32(2).put<std::uint16_t>(static_cast<std::uint16_t>(number));
    b.text("split.count").u32(2).put<std::uint16_t>(static_cast<std::uint16_t>(count));
    b.text("split.tensors.count").u32(5).put<std::int32_t>(total).tensor(tensor, {8}, kF32, 0).pad(32);
    for (int i = 0; i < 8; ++i) b.put<float>(static_cast<float>(number));
    return b;
  }
  static std::string refused(const std::string& path) {
    const auto g = Gguf::open(path);
    return g ? "accepted" : g.error().message;
  }

  std::filesystem::path folder_;
};

TEST_F(GgufFiles, OpensASetByAnyOfItsParts) {
  const auto first = write("m-00001-of-00002.gguf", part(0, 2, "a", 2));
  const auto second = write("m-00002-of-00002.gguf", part(1, 2, "b", 2));
  for (const auto& path : {first, second}) {
    auto opened = Gguf::open(path);
    ASSERT_TRUE(opened) << opened.error().message;
    const Gguf g = std::move(*opened);  // views stay good when the owner moves
    ASSERT_EQ(g.tensors().size(), 2u);
    EXPECT_EQ(g.tensors()[0].name, "a");
    EXPECT_EQ(g.file_bytes(), std::filesystem::file_size(first) + std::filesystem::file_size(second));
    float value;
    std::memcpy(&value, g.tensor("b")->data, 4);
    EXPECT_EQ(value, 1.0f);
  }
}

TEST_F(GgufFiles, RefusesIncompleteOrMixedSets) {
  const auto first = write("m-00001-of-00002.gguf", part(0, 2, "a", 2));
  EXPECT_NE(refused(first).find("m-00002-of-00002.gguf: missing"), std::string::npos) << refused(first);
  write("m-00002-of-00002.gguf", part(0, 2, "b", 2));
  EXPECT_NE(refused(first).find("another set"), std::string::npos) << refused(first);
  write("m-00002-of-00002.gguf", part(1, 3, "b", 2));
  EXPECT_NE(refused(first).find("another set"), std::string::npos) << refused(first);
  write("m-00002-of-00002.gguf", part(1, 2, "a", 2));
  EXPECT_NE(refused(first).find("twice"), std::string::npos) << refused(first);
  write("m-00002-of-00002.gguf", part(1, 2, "b", 2));
  const auto wrong = write("m-00001-of-00002.gguf", part(0, 2, "a", 5));
  EXPECT_NE(refused(wrong).find("says it holds 5 tensors"), std::string::npos) << refused(wrong);
  const auto renamed = write("renamed.gguf", part(0, 2, "a", 2));
  EXPECT_NE(refused(renamed).find("must end in '-00001-of-00002.gguf'"), std::string::npos) << refused(renamed);
}

TEST_F(GgufFiles, OpensOnlyFiles) {
  EXPECT_NE(refused((folder_ / "absent.gguf").string()).find("cannot open"), std::string::npos);
  EXPECT_NE(refused(folder_.string()).find("is a folder"), std::string::npos);
  EXPECT_NE(refused(write("empty.gguf", Bytes())).find("cut off"), std::string::npos);
}

}  // namespace
}  // namespace fathom::files
