#include "model/experts.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace fathom::model {

using kernels::Activations;

namespace {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

// Scores of one token: probabilities over all experts, or independent sigmoids.
void score(const MoeConfig& moe, std::span<const float> logits, std::vector<float>& s) {
  s.assign(logits.begin(), logits.end());
  if (moe.score == GateScore::kSigmoid) {
    for (float& v : s) v = 1.0f / (1.0f + std::exp(-v));
    return;
  }
  const float highest = *std::ranges::max_element(s);
  float sum = 0;
  for (float& v : s) sum += v = std::exp(v - highest);
  for (float& v : s) v /= sum;
}

float group_rank(GateGroups grouping, std::span<const float> group) {
  float best = kMinusInfinity, second = kMinusInfinity;
  for (const float v : group) {
    if (v > best) {
      second = best;
      best = v;
    } else if (v > second) {
      second = v;
    }
  }
  return grouping == GateGroups::kTwoBest ? best + second : best;
}

// Leaves only the experts of the best groups a chance. Masked ones are minus infinity, as in DeepSeek's code.
void limit_to_groups(const MoeConfig& moe, std::vector<float>& choice) {
  const auto size = static_cast<std::size_t>(moe.experts / moe.groups);
  std::vector<float> rank(static_cast<std::size_t>(moe.groups));
  for (std::size_t g = 0; g < rank.size(); ++g)
    rank[g] = group_rank(moe.grouping, std::span(choice).subspan(g * size, size));
  for (std::size_t g = 0; g < rank.size(); ++g) {
    const auto better = std::ranges::count_if(rank, [&, i = std::size_t{0}](float r) mutable {
      const std::size_t other = i++;
      return r > rank[g] || (r == rank[g] && other < g);
    });
    if (better >= moe.groups_used)
      std::fill_n(choice.begin() + static_cast<std::ptrdiff_t>(g * size), size, kMinusInfinity);
  }
}

}  // namespace

void choose_experts(const MoeConfig& moe, std::span<const float> logits, std::span<const float> bias,
                    std::int32_t* experts, float* weights) {
  thread_local std::vector<float> s, choice;
  thread_local std::vector<std::int32_t> order;
  score(moe, logits, s);
  choice = s;
  for (std::size_t e = 0; e < bias.size(); ++e) choice[e] += bias[e];
  if (moe.grouping != GateGroups::kNone) limit_to_groups(moe, choice);
  order.resize(s.size());
  for (std::size_t e = 0; e < order.size(); ++e) order[e] = static_cast<std::int32_t>(e);
  const auto used = static_cast<std::ptrdiff_t>(moe.used);
  std::partial_sort(order.begin(), order.begin() + used, order.end(), [&](std::int32_t a, std::int32_t b) {
    const float x = choice[static_cast<std::size_t>(a)], y = choice[static_cast<std::size_t>(b)];
    return x > y || (x == y && a < b);
  });
  std::sort(order.begin(), order.begin() + used);
  float sum = 0;
  for (std::ptrdiff_t k = 0; k < used; ++k) {
    experts[k] = order[static_cast<std::size_t>(k)];
    weights[k] = s[static_cast<std::size_t>(experts[k])];
    sum += weights[k];
  }
  const bool normalise = moe.normalise && moe.used > 1;
  for (std::ptrdiff_t k = 0; k < used; ++k) {
    if (normalise) weights[k] /= sum + 1e-20f;
    if (!normalise || moe.scale_normalised) weights[k] *= moe.scale;
  }
}

void Experts::describe(const Config& c, const std::string& prefix, Specs& specs) {
  const auto& m = c.moe;
  const auto count = static_cast<std::size_t>(m.experts);
  gate.resize(count), up.resize(count), down.resize(count);
  specs.push_back({.name = prefix + "post_attention_layernorm.weight", .shape = {c.dim}, .vector = &norm});
  specs.push_back({.name = prefix + "mlp.gate.weight", .shape = {m.experts, c.dim}, .matrix = &router});
  if (m.bias)
    specs.push_back({.name = prefix + "mlp.gate.e_score_correction_bias", .shape = {m.experts}, .vector = &bias});
  for (std::size_t e = 0; e < count; ++e) {
    const std::string expert = fmt::format("{}mlp.experts.{}.", prefix, e);
    specs.push_back({.name = expert + "gate_proj.weight", .shape = {m.ffn, c.dim}, .matrix = &gate[e]});
    specs.push_back({.name = expert + "up_proj.weight", .shape = {m.ffn, c.dim}, .matrix = &up[e]});
    specs.push_back({.name = expert + "down_proj.weight", .shape = {c.dim, m.ffn}, .matrix = &down[e]});
  }
  if (m.shared == 0) return;
  const std::int64_t width = m.shared * m.ffn;
  specs.push_back(
      {.name = prefix + "mlp.shared_experts.gate_proj.weight", .shape = {width, c.dim}, .matrix = &shared_gate});
  specs.push_back(
      {.name = prefix + "mlp.shared_experts.up_proj.weight", .shape = {width, c.dim}, .matrix = &shared_up});
  specs.push_back(
      {.name = prefix + "mlp.shared_experts.down_proj.weight", .shape = {c.dim, width}, .matrix = &shared_down});
}

