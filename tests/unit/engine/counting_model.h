// A model without weights for tests of the engine: after token t it is sure of t + 1 (modulo the vocabulary), and it
// checks that it is shown every position of a sequence exactly once, in order, on the pages it wrote before.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "model/model.h"

namespace fathom::engine {

class CountingModel final : public model::Model {
 public:
  static constexpr std::int64_t kVocabulary = 50;

  // pause: how long a step takes, so that a test can act in the middle of a run.
  explicit CountingModel(std::chrono::microseconds pause, std::int64_t context = 4096)
      : Model({.vocabulary = kVocabulary,
               .dim = 4,
               .layers = 1,
               .heads = 1,
               .kv_heads = 1,
               .head_dim = 4,
               .context = context}),
        pause_(pause) {}

  std::vector<weights::TensorSpec> describe() override { return {}; }
  std::vector<model::CachePlane> cache_planes() const override { return {{.heads = 1, .width = 2}}; }

  void forward(model::Step& step) const override {
    std::this_thread::sleep_for(pause_);
    std::int64_t wanted = 0;
    for (const auto& row : step.row_list()) wanted += row.logits ? 1 : 0;
    float* logits = step.floats(wanted, kVocabulary);
    step.logits = {logits, static_cast<std::size_t>(wanted * kVocabulary)};
    for (std::int64_t t = 0; t < step.rows(); ++t) {
      const model::Row& row = step.row_list()[static_cast<std::size_t>(t)];
      const float own[2] = {static_cast<float>(row.position), static_cast<float>(row.token)};
      step.table().store_row(own, 2, step.cache().type, step.cache_row(t, 0, 0, 0));
      if (row.position > 0) {  // the row before must be there
        float before[2];
        step.table().load_row(step.cached(t, row.position - 1, 0, 0, 0), 2, step.cache().type, before);
        EXPECT_EQ(before[0], static_cast<float>(row.position - 1));
      }
      if (!row.logits) continue;
      for (std::int64_t v = 0; v < kVocabulary; ++v) logits[v] = v == (row.token + 1) % kVocabulary ? 20.0f : 0.0f;
      logits += kVocabulary;
    }
  }

 private:
  std::chrono::microseconds pause_;
};

}  // namespace fathom::engine
