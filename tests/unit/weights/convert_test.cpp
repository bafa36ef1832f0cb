// Small directories to GGUF and GGUF to GGUF: which number lands where, which keys say what, and what is refused.
#include "weights/convert.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "small_checkpoint.h"
#include "weights/convert_config.h"

namespace fathom::weights {
namespace {

using base::DType;

constexpr const char* kLlama = R"({"model_type": "llama", "vocab_size": 9, "hidden_size": 4, "intermediate_size": 8,
  "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 4, "rms_norm_eps": 1e-5,
  "max_position_embeddings": 256, "rope_theta": 500000.0, "tie_word_embeddings": true,
  "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                   "original_max_position_embeddings": 64}})";

struct SmallLlama : SmallCheckpoint {
  SmallLlama() : SmallCheckpoint(kLlama) {
    add("model.embed_tokens.weight", {9, 4}, counting(36));
    add("model.norm.weight", {4}, {1, 2, 3, 4});
    add("model.layers.0.self_attn.q_proj.weight", {8, 4}, counting(32));
    add("model.layers.0.self_attn.q_proj.bias", {8}, counting(8));
    add("model.layers.0.self_attn.k_proj.weight", {4, 4}, counting(16));
    add("model.layers.0.self_attn.v_proj.weight", {4, 4}, counting(16));
  }
};

// Rows of 4 that start at 4 r for each r given.
std::vector<float> rows(std::initializer_list<int> which) {
  std::vector<float> out;
  for (const int r : which)
    for (int c = 0; c < 4; ++c) out.push_back(static_cast<float>(4 * r + c));
  return out;
}

TEST(Convert, TurnsRotaryHalvesOfLlamaToPairs) {
  SmallLlama c;
  const files::Gguf file = c.converted("f32");
  EXPECT_EQ(floats(file, "blk.0.attn_q.weight"), rows({0, 2, 1, 3, 4, 6, 5, 7}));
  EXPECT_EQ(floats(file, "blk.0.attn_q.bias"), (std::vector<float>{0, 2, 1, 3, 4, 6, 5, 7}));
  EXPECT_EQ(floats(file, "blk.0.attn_k.weight"), rows({0, 2, 1, 3}));
  EXPECT_EQ(floats(file, "blk.0.attn_v.weight"), rows({0, 1, 2, 3}));
  EXPECT_EQ(floats(file, "token_embd.weight"), counting(36));
  ASSERT_EQ(file.tensors().size(), 7u);
}

TEST(Convert, WritesLlamasKeysAndDivisors) {
  SmallLlama c;
  const files::Gguf file = c.converted("bf16");
  EXPECT_EQ(file.string("general.architecture"), "llama");
  EXPECT_EQ(file.integer("general.file_type"), 32);
  EXPECT_EQ(file.integer("llama.block_count"), 1);
  EXPECT_EQ(file.integer("llama.context_length"), 256);
  EXPECT_EQ(file.integer("llama.attention.head_count_kv"), 1);
  EXPECT_EQ(file.integer("llama.attention.key_length"), 4);
  EXPECT_EQ(file.integer("llama.rope.dimension_count"), 4);
  EXPECT_FLOAT_EQ(static_cast<float>(*file.number("llama.attention.layer_norm_rms_epsilon")), 1e-5f);
  EXPECT_EQ(file.number("llama.rope.freq_base"), 500000.0);
  // Wavelengths 2 pi and 2 pi sqrt(500000) = 4443: below 64 / 4 as it is, above 64 / 1 divided by the factor.
  EXPECT_EQ(floats(file, "rope_freqs.weight"), (std::vector<float>{1, 8}));
  EXPECT_EQ(file.tensor("blk.0.attn_q.weight")->dtype, DType::kBF16);
  EXPECT_EQ(file.tensor("output_norm.weight")->dtype, DType::kF32);
}

TEST(Convert, WritesTheTokenizer) {
  SmallLlama c;
  const files::Gguf file = c.converted("f32");
  EXPECT_EQ(file.string("tokenizer.ggml.model"), "gpt2");
  EXPECT_EQ(file.string("tokenizer.ggml.pre"), "smollm");
  const auto tokens = file.strings("tokenizer.ggml.tokens");
  const std::vector<std::string_view> expected{"a", "b", "ab", "aba", "<s>", "</s>", "<think>", "<|end|>", "[PAD8]"};
  EXPECT_EQ(std::vector<std::string_view>(tokens.begin(), tokens.end()), expected);
  const auto* types = file.array("tokenizer.ggml.token_type");
  ASSERT_NE(types, nullptr);
  EXPECT_EQ(std::get<std::vector<std::int64_t>>(*types), (std::vector<std::int64_t>{1, 1, 1, 1, 3, 3, 4, 3, 5}));
  const auto merges = file.strings("tokenizer.ggml.merges");
  EXPECT_EQ(std::vector<std::string_view>(merges.begin(), merges.end()),
            (std::vector<std::string_view>{"a b", "ab a"}));
  EXPECT_EQ(file.integer("tokenizer.ggml.bos_token_id"), 4);
  EXPECT_EQ(file.integer("tokenizer.ggml.eos_token_id"), 5);
  EXPECT_EQ(file.integer("tokenizer.ggml.eot_token_id"), 7);
  EXPECT_EQ(file.boolean("tokenizer.ggml.add_bos_token"), true);
  EXPECT_EQ(file.string("tokenizer.chat_template"), "hello");
}

constexpr const char* kDeepSeek =
    R"({"model_type": "deepseek_v3", "vocab_size": 9, "hidden_size": 4, "intermediate_size": 8,
  "num_hidden_layers": 2, "num_attention_heads": 2, "rms_norm_eps": 1e-6, "max_position_embeddings": 163840,
  "q_lora_rank": 6, "kv_lora_rank": 4, "qk_nope_head_dim": 2, "qk_rope_head_dim": 2, "v_head_dim": 1,
  "n_routed_experts": 2, "n_shared_experts": 1, "num_experts_per_tok": 1, "moe_intermediate_size": 3, "first_k_dense_replace": 1,
  "n_group": 1, "topk_group": 1, "routed_scaling_factor": 2.5, "norm_topk_prob": true, "num_nextn_predict_layers": 1,
  "quantization_config": {"quant_method": "fp8", "weight_block_size": [2, 2]},
  "rope_scaling": {"type": "yarn", "factor": 40, "original_max_position_embeddings": 4096, "mscale": 1.0, "mscale_all_dim": 1.0,
                   "beta_fast": 32, "beta_slow": 1}})";

