// Blocks that several architectures are made of: embedding and output, grouped-query attention, the SwiGLU
// feed-forward. Each is a struct of weights with a describe and a forward; what differs between architectures is in
// their own files.
#pragma once

#include <string>
#include <vector>

#include "model/config.h"
#include "model/step.h"

namespace fathom::model {

using Specs = std::vector<weights::TensorSpec>;

// Where a token enters and leaves. x = E[token]; logits = W RMSNorm(x).
struct Ends {
  base::Tensor embedding;  // [V, D]
  weights::Vector norm;    // [D]
  base::Tensor output;     // [V, D]; the embedding where the weights are tied

  void describe(const Config& c, Specs& specs);
  const base::Tensor& head() const { return output ? output : embedding; }
};

// Grouped-query attention with rotary positions:
// q, k, v = W x (+ b); optionally RMSNorm of each head of q and k; RoPE; softmax(q k^T / sqrt(h)) v; W_o.
struct GroupedAttention {
  weights::Vector norm;     // [D] before the projections
  base::Tensor q, k, v, o;  // [H h, D], [G h, D], [G h, D], [D, H h]
  weights::Vector q_bias, k_bias, v_bias, o_bias;
  weights::Vector q_norm, k_norm;  // [h], Qwen3

  struct Variant {
    bool qkv_bias = false, output_bias = false, head_norm = false;
  };
  void describe(const Config& c, const std::string& prefix, Variant variant, Specs& specs);
  // x [T][D] += attention of layer `layer`.
  void forward(Step& step, const Config& c, std::int64_t layer, const Step::Angles& angles, float* x) const;
};

// x += W_down(silu(W_gate n) * (W_up n)), n = RMSNorm(x).
struct FeedForward {
  weights::Vector norm;         // [D]
  base::Tensor gate, up, down;  // [F, D], [F, D], [D, F]
  weights::Vector gate_bias, up_bias, down_bias;

  void describe(const Config& c, const std::string& prefix, Specs& specs);
  void forward(Step& step, const Config& c, float* x) const;
};

// Cache planes of grouped-query attention: keys, then values.
std::vector<CachePlane> key_value_planes(const Config& c);

}  // namespace fathom::model
