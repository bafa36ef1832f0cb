// The safetensors reader against bytes made by hand: what it accepts, and each thing that it must refuse.
#include "files/safetensors.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>

#include "files/file_name.h"
#include "temporary_folder.h"

namespace fathom::files {
namespace {

using base::DType;

// Header length, header (padded, so that the data is aligned), data.
std::string file(std::string header, std::size_t data) {
  header.append((8 - header.size() % 8) % 8, ' ');
  const std::uint64_t length = header.size();
  std::string out(sizeof(length), '\0');
  std::memcpy(out.data(), &length, sizeof(length));
  out += header;
  for (std::size_t i = 0; i < data; ++i) out += static_cast<char>(i);
  return out;
}

std::string refusal(const std::string& bytes) {
  const auto opened = Safetensors::parse(std::as_bytes(std::span(bytes)), "test");
  return opened ? "accepted" : opened.error().message;
}

#define EXPECT_REFUSED(bytes, words) EXPECT_PRED_FORMAT2(testing::IsSubstring, words, refusal(bytes))

std::string entry(std::string_view dtype, std::string_view shape, std::string_view offsets) {
  return fmt::format(R"({{"dtype":"{}","shape":{},"data_offsets":{}}})", dtype, shape, offsets);
}

std::string one(std::string_view dtype, std::string_view shape, std::string_view offsets, std::size_t data = 64) {
  return file(R"({"t":)" + entry(dtype, shape, offsets) + "}", data);
}

TEST(Safetensors, ReadsNamedTensors) {
  const auto bytes = file(R"({"__metadata__":{"format":"pt"},"b":)" + entry("BF16", "[3]", "[24,30]") + R"(,"a":)" +
                              entry("F32", "[2,3]", "[0,24]") + "}",
                          30);
  const auto opened = Safetensors::parse(std::as_bytes(std::span(bytes)), "test");
  ASSERT_TRUE(opened) << opened.error().message;
  ASSERT_EQ(opened->tensors().size(), 2u);
  EXPECT_EQ(opened->tensors()[0].name, "a");  // in the order of the bytes
  EXPECT_EQ(opened->metadata().at("format"), "pt");
  const auto* a = opened->tensor("a");
  ASSERT_NE(a, nullptr);
  EXPECT_EQ(a->dtype, DType::kF32);
  EXPECT_EQ(a->rank, 2);
  EXPECT_EQ(a->dim(0), 2);
  EXPECT_EQ(a->dim(1), 3);
  const auto* b = opened->tensor("b");
  ASSERT_NE(b, nullptr);
  EXPECT_EQ(static_cast<int>(b->data[0]), 24);
  EXPECT_EQ(b->bytes(), 6u);
  EXPECT_EQ(opened->tensor("c"), nullptr);
}

TEST(Safetensors, KnowsTheTypes) {
  const std::array<std::pair<std::string_view, int>, 12> types{{{"F64", 8},
                                                                {"I64", 8},
                                                                {"F32", 4},
                                                                {"I32", 4},
                                                                {"F16", 2},
                                                                {"BF16", 2},
                                                                {"I16", 2},
                                                                {"F8_E4M3", 1},
                                                                {"F8_E8M0", 1},
                                                                {"I8", 1},
                                                                {"U8", 1},
                                                                {"BOOL", 1}}};
  for (const auto& [word, width] : types)
    EXPECT_EQ(refusal(one(word, "[4]", fmt::format("[0,{}]", 4 * width))), "accepted") << word;
  EXPECT_EQ(refusal(one("F32", "[]", "[0,4]")), "accepted");
  EXPECT_EQ(refusal(one("F32", "[0,3]", "[8,8]")), "accepted");
  EXPECT_EQ(refusal(file("{}", 0)), "accepted");
}

TEST(Safetensors, EveryShorterFileIsRefused) {
  const auto whole = one("F32", "[16]", "[0,64]");
  ASSERT_EQ(refusal(whole), "accepted");
  for (std::size_t n = 0; n < whole.size(); ++n) EXPECT_NE(refusal(whole.substr(0, n)), "accepted") << n << " bytes";
}

TEST(Safetensors, RefusesBadHeaders) {
  EXPECT_REFUSED("", "not a safetensors file");
  EXPECT_REFUSED(std::string(16, '\xff'), "not a safetensors file");
  EXPECT_REFUSED(std::string("\x10\0\0\0\0\0\0\0{}", 10), "cut off");
  EXPECT_REFUSED(file("[]", 0), "not a JSON object");
  EXPECT_REFUSED(file("{", 0), "not valid JSON");
  EXPECT_REFUSED(file("{\"a\":" + entry("F32", "[1]", "[0,4]") + ",\"a\":" + entry("F32", "[1]", "[4,8]") + "}", 8),
                 "twice");
  EXPECT_REFUSED(file("{\"\":" + entry("F32", "[1]", "[0,4]") + "}", 4), "without a name");
  EXPECT_REFUSED(file(R"({"__metadata__":3})", 0), "__metadata__");
  EXPECT_REFUSED(file(R"({"__metadata__":{"a":3}})", 0), "not text");
  EXPECT_REFUSED(file(R"({"t":{"a":{"b":{"c":1}}}})", 0), "expected dtype");
  EXPECT_REFUSED(file(R"({"t":[[[[[1]]]]]})", 0), "nested deeper");
}

TEST(Safetensors, RefusesBadEntries) {
  EXPECT_REFUSED(file(R"({"t":7})", 0), "not an object");
  EXPECT_REFUSED(file(R"({"t":{"dtype":"F32","shape":[1]}})", 4), "expected dtype, shape and data_offsets");
  EXPECT_REFUSED(one("Q4", "[1]", "[0,4]"), "'Q4' is not supported");
  EXPECT_REFUSED(one("F32", "[1,1,1,1,1]", "[0,4]"), "5 dimensions");
  EXPECT_REFUSED(one("F32", "[-1]", "[0,4]"), "not a count");
  EXPECT_REFUSED(one("F32", "[1.0]", "[0,4]"), "not a count");
  EXPECT_REFUSED(one("F32", "[18446744073709551615]", "[0,4]"), "not a count");
  EXPECT_REFUSED(one("F32", "[4294967296,4294967296]", "[0,0]"), "overflow");
  EXPECT_REFUSED(one("F32", "[4611686018427387904,4,0]", "[0,0]"), "overflow");
  EXPECT_REFUSED(one("F32", "[1]", "[4,0]"), "not a range");
  EXPECT_REFUSED(one("F32", "[1]", "[-4,0]"), "not a range");
  EXPECT_REFUSED(one("F32", "[1]", "[0,4,8]"), "expected dtype");
  EXPECT_REFUSED(one("F32", "[1]", "[0,8]"), "8 bytes of data, but its shape and dtype take 4");
  EXPECT_REFUSED(one("F32", "[17]", "[0,68]"), "cut off");
  EXPECT_REFUSED(one("F32", "[1]", "[9223372036854775804,9223372036854775807]"), "cut off");
  EXPECT_REFUSED(one("F32", "[1]", "[2,6]"), "boundary");
  EXPECT_REFUSED(file("{\"a\":" + entry("F32", "[2]", "[0,8]") + ",\"b\":" + entry("F32", "[2]", "[4,12]") + "}", 12),
                 "overlap");
}

class SafetensorsFolder : public testing::Test {
 protected:
  static std::string shard(std::string_view tensor) {
    return file(fmt::format(R"({{"{}":{}}})", tensor, entry("F32", "[4]", "[0,16]")), 16);
  }
  void index(std::string_view map) {
    folder_.write("model.safetensors.index.json", fmt::format(R"({{"weight_map":{}}})", map));
  }
  std::string refused() {
    const auto opened = Safetensors::open(folder_.path().string());
    return opened ? "accepted" : opened.error().message;
  }
  void expect_refused(std::string_view words) {
    const auto message = refused();
    EXPECT_NE(message.find(words), std::string::npos) << message;
  }

