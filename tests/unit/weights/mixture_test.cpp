// Which type each tensor of a file gets.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "weights/quantize_mixture.h"

namespace fathom::weights {
namespace {

using base::DType;

class Mixture : public testing::Test {
 protected:
  DType type(std::string_view file, std::string_view name, std::vector<std::int64_t> shape = {512, 512}) const {
    return tensor_type(*find_file_type(file), model_, name, shape);
  }
  MixtureModel model_{.layers = 32};
};

TEST_F(Mixture, KnowsTheTypesOfFiles) {
  EXPECT_EQ(find_file_type("q4_k_m")->id, 15u);
  EXPECT_EQ(find_file_type("bf16")->id, 32u);
  EXPECT_EQ(find_file_type("q4_k"), nullptr);
  EXPECT_EQ(file_types().size(), 8u);
}

TEST_F(Mixture, LeavesSmallTensorsInF32) {
  for (const auto& file : file_types()) {
    EXPECT_EQ(type(file.name, "blk.0.attn_norm.weight", {512}), DType::kF32);
    EXPECT_EQ(type(file.name, "blk.0.attn_q.bias", {512}), DType::kF32);
    EXPECT_EQ(type(file.name, "blk.3.ffn_gate_inp.weight"), DType::kF32);
    EXPECT_EQ(type(file.name, "blk.3.exp_probs_b.bias", {64}), DType::kF32);
    EXPECT_EQ(type(file.name, "rope_freqs.weight", {64}), DType::kF32);
  }
}

TEST_F(Mixture, GivesMoreBitsToTheFirstTheLastAndEveryThirdLayer) {
  // 32 layers: 0 to 3, 28 to 31, and from 4 on every third.
  for (std::int64_t layer = 0; layer < 32; ++layer) {
    const bool more = layer < 4 || layer >= 28 || (layer - 4) % 3 == 2;
    const std::string block = "blk." + std::to_string(layer) + ".";
    EXPECT_EQ(type("q4_k_m", block + "attn_v.weight"), more ? DType::kQ6_K : DType::kQ4_K) << layer;
    EXPECT_EQ(type("q5_k_m", block + "ffn_down.weight"), more ? DType::kQ6_K : DType::kQ5_K) << layer;
    EXPECT_EQ(type("q4_k_m", block + "ffn_down_exps.weight", {8, 512, 512}), more ? DType::kQ6_K : DType::kQ4_K)
        << layer;
    EXPECT_EQ(type("q4_k_m", block + "ffn_up.weight"), DType::kQ4_K);
    EXPECT_EQ(type("q4_0", block + "ffn_down.weight"), DType::kQ4_0);
    EXPECT_EQ(type("q6_k", block + "attn_v.weight"), DType::kQ6_K);
  }
}

TEST_F(Mixture, TreatsATiedEmbeddingAsTheOutput) {
  EXPECT_EQ(type("q4_k_m", "output.weight"), DType::kQ6_K);
  EXPECT_EQ(type("q8_0", "output.weight"), DType::kQ8_0);
  EXPECT_EQ(type("q4_0", "output.weight"), DType::kQ6_K);
  EXPECT_EQ(type("q4_k_m", "token_embd.weight"), DType::kQ4_K);
  model_.tied = true;
  EXPECT_EQ(type("q4_k_m", "token_embd.weight"), DType::kQ6_K);
  EXPECT_EQ(type("bf16", "token_embd.weight"), DType::kBF16);
}

TEST_F(Mixture, FallsBackToSmallerBlocks) {
  EXPECT_EQ(type("q4_k_m", "blk.9.attn_q.weight", {576, 576}), DType::kQ5_0);
  EXPECT_EQ(type("q5_k_m", "blk.9.attn_q.weight", {576, 576}), DType::kQ5_1);
  EXPECT_EQ(type("q6_k", "blk.9.attn_q.weight", {576, 576}), DType::kQ8_0);
  EXPECT_EQ(type("q4_0", "output.weight", {49152, 576}), DType::kQ8_0);
  EXPECT_EQ(type("q4_k_m", "blk.9.attn_q.weight", {576, 40}), DType::kF16);
  EXPECT_EQ(type("q8_0", "blk.9.attn_q.weight", {576, 40}), DType::kF16);
  EXPECT_EQ(type("bf16", "blk.9.attn_q.weight", {576, 40}), DType::kBF16);
}

TEST_F(Mixture, KeepsTheHalvesOfLatentAttentionAtEightBits) {
  for (const char* file : {"q4_0", "q4_k_m", "q5_k_m", "q6_k", "q8_0"}) {
    EXPECT_EQ(type(file, "blk.0.attn_k_b.weight", {16, 512, 128}), DType::kQ8_0);
    EXPECT_EQ(type(file, "blk.0.attn_v_b.weight", {16, 128, 512}), DType::kQ8_0);
  }
  EXPECT_EQ(type("bf16", "blk.0.attn_k_b.weight", {16, 512, 128}), DType::kBF16);
}

TEST_F(Mixture, HeedsEightExpertsAndSharedKeys) {
  model_.queries_per_key = 8;
  EXPECT_EQ(type("q4_k_m", "blk.4.attn_v.weight"), DType::kQ5_K);
  EXPECT_EQ(type("q4_k_m", "blk.0.attn_v.weight"), DType::kQ6_K);
  model_.experts = 8;
  EXPECT_EQ(type("q4_k_m", "blk.4.attn_v.weight"), DType::kQ8_0);
  EXPECT_EQ(type("q4_k_m", "blk.4.attn_k.weight"), DType::kQ8_0);
  EXPECT_EQ(type("q4_k_m", "blk.4.attn_output.weight"), DType::kQ5_K);
}

}  // namespace
}  // namespace fathom::weights
