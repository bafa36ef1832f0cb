#include "weights/names.h"

#include <fmt/format.h>

#include <charconv>
#include <utility>

namespace fathom::weights {
namespace {

using Pair = std::pair<std::string_view, std::string_view>;

constexpr Pair kTop[] = {
    {"model.embed_tokens.weight", "token_embd.weight"},
    {"model.norm.weight", "output_norm.weight"},
    {"lm_head.weight", "output.weight"},
};

// Below `model.layers.N.` and `blk.N.`. `k_b_proj` and `v_b_proj` are the halves of kv_b_proj, which only GGUF stores.
constexpr Pair kLayer[] = {
    {"input_layernorm", "attn_norm"},
    {"post_attention_layernorm", "ffn_norm"},
    {"self_attn.q_proj", "attn_q"},
    {"self_attn.k_proj", "attn_k"},
    {"self_attn.v_proj", "attn_v"},
    {"self_attn.o_proj", "attn_output"},
    {"self_attn.q_norm", "attn_q_norm"},
    {"self_attn.k_norm", "attn_k_norm"},
    {"self_attn.q_a_proj", "attn_q_a"},
    {"self_attn.q_a_layernorm", "attn_q_a_norm"},
    {"self_attn.q_b_proj", "attn_q_b"},
    {"self_attn.kv_a_proj_with_mqa", "attn_kv_a_mqa"},
    {"self_attn.kv_a_layernorm", "attn_kv_a_norm"},
    {"self_attn.kv_b_proj", "attn_kv_b"},
    {"self_attn.k_b_proj", "attn_k_b"},
    {"self_attn.v_b_proj", "attn_v_b"},
    {"mlp.gate_proj", "ffn_gate"},
    {"mlp.up_proj", "ffn_up"},
    {"mlp.down_proj", "ffn_down"},
    {"mlp.gate", "ffn_gate_inp"},
    {"mlp.shared_experts.gate_proj", "ffn_gate_shexp"},
    {"mlp.shared_experts.up_proj", "ffn_up_shexp"},
    {"mlp.shared_experts.down_proj", "ffn_down_shexp"},
    {"eh_proj", "nextn.eh_proj"},
    {"enorm", "nextn.enorm"},
    {"hnorm", "nextn.hnorm"},
    {"embed_tokens", "nextn.embed_tokens"},
    {"shared_head.head", "nextn.shared_head_head"},
    {"shared_head.norm", "nextn.shared_head_norm"},
};

// Takes "12." off the front.
std::optional<std::int64_t> take_number(std::string_view& text) {
  std::int64_t n = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (error != std::errc{} || end == text.data() + text.size() || *end != '.') return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()) + 1);
  return n;
}

}  // namespace

std::optional<GgufName> gguf_name(std::string_view name) {
  for (const auto& [ours, theirs] : kTop)
    if (name == ours) return GgufName{std::string(theirs)};
  constexpr std::string_view kPrefix = "model.layers.";
  if (!name.starts_with(kPrefix)) return std::nullopt;
  name.remove_prefix(kPrefix.size());
  const auto layer = take_number(name);
  if (!layer) return std::nullopt;
  if (name == "mlp.gate.e_score_correction_bias") return GgufName{fmt::format("blk.{}.exp_probs_b.bias", *layer)};
  constexpr std::string_view kExperts = "mlp.experts.";
  if (name.starts_with(kExperts)) {
    name.remove_prefix(kExperts.size());
    const auto expert = take_number(name);
    for (const std::string_view part : {"gate", "up", "down"})
      if (expert && name == fmt::format("{}_proj.weight", part))
        return GgufName{fmt::format("blk.{}.ffn_{}_exps.weight", *layer, part), *expert};
    return std::nullopt;
  }
  const auto dot = name.rfind('.');
  if (dot == std::string_view::npos) return std::nullopt;
  for (const auto& [ours, theirs] : kLayer)
    if (name.substr(0, dot) == ours) return GgufName{fmt::format("blk.{}.{}{}", *layer, theirs, name.substr(dot))};
  return std::nullopt;
}

std::int64_t layer_of(std::string_view name) {
  for (const std::string_view prefix : {"model.layers.", "blk."}) {
    if (!name.starts_with(prefix)) continue;
    std::int64_t layer = -1;
    std::from_chars(name.data() + prefix.size(), name.data() + name.size(), layer);
    return layer;
  }
  return -1;
}

}  // namespace fathom::weights