Experts::Routes Experts::route(Step& step, const Config& c, const Activations& in) const {
  const auto& m = c.moe;
  const std::int64_t n = step.rows(), pairs = n * m.used;
  float* logits = step.floats(n, m.experts);
  auto* chosen = step.arena().array<std::int32_t>(pairs);
  float* chosen_weights = step.floats(n, m.used);
  step.each_row(n, [&](std::int64_t begin, std::int64_t end) {
    step.table().linear_f32({.weight = &router,
                             .in = {.x = in.x + begin * in.ld, .ld = in.ld},
                             .tokens = end - begin,
                             .out = logits + begin * m.experts,
                             .out_ld = m.experts,
                             .begin = 0,
                             .end = m.experts});
    for (std::int64_t t = begin; t < end; ++t)
      choose_experts(m, {logits + t * m.experts, static_cast<std::size_t>(m.experts)}, bias, chosen + t * m.used,
                     chosen_weights + t * m.used);
  });
  // Counting sort of the pairs by expert; tokens of one expert keep their order.
  Routes r{.start = step.arena().array<std::int32_t>(m.experts + 1),
           .token = step.arena().array<std::int32_t>(pairs),
           .weight = step.floats(1, pairs),
           .active = step.arena().array<std::int32_t>(m.experts),
           .active_count = 0,
           .pairs = pairs};
  std::fill_n(r.start, m.experts + 1, 0);
  for (std::int64_t p = 0; p < pairs; ++p) ++r.start[chosen[p] + 1];
  for (std::int64_t e = 0; e < m.experts; ++e) {
    if (r.start[e + 1] > 0) r.active[r.active_count++] = static_cast<std::int32_t>(e);
    r.start[e + 1] += r.start[e];
  }
  auto* next = step.arena().array<std::int32_t>(m.experts);
  std::copy_n(r.start, m.experts, next);
  for (std::int64_t p = 0; p < pairs; ++p) {
    const std::int32_t at = next[chosen[p]]++;
    r.token[at] = static_cast<std::int32_t>(p / m.used);
    r.weight[at] = chosen_weights[p];
  }
  return r;
}

void Experts::routed(Step& step, const Config& c, const Activations& in, float* x) const {
  const auto& m = c.moe;
  const Routes r = route(step, c, in);
  const kernels::Table& table = step.table();
  float* g = step.floats(r.pairs, m.ffn);
  float* u = step.floats(r.pairs, m.ffn);
  const std::int64_t part = std::max<std::int64_t>(16, (m.ffn / 4 + 15) / 16 * 16), parts = (m.ffn + part - 1) / part;
  step.pool().loop(r.active_count * parts * 2, 1, [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t item = begin; item < end; ++item) {
      const auto e = static_cast<std::size_t>(r.active[item / (2 * parts)]);
      const std::int64_t from = item / 2 % parts * part, first = r.start[e];
      const base::Tensor& w = item % 2 == 0 ? gate[e] : up[e];
      table.linear[static_cast<std::size_t>(w.dtype)]({.weight = &w,
                                                       .in = in,
                                                       .tokens = r.start[e + 1] - first,
                                                       .out = (item % 2 == 0 ? g : u) + first * m.ffn,
                                                       .out_ld = m.ffn,
                                                       .begin = from,
                                                       .end = std::min(from + part, m.ffn),
                                                       .gather = r.token + first});
    }
  });
  const Activations h = step.swiglu(g, u, r.pairs, m.ffn);
  // A thread owns some columns of x and adds every expert to them, in rising order of experts for each token.
  const std::int64_t grain = std::max<std::int64_t>(16, (c.dim / (4 * step.pool().threads()) + 15) / 16 * 16);
  step.pool().loop(c.dim, grain, [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t i = 0; i < r.active_count; ++i) {
      const auto e = static_cast<std::size_t>(r.active[i]);
      const std::int64_t first = r.start[e];
      Activations rows = h;
      rows.x += first * m.ffn;
      if (rows.packed != nullptr) rows.packed += static_cast<std::size_t>(first) * rows.packed_stride;
      table.linear[static_cast<std::size_t>(down[e].dtype)]({.weight = &down[e],
                                                             .in = rows,
                                                             .tokens = r.start[e + 1] - first,
                                                             .out = x,
                                                             .out_ld = c.dim,
                                                             .begin = begin,
                                                             .end = end,
                                                             .scatter = r.token + first,
                                                             .row_scale = r.weight + first,
                                                             .accumulate = true});
    }
  });
}

void Experts::forward(Step& step, const Config& c, float* x) const {
  const std::int64_t n = step.rows(), width = c.moe.shared * c.moe.ffn;
  const auto mark = step.arena().mark();
  const Activations in = step.norm(x, n, c.dim, norm, c.norm_eps);
  routed(step, c, in, x);
  if (width > 0) {
    float* g = step.floats(n, width);
    float* u = step.floats(n, width);
    step.project(in, n, {{.weight = &shared_gate, .out = g}, {.weight = &shared_up, .out = u}});
    step.project(step.swiglu(g, u, n, width), n, {{.weight = &shared_down, .out = x, .accumulate = true}});
  }
  step.arena().release(mark);
}

}  // namespace fathom::model
