#include "model/config.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "model/config_check.h"

namespace fathom::model {

using base::fail;
using base::Result;

std::string_view name(Architecture architecture) {
  switch (architecture) {
    case Architecture::kLlama:
      return "llama";
    case Architecture::kQwen2:
      return "qwen2";
    case Architecture::kQwen3:
      return "qwen3";
    case Architecture::kDeepSeek:
      return "deepseek";
    case Architecture::kDeepSeekV2:
      return "deepseek_v2";
    case Architecture::kDeepSeekV3:
      return "deepseek_v3";
  }
  return "?";
}

std::vector<float> rope_frequencies(const RopeConfig& rope) {
  const auto half = rope.dim / 2;
  std::vector<float> inv(static_cast<std::size_t>(half));
  for (std::int64_t i = 0; i < half; ++i) {
    const float exponent = static_cast<float>(2 * i) / static_cast<float>(rope.dim);
    inv[static_cast<std::size_t>(i)] = 1.0f / std::pow(rope.theta, exponent);
  }
  const float pi2 = 2.0f * std::numbers::pi_v<float>;
  switch (rope.scaling) {
    case RopeScaling::kNone:
      break;
    case RopeScaling::kLinear:
      for (float& f : inv) f /= rope.factor;
      break;
    case RopeScaling::kLlama3: {
      const float low_wave = rope.original_context / rope.low_freq_factor;
      const float high_wave = rope.original_context / rope.high_freq_factor;
      for (float& f : inv) {
        const float wave = pi2 / f;
        if (wave < high_wave) continue;
        if (wave > low_wave) {
          f /= rope.factor;
        } else {
          const float s =
              (rope.original_context / wave - rope.low_freq_factor) / (rope.high_freq_factor - rope.low_freq_factor);
          f = (1 - s) * f / rope.factor + s * f;
        }
      }
      break;
    }
    case RopeScaling::kYarn: {
      const auto turns_to_dim = [&](double turns) {
        return static_cast<double>(rope.dim) * std::log(rope.original_context / (turns * 2 * std::numbers::pi)) /
               (2 * std::log(static_cast<double>(rope.theta)));
      };
      const double low = std::max(std::floor(turns_to_dim(rope.beta_fast)), 0.0);
      double high = std::min(std::ceil(turns_to_dim(rope.beta_slow)), static_cast<double>(rope.dim - 1));
      if (low == high) high += 0.001;
      for (std::int64_t i = 0; i < half; ++i) {
        const auto ramp = static_cast<float>(std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0));
        float& f = inv[static_cast<std::size_t>(i)];
        f = f / rope.factor * ramp + f * (1 - ramp);
      }
      break;
    }
  }
  for (std::size_t i = 0; i < rope.divisors.size() && i < inv.size(); ++i) inv[i] /= rope.divisors[i];
  return inv;
}

// What both readers check at the end, so that no later multiplication overflows and no division is by zero.
Result<Config> checked(Config c) {
  struct Range {
    std::string_view name;
    std::int64_t value, low, high;
  };
  const std::int64_t wide = std::int64_t{1} << 20;
  const Range ranges[] = {
      {"the vocabulary", c.vocabulary, 1, std::int64_t{1} << 24},
      {"the width (hidden_size)", c.dim, 1, wide},
      {"the number of layers", c.layers, 1, 4096},
      {"the number of heads", c.heads, 1, 4096},
      {"the number of key-value heads", c.kv_heads, 1, 4096},
      {"the head's width", c.head_dim, 1, 65536},
      {"the feed-forward width", c.ffn, 1, wide},
      {"the context length", c.context, 1, std::int64_t{1} << 30},
      {"the rotary width", c.rope.dim, 2, 65536},
      {"the number of routed experts", c.moe.experts, 0, 65536},
      {"the number of MTP layers", c.draft_layers, 0, 16},
  };
  for (const auto& r : ranges)
    if (r.value < r.low || r.value > r.high) return fail("{} is {}, expected {} to {}", r.name, r.value, r.low, r.high);
  if (!(c.norm_eps > 0 && c.norm_eps < 1))
    return fail("rms_norm_eps is {}, expected a small positive number", c.norm_eps);
  if (!(c.rope.theta > 0) || !std::isfinite(c.rope.theta))
    return fail("rope_theta is {}, expected a positive number", c.rope.theta);
  if (c.rope.dim % 2 != 0) return fail("the rotary width is {}, expected an even number", c.rope.dim);
  if (c.rope.scaling != RopeScaling::kNone && !(c.rope.factor > 0))
    return fail("rope scaling's factor is {}, expected a positive number", c.rope.factor);
  if ((c.rope.scaling == RopeScaling::kYarn || c.rope.scaling == RopeScaling::kLlama3) &&
      !(c.rope.original_context > 0))
    return fail("rope scaling lacks original_max_position_embeddings");
  if (c.rope.scaling == RopeScaling::kLlama3 && !(c.rope.high_freq_factor > c.rope.low_freq_factor))
    return fail("rope scaling's high_freq_factor must exceed its low_freq_factor");
  if (c.heads % c.kv_heads != 0) return fail("{} heads cannot share {} key-value heads evenly", c.heads, c.kv_heads);
  const bool latent = c.architecture == Architecture::kDeepSeekV2 || c.architecture == Architecture::kDeepSeekV3;
  if (latent) {
    const auto& l = c.latent;
    if (l.q_rank < 0 || l.q_rank > wide || l.kv_rank < 1 || l.kv_rank > 65536 || l.nope < 1 || l.nope > 65536 ||
        l.value < 1 || l.value > 65536 || l.rope != c.rope.dim)
      return fail("impossible latent attention: q_lora_rank {}, kv_lora_rank {}, head {} + {}, value {}", l.q_rank,
                  l.kv_rank, l.nope, l.rope, l.value);
  } else if (c.rope.dim > c.head_dim) {
    return fail("the rotary width {} exceeds the head's {}", c.rope.dim, c.head_dim);
  }
  const auto& m = c.moe;
  if (m.experts > 0) {
    if (m.used < 1 || m.used > m.experts) return fail("{} of {} experts cannot be used per token", m.used, m.experts);
    if (m.ffn < 1 || m.ffn > wide) return fail("an expert's width is {}, expected a positive number", m.ffn);
    if (m.shared < 0 || m.shared > 1024 || m.first_dense < 0 || m.frequency < 1)
      return fail("impossible experts: {} shared, first dense {}, every {} layers", m.shared, m.first_dense,
                  m.frequency);
    if (m.groups < 1 || m.experts % m.groups != 0 || m.groups_used < 1 || m.groups_used > m.groups)
      return fail("{} experts cannot be limited to {} of {} groups", m.experts, m.groups_used, m.groups);
    if (m.grouping != GateGroups::kNone && m.used > m.experts / m.groups * m.groups_used)
      return fail("{} experts cannot be chosen from {} groups of {}", m.used, m.groups_used, m.experts / m.groups);
    if (m.grouping == GateGroups::kTwoBest && m.experts / m.groups < 2)
      return fail("groups of one expert have no two best ones");
  }
  return c;
}

}  // namespace fathom::model