struct SmallDeepSeek : SmallCheckpoint {
  explicit SmallDeepSeek(bool drafts) : SmallCheckpoint(kDeepSeek) {
    // Two heads of nope 2 and value 1, rank 4.
    add("model.layers.0.self_attn.kv_b_proj.weight", {6, 4}, counting(24));
    for (int e = 0; e < 2; ++e)
      add("model.layers.1.mlp.experts." + std::to_string(e) + ".up_proj.weight", {3, 4},
          std::vector<float>(12, static_cast<float>(e)));
    add("model.layers.1.mlp.gate.weight", {2, 4}, counting(8));
    add("model.layers.1.mlp.gate.e_score_correction_bias", {2}, {0.5f, 0.25f});
    if (drafts) add("model.layers.2.eh_proj.weight", {4, 8}, counting(32));
  }
};

TEST(Convert, SplitsAndStacksForDeepSeek) {
  SmallDeepSeek c(true);
  const files::Gguf file = c.converted("f32");
  // Keys of each head turned round: [2 heads, rank 4, nope 2]; rows 0, 1 and 3, 4 of kv_b.
  EXPECT_EQ(floats(file, "blk.0.attn_k_b.weight"),
            (std::vector<float>{0, 4, 1, 5, 2, 6, 3, 7, 12, 16, 13, 17, 14, 18, 15, 19}));
  EXPECT_EQ(floats(file, "blk.0.attn_v_b.weight"), (std::vector<float>{8, 9, 10, 11, 20, 21, 22, 23}));
  const base::Tensor* k_b = file.tensor("blk.0.attn_k_b.weight");
  EXPECT_EQ(std::vector<std::int64_t>(k_b->shape.begin(), k_b->shape.begin() + k_b->rank),
            (std::vector<std::int64_t>{2, 4, 2}));
  const base::Tensor* experts = file.tensor("blk.1.ffn_up_exps.weight");
  ASSERT_NE(experts, nullptr);
  EXPECT_EQ(std::vector<std::int64_t>(experts->shape.begin(), experts->shape.begin() + experts->rank),
            (std::vector<std::int64_t>{2, 3, 4}));
  EXPECT_EQ(floats(file, "blk.1.ffn_up_exps.weight")[11], 0);
  EXPECT_EQ(floats(file, "blk.1.ffn_up_exps.weight")[12], 1);
  EXPECT_EQ(floats(file, "blk.1.exp_probs_b.bias"), (std::vector<float>{0.5f, 0.25f}));
  EXPECT_EQ(floats(file, "blk.2.nextn.eh_proj.weight"), counting(32));
}

