// The metadata of a GGUF file to Config.
#include <cmath>
#include <cstring>

#include "model/config.h"
#include "model/config_check.h"

namespace fathom::model {
namespace {

using base::fail;
using base::Result;
using files::Gguf;

// Values under the architecture's prefix; keeps the first that is missing.
class Keys {
 public:
  Keys(const Gguf& file, std::string_view prefix) : file_(file), prefix_(prefix) {}

  std::int64_t integer(std::string_view key, std::int64_t otherwise) const {
    return file_.integer(full(key)).value_or(otherwise);
  }
  std::int64_t integer(std::string_view key) {
    const auto value = file_.integer(full(key));
    if (!value && missing_.empty()) missing_ = full(key);
    return value.value_or(0);
  }
  float number(std::string_view key, float otherwise) const {
    return static_cast<float>(file_.number(full(key)).value_or(otherwise));
  }
  bool boolean(std::string_view key, bool otherwise) const { return file_.boolean(full(key)).value_or(otherwise); }
  std::string_view text(std::string_view key) const { return file_.string(full(key)).value_or(""); }
  bool has(std::string_view key) const { return file_.find(full(key)) != nullptr; }
  const std::string& missing() const { return missing_; }

 private:
  std::string full(std::string_view key) const { return fmt::format("{}.{}", prefix_, key); }

