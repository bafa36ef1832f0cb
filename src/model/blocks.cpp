#include "model/blocks.h"

#include <cmath>

namespace fathom::model {

void Ends::describe(const Config& c, Specs& specs) {
  specs.push_back({.name = "model.embed_tokens.weight", .shape = {c.vocabulary, c.dim}, .matrix = &embedding});
  specs.push_back({.name = "model.norm.weight", .shape = {c.dim}, .vector = &norm});
  // Some files repeat a tied output matrix; the embedding is the one that counts.
  specs.push_back({.name = "lm_head.weight",
                   .shape = {c.vocabulary, c.dim},
                   .matrix = c.tied ? nullptr : &output,
                   .optional = c.tied});
}

void GroupedAttention::describe(const Config& c, const std::string& prefix, Variant variant, Specs& specs) {
  const std::int64_t queries = c.heads * c.head_dim, keys = c.kv_heads * c.head_dim;
  const std::string a = prefix + "self_attn.";
  specs.push_back({.name = prefix + "input_layernorm.weight", .shape = {c.dim}, .vector = &norm});
  specs.push_back({.name = a + "q_proj.weight", .shape = {queries, c.dim}, .matrix = &q});
  specs.push_back({.name = a + "k_proj.weight", .shape = {keys, c.dim}, .matrix = &k});
  specs.push_back({.name = a + "v_proj.weight", .shape = {keys, c.dim}, .matrix = &v});
  specs.push_back({.name = a + "o_proj.weight", .shape = {c.dim, queries}, .matrix = &o});
  if (variant.qkv_bias) {
    specs.push_back({.name = a + "q_proj.bias", .shape = {queries}, .vector = &q_bias});
    specs.push_back({.name = a + "k_proj.bias", .shape = {keys}, .vector = &k_bias});
    specs.push_back({.name = a + "v_proj.bias", .shape = {keys}, .vector = &v_bias});
  }
  if (variant.output_bias) specs.push_back({.name = a + "o_proj.bias", .shape = {c.dim}, .vector = &o_bias});
  if (variant.head_norm) {
    specs.push_back({.name = a + "q_norm.weight", .shape = {c.head_dim}, .vector = &q_norm});
    specs.push_back({.name = a + "k_norm.weight", .shape = {c.head_dim}, .vector = &k_norm});
  }
}

void GroupedAttention::forward(Step& step, const Config& c, std::int64_t layer, const Step::Angles& angles,
                               float* x) const {
  const std::int64_t n = step.rows(), h = c.head_dim;
  const auto mark = step.arena().mark();
  float* queries = step.floats(n, c.heads * h);
  float* keys = step.floats(n, c.kv_heads * h);
  float* values = step.floats(n, c.kv_heads * h);
  step.project(step.norm(x, n, c.dim, norm, c.norm_eps), n,
               {{.weight = &q, .bias = q_bias, .out = queries},
                {.weight = &k, .bias = k_bias, .out = keys},
                {.weight = &v, .bias = v_bias, .out = values}});
  const kernels::Table& table = step.table();
  const auto turn = [&](float* head, std::span<const float> weight, std::int64_t t) {
    if (!weight.empty()) table.rms_norm(head, weight.data(), c.norm_eps, h, head);
    table.rope(head, angles.cos_of(t), angles.sin_of(t), angles.pairs, c.rope.layout);
  };
  step.each_row(n, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t t = begin; t < end; ++t) {
      for (std::int64_t i = 0; i < c.heads; ++i) turn(queries + (t * c.heads + i) * h, q_norm, t);
      for (std::int64_t i = 0; i < c.kv_heads; ++i) {
        float* key = keys + (t * c.kv_heads + i) * h;
        turn(key, k_norm, t);
        table.store_row(key, h, step.cache().type, step.cache_row(t, layer, 0, i));
        table.store_row(values + (t * c.kv_heads + i) * h, h, step.cache().type, step.cache_row(t, layer, 1, i));
      }
    }
  });
  float* mixed = step.floats(n, c.heads * h);
  step.attend(0, n,
              {.layer = layer,
               .key_plane = 0,
               .value_plane = 1,
               .heads = c.heads,
               .q = queries,
               .width = h,
               .value_width = h,
               .scale = 1.0f / std::sqrt(static_cast<float>(h)),
               .out = mixed});
  step.project(step.activations(mixed, n, c.heads * h), n,
               {{.weight = &o, .bias = o_bias, .out = x, .accumulate = true}});
  step.arena().release(mark);
}

void FeedForward::describe(const Config& c, const std::string& prefix, Specs& specs) {
  specs.push_back({.name = prefix + "post_attention_layernorm.weight", .shape = {c.dim}, .vector = &norm});
  specs.push_back({.name = prefix + "mlp.gate_proj.weight", .shape = {c.ffn, c.dim}, .matrix = &gate});
  specs.push_back({.name = prefix + "mlp.up_proj.weight", .shape = {c.ffn, c.dim}, .matrix = &up});
  specs.push_back({.name = prefix + "mlp.down_proj.weight", .shape = {c.dim, c.ffn}, .matrix = &down});
  if (!c.mlp_bias) return;
  specs.push_back({.name = prefix + "mlp.gate_proj.bias", .shape = {c.ffn}, .vector = &gate_bias});
  specs.push_back({.name = prefix + "mlp.up_proj.bias", .shape = {c.ffn}, .vector = &up_bias});
  specs.push_back({.name = prefix + "mlp.down_proj.bias", .shape = {c.dim}, .vector = &down_bias});
}

void FeedForward::forward(Step& step, const Config& c, float* x) const {
  const std::int64_t n = step.rows();
  const auto mark = step.arena().mark();
  float* g = step.floats(n, c.ffn);
  float* u = step.floats(n, c.ffn);
  step.project(step.norm(x, n, c.dim, norm, c.norm_eps), n,
               {{.weight = &gate, .bias = gate_bias, .out = g}, {.weight = &up, .bias = up_bias, .out = u}});
  step.project(step.swiglu(g, u, n, c.ffn), n, {{.weight = &down, .bias = down_bias, .out = x, .accumulate = true}});
  step.arena().release(mark);
}

std::vector<CachePlane> key_value_planes(const Config& c) {
  return {{.heads = c.kv_heads, .width = c.head_dim}, {.heads = c.kv_heads, .width = c.head_dim}};
}

}  // namespace fathom::model
