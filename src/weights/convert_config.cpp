#include "weights/convert_config.h"

#include <cmath>
#include <numbers>
#include <tuple>

#include "weights/convert_fields.h"

namespace fathom::weights {
namespace {

using base::Result;
using files::GgufWriter;
using files::Json;

constexpr const char* kConfig = "config.json";

std::string gguf_architecture(Fields& f) {
  const std::string type = f.text("model_type");
  if (type == "llama" || type == "qwen2" || type == "qwen3" || type == "deepseek") return type;
  if (type == "deepseek_v2" || type == "deepseek_v3") return "deepseek2";
  f.refuse(fmt::format(
      "architecture \"{}\" cannot be converted (llama, qwen2, qwen3, deepseek, deepseek_v2 and deepseek_v3 can)",
      type));
  return type;
}

// rope_scaling, or (transformers 5) rope_parameters, which also holds rope_theta.
const Json& rope_json(const Fields& f) {
  static const Json empty = Json::object();
  const Json* rope = f.find(f.has("rope_parameters") ? "rope_parameters" : "rope_scaling");
  return rope != nullptr && rope->is_object() ? *rope : empty;
}

std::string rope_type(Fields& rope) {
  return rope.text("rope_type", rope.text("type", "default").c_str());
}

double rope_theta(Fields& f, Fields& rope) {
  return rope.number("rope_theta", f.number("rope_theta", 10000));
}

// What llama3 scaling divides each frequency by: 1 for short waves, the factor for long ones, between them in between.
std::vector<float> llama3_divisors(double theta, std::int64_t width, double context, Fields& rope) {
  const auto number = [&](const char* key, double otherwise) {
    return static_cast<float>(rope.number(key, otherwise));
  };
  const float factor = number("factor", 8), low = number("low_freq_factor", 1), high = number("high_freq_factor", 4);
  const float original = number("original_max_position_embeddings", context);
  if (!(factor > 0) || !(high > low) || !(low > 0) || !(original > 0)) {
    rope.refuse("llama3 scaling's factors are impossible");
    return {};
  }
  std::vector<float> divisors;
  for (std::int64_t i = 0; i < width; i += 2) {
    const float exponent = static_cast<float>(i) / static_cast<float>(width);
    const float wave = 2 * std::numbers::pi_v<float> * std::pow(static_cast<float>(theta), exponent);
    if (wave < original / high) {
      divisors.push_back(1);
    } else if (wave > original / low) {
      divisors.push_back(factor);
    } else {
      const float smooth = (original / wave - low) / (high - low);
      divisors.push_back(1 / ((1 - smooth) / factor + smooth));
    }
  }
  return divisors;
}

// Words of one architecture, written with its name before them.
class Keys {
 public:
  Keys(GgufWriter& out, std::string_view architecture) : out_(out), prefix_(std::string(architecture) + ".") {}

  void integer(std::string_view key, std::int64_t value) {
    out_.set_u32(prefix_ + std::string(key), static_cast<std::uint32_t>(value));
  }
  void number(std::string_view key, double value) {
    out_.set_f32(prefix_ + std::string(key), static_cast<float>(value));
  }
  void boolean(std::string_view key, bool value) { out_.set_bool(prefix_ + std::string(key), value); }
  void text(std::string_view key, std::string_view value) { out_.set_string(prefix_ + std::string(key), value); }