  const Gguf& file_;
  std::string_view prefix_;
  std::string missing_;
};

Result<void> read_rope(const Gguf& file, const Keys& k, Config& c) {
  c.rope.theta = k.number("rope.freq_base", 10000.0f);
  c.rope.factor = k.number("rope.scaling.factor", 1.0f);
  c.rope.original_context = k.number("rope.scaling.original_context_length", static_cast<float>(c.context));
  const std::string_view type = k.text("rope.scaling.type");
  if (type == "linear") {
    c.rope.scaling = RopeScaling::kLinear;
  } else if (type == "yarn") {
    c.rope.scaling = RopeScaling::kYarn;
    c.rope.beta_fast = k.number("rope.scaling.yarn_beta_fast", 32.0f);
    c.rope.beta_slow = k.number("rope.scaling.yarn_beta_slow", 1.0f);
  } else if (!type.empty() && type != "none") {
    return fail("rope scaling \"{}\" is not supported (linear and yarn are)", type);
  } else if (k.has("rope.scale_linear")) {  // the older key
    c.rope.scaling = RopeScaling::kLinear;
    c.rope.factor = k.number("rope.scale_linear", 1.0f);
  }
  // Divisors of the frequencies (llama3 scaling comes as this tensor).
  if (const base::Tensor* t = file.tensor("rope_freqs.weight")) {
    if (t->dtype != base::DType::kF32 || t->elements() != c.rope.dim / 2)
      return fail("rope_freqs.weight holds {} {} values, expected {} of f32", t->elements(), base::info(t->dtype).name,
                  c.rope.dim / 2);
    c.rope.divisors.resize(static_cast<std::size_t>(t->elements()));
    std::memcpy(c.rope.divisors.data(), t->data, t->bytes());
    for (const float d : c.rope.divisors)
      if (!(d > 0)) return fail("rope_freqs.weight holds {}, expected positive divisors", d);
  }
  return {};
}

void read_latent(Keys& k, Config& c) {
  auto& l = c.latent;
  l.q_rank = k.integer("attention.q_lora_rank", 0);
  l.kv_rank = k.integer("attention.kv_lora_rank");
  l.rope = k.integer("rope.dimension_count");
  // Files since April 2025 give a head's real widths under *_mla; older ones under the plain keys.
  const bool split = k.has("attention.key_length_mla");
  l.nope = k.integer(split ? "attention.key_length_mla" : "attention.key_length") - l.rope;
  l.value = k.integer(split ? "attention.value_length_mla" : "attention.value_length");
  c.rope.dim = l.rope;
  c.head_dim = l.nope + l.rope;
  c.kv_heads = c.heads;
  const float log_factor = c.rope.factor > 1 ? std::log(c.rope.factor) : 0.0f;
  // yarn_log_multiplier is 0.1 * mscale_all_dim already; cos and sin keep amplitude 1 as in every released file.
  const float m = c.rope.scaling == RopeScaling::kYarn
                      ? 1.0f + k.number("rope.scaling.yarn_log_multiplier", 0.0f) * log_factor
                      : 1.0f;
  l.softmax_scale = c.head_dim > 0 ? m * m / std::sqrt(static_cast<float>(c.head_dim)) : 0;
}

Result<void> read_experts(Keys& k, Config& c) {
  auto& m = c.moe;
  m.experts = k.integer("expert_count", 0);
  if (m.experts == 0) return {};
  m.used = k.integer("expert_used_count");
  m.shared = k.integer("expert_shared_count", 0);
  m.ffn = k.integer("expert_feed_forward_length");
  m.first_dense = k.integer("leading_dense_block_count", 0);
  const std::int64_t gate = k.integer("expert_gating_func", 1);
  if (gate != 1 && gate != 2) return fail("expert_gating_func {} is not supported (1 softmax and 2 sigmoid are)", gate);
  const bool v3 = gate == 2;
  m.score = v3 ? GateScore::kSigmoid : GateScore::kSoftmax;
  m.bias = v3;
  m.normalise = k.boolean("expert_weights_norm", false);
  m.scale_normalised = v3;
  m.scale = k.number("expert_weights_scale", 1.0f);
  // Files made before the keys existed lack V3's groups; the model has 8, of which 4 are used.
  const bool old_v3 = v3 && m.experts == 256 && !k.has("expert_group_count");
  m.groups = k.integer("expert_group_count", old_v3 ? 8 : 1);
  m.groups_used = k.integer("expert_group_used_count", old_v3 ? 4 : 1);
  if (m.groups > 1 && m.groups_used < m.groups) m.grouping = v3 ? GateGroups::kTwoBest : GateGroups::kBest;
  if (v3) c.architecture = Architecture::kDeepSeekV3;
  return {};
}

Result<Architecture> read_architecture(std::string_view type) {
  if (type == "llama") return Architecture::kLlama;
  if (type == "qwen2") return Architecture::kQwen2;
  if (type == "qwen3") return Architecture::kQwen3;
  if (type == "deepseek") return Architecture::kDeepSeek;
  if (type == "deepseek2") return Architecture::kDeepSeekV2;
  return fail("architecture \"{}\" is not supported (llama, qwen2, qwen3, deepseek and deepseek2 are)", type);
}

}  // namespace

Result<Config> config_from_gguf(const Gguf& file) {
  const auto type = file.string("general.architecture");
  if (!type) return fail("general.architecture is missing");
  auto architecture = read_architecture(*type);
  if (!architecture) return std::unexpected(architecture.error());
  const base::Tensor* embedding = file.tensor("token_embd.weight");
  if (embedding == nullptr || embedding->rank != 2)
    return fail("token_embd.weight, the embedding, is missing: the file holds no model");
  Keys k(file, *type);
  Config c;
  c.architecture = *architecture;
  c.vocabulary = embedding->dim(0);
  c.dim = k.integer("embedding_length");
  c.draft_layers = k.integer("nextn_predict_layers", 0);
  c.layers = k.integer("block_count") - c.draft_layers;
  c.heads = k.integer("attention.head_count");
  c.kv_heads = k.integer("attention.head_count_kv", c.heads);
  c.ffn = k.integer("feed_forward_length");
  c.norm_eps = k.number("attention.layer_norm_rms_epsilon", 1e-6f);
  c.context = k.integer("context_length", 2048);
  c.tied = file.tensor("output.weight") == nullptr;
  c.attention_bias = file.tensor("blk.0.attn_q.bias") != nullptr;
  c.attention_output_bias = file.tensor("blk.0.attn_output.bias") != nullptr;
  c.mlp_bias = file.tensor("blk.0.ffn_gate.bias") != nullptr;
  c.head_dim = k.integer("attention.key_length", c.heads > 0 ? c.dim / c.heads : 0);
  c.rope.dim = k.integer("rope.dimension_count", c.head_dim);
  // The converter permutes q and k of `llama` and `deepseek` files to interleaved pairs; `deepseek2` always had them.
  const bool half = *type == "qwen2" || *type == "qwen3";
  c.rope.layout = half ? kernels::RopeLayout::kHalf : kernels::RopeLayout::kInterleaved;
  if (auto r = read_rope(file, k, c); !r) return std::unexpected(r.error());
  if (k.integer("attention.sliding_window", 0) > 0) return fail("attention.sliding_window is not supported");
  const bool has_experts = *type == "deepseek" || *type == "deepseek2";
  if (!has_experts && k.integer("expert_count", 0) > 0)
    return fail("experts (expert_count) are not supported for architecture \"{}\"", *type);
  if (has_experts)
    if (auto r = read_experts(k, c); !r) return std::unexpected(r.error());
  if (*type == "deepseek2") {
    read_latent(k, c);
  } else if (c.rope.scaling == RopeScaling::kYarn) {
    c.rope.amplitude =
        k.number("rope.scaling.attn_factor", 1.0f) * (c.rope.factor > 1 ? 0.1f * std::log(c.rope.factor) + 1.0f : 1.0f);
  }
  if (!k.missing().empty()) return fail("{} is missing", k.missing());
  return checked(std::move(c));
}

}  // namespace fathom::model
