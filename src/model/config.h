// One description of a model's shape and variations, whichever file it came from: config.json of a Hugging Face
// directory or the metadata of a GGUF file. Everything that decides a forward pass is here; nothing is guessed from a
// size. The trainer writes the same structure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "files/gguf.h"
#include "files/json.h"
#include "kernels/table.h"

namespace fathom::model {

enum class Architecture : std::uint8_t { kLlama, kQwen2, kQwen3, kDeepSeek, kDeepSeekV2, kDeepSeekV3 };
std::string_view name(Architecture architecture);

enum class RopeScaling : std::uint8_t { kNone, kLinear, kLlama3, kYarn };

struct RopeConfig {
  float theta = 10000.0f;
  std::int64_t dim = 0;  // numbers of a head that rotate
  kernels::RopeLayout layout = kernels::RopeLayout::kHalf;
  RopeScaling scaling = RopeScaling::kNone;
  float factor = 1.0f;
  float original_context = 0;
  float low_freq_factor = 1.0f, high_freq_factor = 4.0f;  // llama3
  float beta_fast = 32.0f, beta_slow = 1.0f;              // yarn
  float amplitude = 1.0f;                                 // factor of cos and sin (yarn)
  std::vector<float> divisors;                            // GGUF's rope_freqs: divide the frequencies; empty: none
};

enum class GateScore : std::uint8_t { kSoftmax, kSigmoid };
// How groups of experts are ranked before experts are: not at all, by the best expert (V2), by the two best (V3).
enum class GateGroups : std::uint8_t { kNone, kBest, kTwoBest };

struct MoeConfig {
  std::int64_t experts = 0;  // routed; 0: every layer is dense
  std::int64_t shared = 0;
  std::int64_t used = 0;
  std::int64_t ffn = 0;  // width of one expert
  std::int64_t first_dense = 0;
  std::int64_t frequency = 1;
  GateScore score = GateScore::kSoftmax;
  GateGroups grouping = GateGroups::kNone;
  bool bias = false;  // e_score_correction_bias
  std::int64_t groups = 1, groups_used = 1;
  bool normalise = false;
  bool scale_normalised = true;  // V2 scales only what it did not normalise
  float scale = 1.0f;
};

struct LatentConfig {       // MLA
  std::int64_t q_rank = 0;  // 0: queries are projected at once
  std::int64_t kv_rank = 0;
  std::int64_t nope = 0, rope = 0, value = 0;  // per head
  float softmax_scale = 0;
};

struct Config {
  Architecture architecture = Architecture::kLlama;
  std::int64_t vocabulary = 0;  // rows of the output matrix
  std::int64_t dim = 0;
  std::int64_t layers = 0;
  std::int64_t heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;
  std::int64_t ffn = 0;
  float norm_eps = 1e-6f;
  std::int64_t context = 0;
  bool tied = false;            // the output matrix is the embedding
  bool attention_bias = false;  // on q, k and v
  bool attention_output_bias = false;
  bool mlp_bias = false;
  RopeConfig rope;
  LatentConfig latent;
  MoeConfig moe;
  std::int64_t draft_layers = 0;  // MTP

  bool is_moe_layer(std::int64_t layer) const {
    return moe.experts > 0 && layer >= moe.first_dense && layer % moe.frequency == 0;
  }
};

// Errors: a missing or impossible value, an unknown architecture or option (named).
base::Result<Config> config_from_json(const files::Json& json);
base::Result<Config> config_from_gguf(const files::Gguf& file);

// Frequencies of the rotary embedding [dim / 2], fp32 as the reference computes them.
std::vector<float> rope_frequencies(const RopeConfig& rope);

}  // namespace fathom::model