  TemporaryFolder folder_;
};

TEST_F(SafetensorsFolder, OpensShardsThroughTheIndex) {
  folder_.write("m-1.safetensors", shard("a"));
  folder_.write("m-2.safetensors", shard("b"));
  index(R"({"a":"m-1.safetensors","b":"m-2.safetensors"})");
  auto opened = Safetensors::open(folder_.path().string());
  ASSERT_TRUE(opened) << opened.error().message;
  const Safetensors moved = std::move(*opened);
  ASSERT_EQ(moved.tensors().size(), 2u);
  ASSERT_NE(moved.tensor("b"), nullptr);
  EXPECT_EQ(static_cast<int>(moved.tensor("b")->data[15]), 15);
  EXPECT_EQ(moved.file_bytes(), shard("a").size() * 2);
}

TEST_F(SafetensorsFolder, TheIndexDecidesWhereATensorComesFrom) {
  folder_.write("m-1.safetensors", shard("a"));
  folder_.write("m-2.safetensors",
                file("{\"a\":" + entry("F32", "[1]", "[0,4]") + ",\"b\":" + entry("F32", "[1]", "[4,8]") + "}", 8));
  index(R"({"a":"m-1.safetensors","b":"m-2.safetensors"})");
  const auto opened = Safetensors::open(folder_.path().string());
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_EQ(opened->tensor("a")->dim(0), 4);
}

TEST_F(SafetensorsFolder, RefusesIncompleteSets) {
  folder_.write("m-1.safetensors", shard("a"));
  index(R"({"a":"m-1.safetensors","b":"m-2.safetensors"})");
  expect_refused("m-2.safetensors: missing; the model is in 2 parts");
  index(R"({"a":"m-1.safetensors","b":"m-2.safetensors","c":"m-3.safetensors"})");
  expect_refused("missing, as are 1 more of the model's 3 parts");
  index(R"({"a":"m-1.safetensors","b":"m-1.safetensors"})");
  expect_refused("holds no tensor 'b'");
}

TEST_F(SafetensorsFolder, RefusesNamesThatWalk) {
  folder_.write("m.safetensors", shard("a"));
  for (const std::string_view name : {"../m.safetensors", "/etc/m.safetensors", "a/m.safetensors", ".safetensors",
                                      "..\\\\m.safetensors", "m.safetensors\\u0000", "m.bin", ""}) {
    index(fmt::format(R"({{"a":"{}"}})", name));
    expect_refused("expected the plain name");
  }
  index(R"({"a":7})");
  expect_refused("is not a name");
  index("{}");
  expect_refused("empty");
  index("[]");
  expect_refused("weight_map");
}

TEST_F(SafetensorsFolder, FindsTheFileOfAFolder) {
  expect_refused("holds no .safetensors file");
  folder_.write("other.safetensors", shard("a"));
  EXPECT_EQ(refused(), "accepted");
  folder_.write("another.safetensors", shard("a"));
  expect_refused("2 .safetensors files but no model.safetensors.index.json");
  folder_.write("model.safetensors", shard("b"));
  EXPECT_EQ(refused(), "accepted");
}

TEST(WriteSafetensors, ReadsBackAsWritten) {
  const TemporaryFolder folder;
  const std::array<std::uint8_t, 3> bytes{1, 2, 3};
  const std::array<float, 4> floats{1, 2, 3, 4};
  const std::array<SafetensorsTensor, 2> tensors{{
      {"narrow", {.dtype = DType::kU8, .rank = 1, .shape = {3}, .data = std::as_bytes(std::span(bytes)).data()}},
      {"wide \"ü\"",
       {.dtype = DType::kF32, .rank = 2, .shape = {2, 2}, .data = std::as_bytes(std::span(floats)).data()}},
  }};
  ASSERT_TRUE(write_safetensors(folder / "t.safetensors", tensors, {{"format", "pt"}}));
  EXPECT_EQ(folder.entries(), 1u);
  const auto opened = Safetensors::open(folder / "t.safetensors");
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_EQ(opened->metadata().at("format"), "pt");
  ASSERT_NE(opened->tensor("wide \"ü\""), nullptr);
  EXPECT_EQ(std::memcmp(opened->tensor("wide \"ü\"")->data, floats.data(), 16), 0);
  EXPECT_EQ(std::memcmp(opened->tensor("narrow")->data, bytes.data(), 3), 0);
  EXPECT_EQ(opened->tensors()[0].name, "wide \"ü\"");

  const std::array<SafetensorsTensor, 2> doubled{tensors[0], tensors[0]};
  EXPECT_FALSE(write_safetensors(folder / "d.safetensors", doubled));
  const std::array<SafetensorsTensor, 1> blocks{{{"q", {.dtype = DType::kQ4_0, .rank = 1, .shape = {32}}}}};
  EXPECT_FALSE(write_safetensors(folder / "q.safetensors", blocks));
  EXPECT_EQ(folder.entries(), 1u);
}

TEST(FileName, PlainNamesOnly) {
  for (const std::string_view good : {"model.safetensors", "a", "A-b_c.1+2 (3).gguf", "v1.0@x"})
    EXPECT_TRUE(is_plain_file_name(good)) << good;
  for (const std::string_view bad :
       {"", ".", "..", ".hidden", "-rf", "a/b", "a\\b", "a\nb", "a:b", " a", "a ", "é", "a*"})
    EXPECT_FALSE(is_plain_file_name(bad)) << bad;
  EXPECT_FALSE(is_plain_file_name(std::string(256, 'a')));
  EXPECT_FALSE(is_plain_file_name(std::string_view("a\0b", 3)));
  for (const std::string_view good : {"a", "Q4/model-00001-of-00002.gguf"})
    EXPECT_TRUE(is_plain_relative_path(good)) << good;
  for (const std::string_view bad : {"", "/a", "a/", "a//b", "a/../b", "./a", "../a", "a/.git/b"})
    EXPECT_FALSE(is_plain_relative_path(bad)) << bad;
}

}  // namespace
}  // namespace fathom::files
