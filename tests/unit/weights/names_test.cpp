// Hugging Face's names in GGUF's spelling.
#include "weights/names.h"

#include <gtest/gtest.h>

#include <utility>

namespace fathom::weights {
namespace {

TEST(Names, AreThoseOfGguf) {
  const std::pair<const char*, const char*> pairs[] = {
      {"model.embed_tokens.weight", "token_embd.weight"},
      {"model.norm.weight", "output_norm.weight"},
      {"lm_head.weight", "output.weight"},
      {"model.layers.0.input_layernorm.weight", "blk.0.attn_norm.weight"},
      {"model.layers.12.self_attn.q_proj.bias", "blk.12.attn_q.bias"},
      {"model.layers.3.self_attn.kv_a_proj_with_mqa.weight", "blk.3.attn_kv_a_mqa.weight"},
      {"model.layers.3.mlp.gate.weight", "blk.3.ffn_gate_inp.weight"},
      {"model.layers.3.mlp.gate_proj.weight", "blk.3.ffn_gate.weight"},
      {"model.layers.3.mlp.gate.e_score_correction_bias", "blk.3.exp_probs_b.bias"},
      {"model.layers.61.eh_proj.weight", "blk.61.nextn.eh_proj.weight"},
      {"model.layers.61.shared_head.norm.weight", "blk.61.nextn.shared_head_norm.weight"},
  };
  for (const auto& [ours, theirs] : pairs) {
    const auto name = gguf_name(ours);
    ASSERT_TRUE(name) << ours;
    EXPECT_EQ(name->name, theirs);
    EXPECT_EQ(name->expert, -1);
  }
}

TEST(Names, OfExpertsAreAStackAndANumber) {
  const auto name = gguf_name("model.layers.4.mlp.experts.17.down_proj.weight");
  ASSERT_TRUE(name);
  EXPECT_EQ(name->name, "blk.4.ffn_down_exps.weight");
  EXPECT_EQ(name->expert, 17);
}

TEST(Names, ThatGgufLacksAreNothing) {
  for (const char* name :
       {"", "model.layers", "model.layers.x.input_layernorm.weight", "model.layers.4.mlp.experts.weight",
        "model.layers.4.mlp.experts.1.side_proj.weight", "visual.patch.weight", "model.layers.1.weight"})
    EXPECT_FALSE(gguf_name(name)) << name;
}

}  // namespace
}  // namespace fathom::weights
