// config.json of Hugging Face directories to Config.
#include <cmath>

#include "model/config.h"
#include "model/config_check.h"

namespace fathom::model {
namespace {

using base::fail;
using base::Result;
using files::Json;

// Reads values by key and keeps the first thing that was wrong.
class Values {
 public:
  explicit Values(const Json& json) : json_(json) {}

  bool has(const char* key) const { return json_.is_object() && json_.contains(key) && !json_[key].is_null(); }

  std::int64_t integer(const char* key, std::int64_t otherwise) {
    if (!has(key)) return otherwise;
    const Json& v = json_[key];
    if (v.is_number_unsigned() && v.get<std::uint64_t>() > std::uint64_t{1} << 62)
      return wrong(key, v, "an integer"), otherwise;
    if (v.is_number_integer()) return v.get<std::int64_t>();
    // Some configurations write whole numbers as floats.
    if (v.is_number_float() && std::abs(v.get<double>()) < 1e15 && v.get<double>() == std::floor(v.get<double>()))
      return static_cast<std::int64_t>(v.get<double>());
    wrong(key, v, "an integer");
    return otherwise;
  }
  std::int64_t integer(const char* key) {
    if (!has(key)) missing(key);
    return integer(key, 0);
  }
  float number(const char* key, float otherwise) {
    if (!has(key)) return otherwise;
    if (json_[key].is_number()) return json_[key].get<float>();
    wrong(key, json_[key], "a number");
    return otherwise;
  }
  bool boolean(const char* key, bool otherwise) {
    if (!has(key)) return otherwise;
    if (json_[key].is_boolean()) return json_[key].get<bool>();
    wrong(key, json_[key], "true or false");
    return otherwise;
  }
  std::string text(const char* key, const char* otherwise) {
    if (!has(key)) return otherwise;
    if (json_[key].is_string()) return json_[key].get<std::string>();
    wrong(key, json_[key], "a string");
    return otherwise;
  }
  const Json& object(const char* key) {
    static const Json empty = Json::object();
    if (!has(key)) return empty;
    if (json_[key].is_object()) return json_[key];
    wrong(key, json_[key], "an object");
    return empty;
  }
  // What a list of strings holds besides `usual`; "" where that is all.
  std::string unusual(const char* key, std::string_view usual) {
    if (!has(key)) return {};
    if (!json_[key].is_array()) return wrong(key, json_[key], "a list"), std::string();
    for (const Json& item : json_[key])
      if (!item.is_string() || item.get_ref<const std::string&>() != usual)
        return item.dump(-1, ' ', false, Json::error_handler_t::replace).substr(0, 60);
    return {};
  }
  void refuse(std::string message) {
    if (error_.empty()) error_ = std::move(message);
  }
  void take_error(const Values& other) {
    if (!other.error_.empty()) refuse(other.error_);
  }
  const std::string& error() const { return error_; }

 private:
  void missing(const char* key) { refuse(fmt::format("\"{}\" is missing", key)); }
  void wrong(const char* key, const Json& v, const char* expected) {
    refuse(fmt::format("\"{}\" is {}, expected {}", key,
                       v.dump(-1, ' ', false, Json::error_handler_t::replace).substr(0, 60), expected));
  }

