#include "model/latent_attention.h"

#include <cstring>

namespace fathom::model {

using base::Tensor;
using kernels::Activations;

namespace {

// The norms inside latent attention have an epsilon of their own (DeepSeek's code: RMSNorm's default).
constexpr float kLatentEps = 1e-6f;

}  // namespace

std::vector<CachePlane> latent_planes(const Config& c) {
  return {{.heads = 1, .width = c.latent.kv_rank + c.latent.rope}};
}

void LatentAttention::describe(const Config& c, const std::string& prefix, Specs& specs) {
  const auto& l = c.latent;
  const std::string a = prefix + "self_attn.";
  const std::int64_t head = l.nope + l.rope;
  specs.push_back({.name = prefix + "input_layernorm.weight", .shape = {c.dim}, .vector = &norm});
  if (l.q_rank == 0) {
    specs.push_back({.name = a + "q_proj.weight", .shape = {c.heads * head, c.dim}, .matrix = &q});
  } else {
    specs.push_back({.name = a + "q_a_proj.weight", .shape = {l.q_rank, c.dim}, .matrix = &q_a});
    specs.push_back({.name = a + "q_a_layernorm.weight", .shape = {l.q_rank}, .vector = &q_a_norm});
    specs.push_back({.name = a + "q_b_proj.weight", .shape = {c.heads * head, l.q_rank}, .matrix = &q_b});
  }
  specs.push_back({.name = a + "kv_a_proj_with_mqa.weight", .shape = {l.kv_rank + l.rope, c.dim}, .matrix = &kv_a});
  specs.push_back({.name = a + "kv_a_layernorm.weight", .shape = {l.kv_rank}, .vector = &kv_a_norm});
  specs.push_back({.name = a + "kv_b_proj.weight",
                   .shape = {c.heads * (l.nope + l.value), l.kv_rank},
                   .matrix = &kv_b,
                   .optional = true});
  specs.push_back(
      {.name = a + "k_b_proj.weight", .shape = {c.heads, l.kv_rank, l.nope}, .matrix = &k_b, .optional = true});
  specs.push_back(
      {.name = a + "v_b_proj.weight", .shape = {c.heads, l.value, l.kv_rank}, .matrix = &v_b, .optional = true});
  specs.push_back({.name = a + "o_proj.weight", .shape = {c.dim, c.heads * l.value}, .matrix = &o});
}

base::Result<void> LatentAttention::check(const std::string& prefix) const {
  if (kv_b || (k_b && v_b)) return {};
  return base::fail("tensor {}self_attn.kv_b_proj.weight is missing (or its halves, attn_k_b and attn_v_b)", prefix);
}

// (1) q = W_qb RMSNorm(W_qa x), or W_q x.
float* LatentAttention::queries(Step& step, const Config& c, const Activations& in) const {
  const std::int64_t n = step.rows(), width = c.heads * (c.latent.nope + c.latent.rope);
  float* out = step.floats(n, width);
  if (c.latent.q_rank == 0) {
    step.project(in, n, {{.weight = &q, .out = out}});
    return out;
  }
  float* low = step.floats(n, c.latent.q_rank);
  step.project(in, n, {{.weight = &q_a, .out = low}});
  step.project(step.norm(low, n, c.latent.q_rank, q_a_norm, kLatentEps), n, {{.weight = &q_b, .out = out}});
  return out;
}

void LatentAttention::forward(Step& step, const Config& c, std::int64_t layer, const Step::Angles& angles,
                              float* x) const {
  const auto& l = c.latent;
  const std::int64_t n = step.rows(), head = l.nope + l.rope, row_width = l.kv_rank + l.rope;
  const auto mark = step.arena().mark();
  const Activations in = step.norm(x, n, c.dim, norm, c.norm_eps);
  float* q_heads = queries(step, c, in);
  float* latents = step.floats(n, row_width);
  step.project(in, n, {{.weight = &kv_a, .out = latents}});

  // (2) c = RMSNorm(c); k_r and the last P numbers of each query head rotate; [c | k_r] goes into the cache.
  const kernels::Table& table = step.table();
  step.each_row(n, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t t = begin; t < end; ++t) {
      float* row = latents + t * row_width;
      table.rms_norm(row, kv_a_norm.data(), kLatentEps, l.kv_rank, row);
      table.rope(row + l.kv_rank, angles.cos_of(t), angles.sin_of(t), angles.pairs, c.rope.layout);
      table.store_row(row, row_width, step.cache().type, step.cache_row(t, layer, 0, 0));
      for (std::int64_t h = 0; h < c.heads; ++h)
        table.rope(q_heads + (t * c.heads + h) * head + l.nope, angles.cos_of(t), angles.sin_of(t), angles.pairs,
                   c.rope.layout);
    }
  });

  // (3) Attention, over runs of rows of one sequence and one form.
  float* mixed = step.floats(n, c.heads * l.value);
  const Heads heads{layer, q_heads, mixed};
  const auto rows = step.row_list();
  for (std::int64_t first = 0, last; first < n; first = last) {
    const Row& head_row = rows[static_cast<std::size_t>(first)];
    last = first + 1;
    // Absorbed rows of different sequences can share a run: each reads its own pages.
    while (last < n && rows[static_cast<std::size_t>(last)].prefill == head_row.prefill &&
           (!head_row.prefill || rows[static_cast<std::size_t>(last)].sequence == head_row.sequence))
      ++last;
    if (head_row.prefill) {
      expanded(step, c, heads, first, last - first);
    } else {
      absorbed(step, c, heads, first, last - first);
    }
  }
  // (4) y = W_o concat(heads).
  step.project(step.activations(mixed, n, c.heads * l.value), n, {{.weight = &o, .out = x, .accumulate = true}});
  step.arena().release(mark);
}

