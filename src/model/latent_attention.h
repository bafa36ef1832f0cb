// Multi-head latent attention (DeepSeek-V2, section 2.1): keys and values of all heads come from one latent c of each
// token, and only c and a shared rotary key k_r are cached.
#pragma once

#include "model/blocks.h"

namespace fathom::model {

// T tokens, D model width, H heads, R kv rank, Q q rank, N nope, P rope, V value (per head).
struct LatentAttention {
  weights::Vector norm;       // [D] before the projections
  base::Tensor q;             // [H (N + P), D]; without a q rank
  base::Tensor q_a, q_b;      // [Q, D], [H (N + P), Q]
  weights::Vector q_a_norm;   // [Q]
  base::Tensor kv_a;          // [R + P, D]
  weights::Vector kv_a_norm;  // [R]; k_r is not normed
  base::Tensor kv_b;          // [H (N + V), R]: per head N rows of W_UK, then V rows of W_UV; or, in newer GGUF files,
  base::Tensor k_b, v_b;      // [H, R, N] = W_UK transposed, [H, V, R] = W_UV
  base::Tensor o;             // [D, H V]

  void describe(const Config& c, const std::string& prefix, Specs& specs);
  // Errors: neither kv_b nor both of its halves were in the file.
  base::Result<void> check(const std::string& prefix) const;

  // x [T][D] += attention of layer `layer`. Rows in full prefill cells use the expanded form, all others the absorbed
  // one; both give the same result, and which of them a row takes does not depend on the batch.
  void forward(Step& step, const Config& c, std::int64_t layer, const Step::Angles& angles, float* x) const;

 private:
  struct Heads {
    std::int64_t layer;
    const float* q;  // [T][H][N + P], rotated
    float* out;      // [T][H][V]
  };
  float* queries(Step& step, const Config& c, const kernels::Activations& in) const;
  void absorbed(Step& step, const Config& c, const Heads& heads, std::int64_t first, std::int64_t n) const;
  void expanded(Step& step, const Config& c, const Heads& heads, std::int64_t first, std::int64_t n) const;
};

// One plane of one head: [c | k_r].
std::vector<CachePlane> latent_planes(const Config& c);

}  // namespace fathom::model