 private:
  GgufWriter& out_;
  std::string prefix_;
};

void set_attention(Fields& f, const ConvertConfig& c, Keys& k) {
  k.integer("attention.head_count", c.heads);
  k.number("attention.layer_norm_rms_epsilon", f.number("rms_norm_eps", 1e-6));
  if (c.kv_rank == 0) {
    k.integer("attention.head_count_kv", c.kv_heads);
    k.integer("attention.key_length", c.head);
    k.integer("attention.value_length", c.head);
    k.integer("rope.dimension_count", c.head);
    return;
  }
  // Latent attention is told as what its cache makes of it: one key-value head, whose keys are the latent and the
  // rotated part and whose values are the latent.
  k.integer("attention.head_count_kv", 1);
  if (f.integer("q_lora_rank", 0) > 0) k.integer("attention.q_lora_rank", f.integer("q_lora_rank"));
  k.integer("attention.kv_lora_rank", c.kv_rank);
  k.integer("attention.key_length", c.kv_rank + c.rope);
  k.integer("attention.value_length", c.kv_rank);
  k.integer("attention.key_length_mla", c.nope + c.rope);
  k.integer("attention.value_length_mla", c.value);
  k.integer("rope.dimension_count", c.rope);
}

double yarn_scale(double factor, double mscale) {
  return factor <= 1 ? 1 : 0.1 * mscale * std::log(factor) + 1;
}

void set_yarn(Fields& rope, const ConvertConfig& c, Keys& k) {
  const double factor = rope.number("factor", 1), all = rope.number("mscale_all_dim", 0);
  const double mscale = rope.number("mscale", 1), usual = yarn_scale(factor, 1);
  const double amplitude = rope.has("attention_factor") ? rope.number("attention_factor", 1)
                                                        : yarn_scale(factor, mscale) / yarn_scale(factor, all);
  if (rope.number("beta_fast", 32) != 32) k.number("rope.scaling.yarn_beta_fast", rope.number("beta_fast", 32));
  if (rope.number("beta_slow", 1) != 1) k.number("rope.scaling.yarn_beta_slow", rope.number("beta_slow", 1));
  if (c.kv_rank == 0) {
    // Readers scale cosines and sines by 1 + ln(factor) / 10 times this.
    if (std::abs(amplitude / usual - 1) > 1e-6) k.number("rope.scaling.attn_factor", amplitude / usual);
    return;
  }
  // Here they scale the softmax alone: by (1 + key * ln(factor))^2.
  if (std::abs(amplitude - 1) > 1e-6)
    rope.refuse(fmt::format("mscale {} and mscale_all_dim {} differ, which GGUF has no word for", mscale, all));
  k.number("rope.scaling.yarn_log_multiplier", 0.1 * all);
}

void set_rope(Fields& f, const ConvertConfig& c, Keys& k) {
  Fields rope(rope_json(f), std::string(kConfig) + ": rope scaling");
  k.number("rope.freq_base", rope_theta(f, rope));
  const std::string type = rope_type(rope);
  if (type == "linear" || type == "yarn") {
    k.text("rope.scaling.type", type);
    k.number("rope.scaling.factor", rope.number("factor", 1));
  } else if (type != "default" && type != "llama3") {
    rope.refuse(fmt::format("\"{}\" cannot be converted (default, linear, llama3 and yarn can)", type));
  }
  if (type == "yarn") {
    k.integer("rope.scaling.original_context_length",
              rope.integer("original_max_position_embeddings", f.integer("max_position_embeddings", 2048)));
    set_yarn(rope, c, k);
  }
  f.take_error(rope);
}

// How the experts are chosen. Readers take a sigmoid for V3's rules and a softmax for V2's.
void set_gate(Fields& f, const ConvertConfig& c, Keys& k) {
  const bool v3 = f.text("model_type") == "deepseek_v3";
  const std::string score = f.text("scoring_func", v3 ? "sigmoid" : "softmax");
  const std::string method = f.text("topk_method", v3 ? "noaux_tc" : "greedy");
  if (score != (v3 ? "sigmoid" : "softmax") || (method == "noaux_tc") != v3)
    f.refuse(fmt::format("scoring_func \"{}\" with topk_method \"{}\" is not what GGUF's readers take a {} model for",
                         score, method, f.text("model_type")));
  k.integer("expert_gating_func", v3 ? 2 : 1);
  k.boolean("expert_weights_norm", f.boolean("norm_topk_prob", v3));
  k.number("expert_weights_scale", f.number("routed_scaling_factor", 1));
  if (method == "greedy" || c.kv_rank == 0) return;
  k.integer("expert_group_count", f.integer("n_group", 1));
  k.integer("expert_group_used_count", f.integer("topk_group", 1));
}

void set_experts(Fields& f, const ConvertConfig& c, Keys& k) {
  if (c.experts == 0) {
    if (c.kv_rank == 0) return;
    // Without experts all layers are dense; readers still ask for these.
    k.integer("leading_dense_block_count", c.layers);
    k.integer("expert_feed_forward_length", f.integer("intermediate_size"));
    k.integer("expert_shared_count", 0);
    return;
  }
  if (f.integer("moe_layer_freq", 1) != 1) f.refuse("moe_layer_freq other than 1 has no word in GGUF");
  k.integer("leading_dense_block_count", f.integer("first_k_dense_replace", 0));
  k.integer("expert_count", c.experts);
  k.integer("expert_used_count", f.integer("num_experts_per_tok"));
  k.integer("expert_shared_count", f.integer("n_shared_experts", 0));
  k.integer("expert_feed_forward_length", f.integer("moe_intermediate_size"));
  set_gate(f, c, k);
}

void read_attention(Fields& f, ConvertConfig& c) {
  c.heads = f.integer("num_attention_heads");
  c.kv_heads = f.integer("num_key_value_heads", c.heads);
  if (c.architecture == "deepseek2") {
    c.kv_rank = f.integer("kv_lora_rank");
    c.nope = f.integer("qk_nope_head_dim");
    c.rope = f.integer("qk_rope_head_dim");
    c.value = f.integer("v_head_dim");
    c.head = c.nope + c.rope;
    c.halves_to_pairs = !f.boolean("rope_interleave", true);
  } else {
    c.head = f.integer("head_dim", c.heads > 0 ? f.integer("hidden_size") / c.heads : 0);
    c.rope = c.head;
    c.halves_to_pairs = c.architecture == "llama" || c.architecture == "deepseek";
  }
}

// What is allocated or counted by; the rest is checked by whoever binds the model.
void check_ranges(Fields& f, const ConvertConfig& c) {
  const std::tuple<const char*, std::int64_t, std::int64_t> ranges[] = {
      {"vocab_size", c.vocabulary, std::int64_t{1} << 24},
      {"num_attention_heads", c.heads, 4096},
      {"head_dim", c.head, 65536}};
  for (const auto& [key, value, most] : ranges)
    if (value < 1 || value > most) f.refuse(fmt::format("\"{}\" is {}, expected 1 to {}", key, value, most));
}

}  // namespace

Result<ConvertConfig> read_convert_config(const Json& config) {
  Fields f(config, kConfig);
  ConvertConfig c;
  c.architecture = gguf_architecture(f);
  c.vocabulary = f.integer("vocab_size");
  c.layers = f.integer("num_hidden_layers");
  c.tied = f.boolean("tie_word_embeddings", false);
  read_attention(f, c);
  if (c.architecture.starts_with("deepseek")) c.experts = f.integer("n_routed_experts", 0);
  if (f.text("model_type") == "deepseek_v3") c.draft_layers = f.integer("num_nextn_predict_layers", 0);
  check_ranges(f, c);
  if (const auto r = f.result(); !r) return std::unexpected(r.error());
  Fields rope(rope_json(f), kConfig);
  if (rope_type(rope) == "llama3")
    c.rope_divisors = llama3_divisors(rope_theta(f, rope), c.head, f.number("max_position_embeddings", 2048), rope);
  if (const auto r = rope.result(); !r) return std::unexpected(r.error());
  return c;
}

Result<void> set_config_keys(const Json& config, const ConvertConfig& c, bool drafts, GgufWriter& out) {
  Fields f(config, kConfig);
  Keys k(out, c.architecture);
  k.integer("block_count", c.layers + (drafts ? c.draft_layers : 0));
  k.integer("context_length", f.integer("max_position_embeddings", 2048));
  k.integer("embedding_length", f.integer("hidden_size"));
  k.integer("feed_forward_length", f.integer("intermediate_size"));
  k.integer("vocab_size", c.vocabulary);
  if (drafts) k.integer("nextn_predict_layers", c.draft_layers);
  set_attention(f, c, k);
  set_rope(f, c, k);
  set_experts(f, c, k);
  return f.result();
}

}  // namespace fathom::weights