// q_c = W_UK^T q_n; scores against [c | k_r] themselves; z = sum p c; o = W_UV z.
void LatentAttention::absorbed(Step& step, const Config& c, const Heads& heads, std::int64_t first,
                               std::int64_t n) const {
  const auto& l = c.latent;
  const std::int64_t head = l.nope + l.rope, width = l.kv_rank + l.rope;
  const kernels::Table& table = step.table();
  const auto mark = step.arena().mark();
  float* q_c = step.floats(n, c.heads * width);
  const float* q_in = heads.q + first * c.heads * head;
  step.pool().loop(c.heads, 1, [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t h = begin; h < end; ++h) {
      if (k_b) {
        const Tensor w = k_b.slice(h);  // [R, N]
        table.linear_f32({.weight = &w,
                          .in = {.x = q_in + h * head, .ld = c.heads * head},
                          .tokens = n,
                          .out = q_c + h * width,
                          .out_ld = c.heads * width,
                          .begin = 0,
                          .end = l.kv_rank});
      } else {
        const Tensor w = kv_b.row_slice(h * (l.nope + l.value), l.nope);  // [N, R]
        table.linear_transposed({.weight = &w,
                                 .x = q_in + h * head,
                                 .x_ld = c.heads * head,
                                 .tokens = n,
                                 .out = q_c + h * width,
                                 .out_ld = c.heads * width});
      }
      for (std::int64_t t = 0; t < n; ++t)
        std::memcpy(q_c + (t * c.heads + h) * width + l.kv_rank, q_in + (t * c.heads + h) * head + l.nope,
                    sizeof(float) * static_cast<std::size_t>(l.rope));
    }
  });
  float* z = step.floats(n, c.heads * l.kv_rank);
  step.attend(first, n,
              {.layer = heads.layer,
               .heads = c.heads,
               .q = q_c,
               .width = width,
               .value_width = l.kv_rank,
               .scale = l.softmax_scale,
               .out = z});
  step.pool().loop(c.heads, 1, [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t h = begin; h < end; ++h) {
      const Tensor w = v_b ? v_b.slice(h) : kv_b.row_slice(h * (l.nope + l.value) + l.nope, l.value);  // [V, R]
      table.linear_f32({.weight = &w,
                        .in = {.x = z + h * l.kv_rank, .ld = c.heads * l.kv_rank},
                        .tokens = n,
                        .out = heads.out + (first * c.heads + h) * l.value,
                        .out_ld = c.heads * l.value,
                        .begin = 0,
                        .end = l.value});
    }
  });
  step.arena().release(mark);
}

