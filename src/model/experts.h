// DeepSeekMoE: a gate in fp32 chooses some of many small feed-forward networks for each token; shared ones always run.
#pragma once

#include "model/blocks.h"

namespace fathom::model {

// Chooses `used` experts of one token from the router's logits [experts], by the configuration's score, groups and bias
// (V2 paper section 2.2, V3 paper section 2.1.2; V2's groups rank by their best expert, V3's by the two best biased
// scores). Writes their numbers in rising order and their weights. Ties go to the lower number.
void choose_experts(const MoeConfig& moe, std::span<const float> logits, std::span<const float> bias,
                    std::int32_t* experts, float* weights);

// x += sum_k w_k Expert_k(n) + Shared(n), n = RMSNorm(x).
struct Experts {
  weights::Vector norm;                              // [D]
  base::Tensor router;                               // [experts, D]
  weights::Vector bias;                              // [experts], selection only
  std::vector<base::Tensor> gate, up, down;          // each [F, D], [F, D], [D, F]
  base::Tensor shared_gate, shared_up, shared_down;  // width shared * F, one network

  void describe(const Config& c, const std::string& prefix, Specs& specs);
  void forward(Step& step, const Config& c, float* x) const;

 private:
  // Pairs of (token, expert), sorted by expert; pairs of expert e are [start[e], start[e + 1]).
  struct Routes {
    std::int32_t* start;   // [experts + 1]
    std::int32_t* token;   // [pairs]
    float* weight;         // [pairs]
    std::int32_t* active;  // experts with pairs
    std::int64_t active_count;
    std::int64_t pairs;
  };
  Routes route(Step& step, const Config& c, const kernels::Activations& in) const;
  void routed(Step& step, const Config& c, const kernels::Activations& in, float* x) const;
};

}  // namespace fathom::model