  const Json& json_;
  std::string error_;
};

float yarn_scale(float factor, float mscale) {
  return factor <= 1 ? 1.0f : 0.1f * mscale * std::log(factor) + 1.0f;
}

// rope_scaling, or (transformers 5) rope_parameters, which also holds rope_theta.
void read_rope(Values& top, Config& c) {
  Values r(top.object(top.has("rope_parameters") ? "rope_parameters" : "rope_scaling"));
  c.rope.theta = r.number("rope_theta", top.number("rope_theta", 10000.0f));
  const std::string type = r.text("rope_type", r.text("type", "default").c_str());
  c.rope.factor = r.number("factor", 1.0f);
  c.rope.original_context = r.number("original_max_position_embeddings", static_cast<float>(c.context));
  if (type == "default") {
    c.rope.scaling = RopeScaling::kNone;
  } else if (type == "linear") {
    c.rope.scaling = RopeScaling::kLinear;
  } else if (type == "llama3") {
    c.rope.scaling = RopeScaling::kLlama3;
    c.rope.low_freq_factor = r.number("low_freq_factor", 1.0f);
    c.rope.high_freq_factor = r.number("high_freq_factor", 4.0f);
  } else if (type == "yarn") {
    c.rope.scaling = RopeScaling::kYarn;
    c.rope.beta_fast = r.number("beta_fast", 32.0f);
    c.rope.beta_slow = r.number("beta_slow", 1.0f);
    const float mscale = r.number("mscale", 1.0f);
    const float all_dim = r.number("mscale_all_dim", 0.0f);
    c.rope.amplitude = r.has("attention_factor")
                           ? r.number("attention_factor", 1.0f)
                           : yarn_scale(c.rope.factor, mscale) / yarn_scale(c.rope.factor, all_dim);
    // Both query and key of latent attention are scaled, hence the square (spec of V2: softmax scale only).
    const float m = all_dim != 0 ? yarn_scale(c.rope.factor, all_dim) : 1.0f;
    c.latent.softmax_scale = m * m;
    if (!r.boolean("truncate", true)) r.refuse("rope scaling \"truncate\": false is not supported");
  } else {
    r.refuse(fmt::format("rope scaling \"{}\" is not supported (default, linear, llama3 and yarn are)", type));
  }
  if (top.number("partial_rotary_factor", 1.0f) != 1.0f)
    r.refuse("partial_rotary_factor other than 1 is not supported");
  top.take_error(r);
}

void read_latent(Values& v, Config& c) {
  c.latent.q_rank = v.integer("q_lora_rank", 0);
  c.latent.kv_rank = v.integer("kv_lora_rank");
  c.latent.nope = v.integer("qk_nope_head_dim");
  c.latent.rope = v.integer("qk_rope_head_dim");
  c.latent.value = v.integer("v_head_dim");
  c.rope.dim = c.latent.rope;
  c.rope.layout = v.boolean("rope_interleave", true) ? kernels::RopeLayout::kInterleaved : kernels::RopeLayout::kHalf;
  c.head_dim = c.latent.nope + c.latent.rope;
  c.kv_heads = c.heads;
  const float m2 = c.latent.softmax_scale == 0 ? 1.0f : c.latent.softmax_scale;
  c.latent.softmax_scale = c.head_dim > 0 ? m2 / std::sqrt(static_cast<float>(c.head_dim)) : 0;
}

void read_experts(Values& v, Config& c) {
  auto& m = c.moe;
  m.experts = v.integer("n_routed_experts", 0);
  if (m.experts == 0) return;
  const bool v3 = c.architecture == Architecture::kDeepSeekV3;
  m.shared = v.integer("n_shared_experts", 0);
  m.used = v.integer("num_experts_per_tok");
  m.ffn = v.integer("moe_intermediate_size");
  m.first_dense = v.integer("first_k_dense_replace", 0);
  m.frequency = v.integer("moe_layer_freq", 1);
  m.groups = v.integer("n_group", 1);
  m.groups_used = v.integer("topk_group", 1);
  m.normalise = v.boolean("norm_topk_prob", v3);
  m.scale_normalised = v3;
  m.scale = v.number("routed_scaling_factor", 1.0f);
  const std::string score = v.text("scoring_func", v3 ? "sigmoid" : "softmax");
  if (score == "softmax") {
    m.score = GateScore::kSoftmax;
  } else if (score == "sigmoid") {
    m.score = GateScore::kSigmoid;
  } else {
    v.refuse(fmt::format("scoring_func \"{}\" is not supported (softmax and sigmoid are)", score));
  }
  const std::string method = v.text("topk_method", v3 ? "noaux_tc" : "greedy");
  if (method == "greedy") {
    m.grouping = GateGroups::kNone;
    m.groups = m.groups_used = 1;
  } else if (method == "group_limited_greedy") {
    m.grouping = GateGroups::kBest;
  } else if (method == "noaux_tc") {
    m.grouping = GateGroups::kTwoBest;
    m.bias = true;
  } else {
    v.refuse(
        fmt::format("topk_method \"{}\" is not supported (greedy, group_limited_greedy and noaux_tc are)", method));
  }
  if (m.grouping == GateGroups::kTwoBest && m.groups == m.groups_used) m.grouping = GateGroups::kNone;
}

Result<Architecture> read_architecture(Values& v) {
  const std::string type = v.text("model_type", "");
  if (type == "llama") return Architecture::kLlama;
  if (type == "qwen2") return Architecture::kQwen2;
  if (type == "qwen3") return Architecture::kQwen3;
  if (type == "deepseek") return Architecture::kDeepSeek;
  if (type == "deepseek_v2") return Architecture::kDeepSeekV2;
  if (type == "deepseek_v3") return Architecture::kDeepSeekV3;
  return fail("architecture \"{}\" is not supported (llama, qwen2, qwen3, deepseek, deepseek_v2 and deepseek_v3 are)",
              type);
}

void refuse_options(Values& v) {
  const std::string act = v.text("hidden_act", "silu");
  if (act != "silu" && act != "swish") v.refuse(fmt::format("hidden_act \"{}\" is not supported (silu is)", act));
  if (v.boolean("use_sliding_window", false)) v.refuse("use_sliding_window is not supported");
  if (const std::string type = v.unusual("layer_types", "full_attention"); !type.empty())
    v.refuse(fmt::format("layer_types holds {}, which is not supported (full_attention is)", type));
  Values q(v.object("quantization_config"));
  if (v.has("quantization_config")) {
    const std::string method = q.text("quant_method", "");
    if (method != "fp8") q.refuse(fmt::format("quantization \"{}\" is not supported (fp8 is)", method));
    if (q.text("fmt", "e4m3") != "e4m3") q.refuse("FP8 weights other than e4m3 are not supported");
    v.take_error(q);
  }
}

}  // namespace

Result<Config> config_from_json(const Json& json) {
  if (!json.is_object()) return fail("expected a JSON object");
  Values v(json);
  auto architecture = read_architecture(v);
  if (!architecture) return std::unexpected(architecture.error());
  Config c;
  c.architecture = *architecture;
  c.vocabulary = v.integer("vocab_size");
  c.dim = v.integer("hidden_size");
  c.layers = v.integer("num_hidden_layers");
  c.heads = v.integer("num_attention_heads");
  c.kv_heads = v.integer("num_key_value_heads", c.heads);
  c.ffn = v.integer("intermediate_size");
  c.norm_eps = v.number("rms_norm_eps", 1e-6f);
  c.context = v.integer("max_position_embeddings", 2048);
  c.tied = v.boolean("tie_word_embeddings", false);
  c.attention_bias = v.boolean("attention_bias", false);
  c.attention_output_bias = c.attention_bias;
  c.mlp_bias = v.boolean("mlp_bias", false);
  if (c.architecture == Architecture::kQwen2) c.attention_bias = true, c.attention_output_bias = false;
  c.head_dim = v.integer("head_dim", c.heads > 0 ? c.dim / c.heads : 0);
  read_rope(v, c);
  if (c.architecture == Architecture::kDeepSeekV2 || c.architecture == Architecture::kDeepSeekV3) {
    read_latent(v, c);
    read_experts(v, c);
    c.draft_layers = c.architecture == Architecture::kDeepSeekV3 ? v.integer("num_nextn_predict_layers", 0) : 0;
    if (c.attention_bias) v.refuse("attention_bias with latent attention is not supported");
  } else {
    c.rope.dim = c.head_dim;
    c.rope.layout = kernels::RopeLayout::kHalf;
    if (c.architecture == Architecture::kDeepSeek) read_experts(v, c);
  }
  refuse_options(v);
  if (!v.error().empty()) return fail("{}", v.error());
  return checked(std::move(c));
}

}  // namespace fathom::model