// k_n(s) = W_UK c(s), v(s) = W_UV c(s) for every position of the sequence, head by head, then ordinary attention.
void LatentAttention::expanded(Step& step, const Config& c, const Heads& heads, std::int64_t first,
                               std::int64_t n) const {
  const auto& l = c.latent;
  const std::int64_t head = l.nope + l.rope, width = l.kv_rank + l.rope;
  const kernels::Table& table = step.table();
  const auto rows = step.row_list().subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(n));
  const std::int64_t positions = rows.back().position + 1;
  const auto mark = step.arena().mark();
  float* latents = step.floats(positions, width);
  step.each_row(positions, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t s = begin; s < end; ++s)
      table.load_row(step.cached(first, s, heads.layer, 0, 0), width, step.cache().type, latents + s * width);
  });
  const std::int64_t threads = step.pool().threads();
  float* keys = step.floats(threads, positions * head);
  float* values = step.floats(threads, positions * l.value);
  float* scores = step.floats(threads, positions);
  step.pool().loop(c.heads, 1, [&](std::int64_t begin, std::int64_t end, int thread) {
    float* k = keys + thread * positions * head;
    float* v = values + thread * positions * l.value;
    for (std::int64_t h = begin; h < end; ++h) {
      const Activations in{.x = latents, .ld = width};
      const Tensor w_k = k_b ? k_b.slice(h) : kv_b.row_slice(h * (l.nope + l.value), l.nope);
      const Tensor w_v = v_b ? v_b.slice(h) : kv_b.row_slice(h * (l.nope + l.value) + l.nope, l.value);
      if (k_b) {
        table.linear_transposed(
            {.weight = &w_k, .x = latents, .x_ld = width, .tokens = positions, .out = k, .out_ld = head});
      } else {
        table.linear_f32(
            {.weight = &w_k, .in = in, .tokens = positions, .out = k, .out_ld = head, .begin = 0, .end = l.nope});
      }
      table.linear_f32(
          {.weight = &w_v, .in = in, .tokens = positions, .out = v, .out_ld = l.value, .begin = 0, .end = l.value});
      for (std::int64_t s = 0; s < positions; ++s)
        std::memcpy(k + s * head + l.nope, latents + s * width + l.kv_rank,
                    sizeof(float) * static_cast<std::size_t>(l.rope));
      const auto* key_page = reinterpret_cast<const std::byte*>(k);
      const auto* value_page = reinterpret_cast<const std::byte*>(v);
      for (std::int64_t t = 0; t < n; ++t)
        table.attention({.heads = 1,
                         .q = heads.q + ((first + t) * c.heads + h) * head,
                         .q_ld = head,
                         .width = head,
                         .value_width = l.value,
                         .type = base::DType::kF32,
                         .key_pages = &key_page,
                         .value_pages = &value_page,
                         .key_stride = sizeof(float) * static_cast<std::size_t>(head),
                         .value_stride = sizeof(float) * static_cast<std::size_t>(l.value),
                         .page_tokens = positions,
                         .positions = rows[static_cast<std::size_t>(t)].position + 1,
                         .scale = l.softmax_scale,
                         .out = heads.out + ((first + t) * c.heads + h) * l.value,
                         .out_ld = l.value,
                         .scratch = scores + thread * positions});
    }
  });
  step.arena().release(mark);
}

}  // namespace fathom::model