TEST(Convert, WritesDeepSeeksKeys) {
  SmallDeepSeek c(true);
  const files::Gguf file = c.converted("q4_k_m");
  EXPECT_EQ(file.string("general.architecture"), "deepseek2");
  EXPECT_EQ(file.integer("deepseek2.block_count"), 3);
  EXPECT_EQ(file.integer("deepseek2.nextn_predict_layers"), 1);
  EXPECT_EQ(file.integer("deepseek2.attention.head_count"), 2);
  EXPECT_EQ(file.integer("deepseek2.attention.head_count_kv"), 1);
  EXPECT_EQ(file.integer("deepseek2.attention.key_length"), 6);
  EXPECT_EQ(file.integer("deepseek2.attention.value_length"), 4);
  EXPECT_EQ(file.integer("deepseek2.attention.key_length_mla"), 4);
  EXPECT_EQ(file.integer("deepseek2.attention.value_length_mla"), 1);
  EXPECT_EQ(file.integer("deepseek2.attention.q_lora_rank"), 6);
  EXPECT_EQ(file.integer("deepseek2.expert_count"), 2);
  EXPECT_EQ(file.integer("deepseek2.expert_gating_func"), 2);
  EXPECT_EQ(file.number("deepseek2.expert_weights_scale"), 2.5);
  EXPECT_EQ(file.boolean("deepseek2.expert_weights_norm"), true);
  EXPECT_EQ(file.integer("deepseek2.leading_dense_block_count"), 1);
  EXPECT_EQ(file.string("deepseek2.rope.scaling.type"), "yarn");
  EXPECT_FLOAT_EQ(static_cast<float>(*file.number("deepseek2.rope.scaling.yarn_log_multiplier")), 0.1f);
  EXPECT_EQ(file.tensor("blk.1.ffn_gate_inp.weight")->dtype, DType::kF32);
}

TEST(Convert, CountsNoMtpLayerWhereItsTensorsAreMissing) {
  SmallDeepSeek c(false);
  const files::Gguf file = c.converted("f32");
  EXPECT_EQ(file.integer("deepseek2.block_count"), 2);
  EXPECT_EQ(file.integer("deepseek2.nextn_predict_layers"), std::nullopt);
}

TEST(Convert, DecodesFp8OnTheWayAlsoWhereAHeadBeginsInsideABlock) {
  SmallCheckpoint c(kDeepSeek);
  // Codes 0x38 are 1; blocks of 2 x 2, heads of 3 rows: the second head's first row is its block's second.
  c.add_fp8("model.layers.0.self_attn.kv_b_proj.weight", {6, 4}, std::vector<std::uint8_t>(24, 0x38), {3, 2},
            {1, 2, 3, 4, 5, 6});
  const files::Gguf file = c.converted("f32");
  EXPECT_EQ(floats(file, "blk.0.attn_k_b.weight"),
            (std::vector<float>{1, 1, 1, 1, 2, 2, 2, 2, 3, 5, 3, 5, 4, 6, 4, 6}));
  EXPECT_EQ(floats(file, "blk.0.attn_v_b.weight"), (std::vector<float>{3, 3, 4, 4, 5, 5, 6, 6}));
}

TEST(Convert, KeepsAGgufFilesKeysAndChangesItsTypes) {
  SmallCheckpoint c(
      R"({"model_type": "qwen2", "vocab_size": 9, "hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 1,
                        "num_attention_heads": 2, "max_position_embeddings": 64})");
  std::vector<float> values(64 * 64);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = std::sin(static_cast<float>(i));
  c.add("model.layers.0.mlp.up_proj.weight", {64, 64}, values);
  c.add("model.norm.weight", {64}, std::vector<float>(64, 0.5f));
  const files::Gguf first = c.converted("f32");
  const auto checkpoint = Checkpoint::open(c.out() / "out.gguf");
  ASSERT_TRUE(checkpoint);
  base::ThreadPool pool(1);
  std::uint64_t written = 0, bytes = 0;
  ASSERT_TRUE(
      convert({.from = *checkpoint, .specs = {}, .type = *find_file_type("q4_k_m"), .to = c.out() / "small.gguf"}, pool,
              [&](const ConvertProgress& p) -> base::Result<void> {
                written = p.written;
                bytes = p.bytes;
                return {};
              }));
  const auto second = files::Gguf::open(c.out() / "small.gguf");
  ASSERT_TRUE(second);
  EXPECT_EQ(bytes, second->file_bytes());
  EXPECT_EQ(written, base::row_bytes(DType::kQ5_0, values.size()) + 64 * sizeof(float));
  EXPECT_EQ(second->tensor("blk.0.ffn_up.weight")->dtype, DType::kQ5_0);
  EXPECT_EQ(floats(*second, "output_norm.weight"), std::vector<float>(64, 0.5f));
  for (const auto& [key, value] : first.values()) {
    if (key == "general.file_type") continue;
    const auto a = first.encoded(key), b = second->encoded(key);
    EXPECT_TRUE(std::equal(a.begin(), a.end(), b.begin(), b.end())) << key;
  }
  EXPECT_EQ(second->integer("general.file_type"), 15);
}

TEST(Convert, LeavesNothingBehindWhereANumberCannotBeHeld) {
  struct Case {
    const char* type;
    float value;
    const char* says;
  };
  for (const Case& wrong : {Case{"q8_0", std::numeric_limits<float>::quiet_NaN(), "the source is damaged"},
                            Case{"f16", 1e6f, "which f16 cannot hold (bf16 and f32 can)"},
                            Case{"bf16", std::numeric_limits<float>::infinity(), "row 3 holds inf"}}) {
    SmallCheckpoint c(kLlama);
    std::vector<float> values(64 * 9, 1.0f);
    values[3 * 64 + 5] = wrong.value;
    c.add("model.embed_tokens.weight", {9, 64}, values);
    const auto done = c.convert_to("out.gguf", wrong.type);
    ASSERT_FALSE(done);
    EXPECT_NE(done.error().message.find(wrong.says), std::string::npos) << done.error().message;
    EXPECT_NE(done.error().message.find("token_embd.weight"), std::string::npos) << done.error().message;
    EXPECT_EQ(c.out().entries(), 0u);
  }
}

TEST(Convert, StopsWhenToldTo) {
  SmallLlama c;
  ASSERT_TRUE(c.convert_to("a.gguf", "f32"));
  const auto checkpoint = Checkpoint::open(c.out() / "a.gguf");
  ASSERT_TRUE(checkpoint);
  base::ThreadPool pool(1);
  const auto done =
      convert({.from = *checkpoint, .specs = {}, .type = *find_file_type("f16"), .to = c.out() / "b.gguf"}, pool,
              [](const ConvertProgress& p) -> base::Result<void> {
                if (p.index == 2) return base::fail("enough");
                return {};
              });
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().message, "enough");
  EXPECT_EQ(c.out().entries(), 1u);
}

// What config.json says and GGUF has no words for.
TEST(Convert, RefusesWhatGgufCannotSay) {
  const auto refused = [](std::string config, std::string_view from, std::string_view to) {
    const std::size_t at = config.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    config.replace(at, from.size(), to);
    SmallCheckpoint c(config);
    c.add("model.norm.weight", {4}, {1, 2, 3, 4});
    const auto done = c.convert_to("out.gguf", "f32");
    return done ? std::string("nothing was wrong") : done.error().message;
  };
  EXPECT_NE(refused(kLlama, "\"llama\"", "\"gpt_neox\"").find("architecture \"gpt_neox\" cannot be converted"),
            std::string::npos);
  EXPECT_NE(refused(kDeepSeek, "\"mscale\": 1.0", "\"mscale\": 0.5").find("GGUF has no word for"), std::string::npos);
  EXPECT_NE(refused(kDeepSeek, "\"n_group\"", "\"moe_layer_freq\": 2, \"n_group\"").find("moe_layer_freq"),
            std::string::npos);
  EXPECT_NE(
      refused(kDeepSeek, "\"n_group\"", "\"scoring_func\": \"softmax\", \"n_group\"").find("scoring_func \"softmax\""),
      std::string::npos);
  EXPECT_NE(refused(kLlama, "\"hidden_size\": 4", "\"hidden_size\": \"four\"").find("\"hidden_size\" is \"four\""),
            std::string::npos);
  EXPECT_NE(refused(kLlama, "\"vocab_size\": 9", "\"vocab_size\": 7").find("expected 0 to 6 as the embedding has rows"),
            std::string::npos);
}

}  // namespace
}  // namespace fathom::weights
