// A model without weights whose every answer depends on all that came before, as it finds it in the cache: tokens,
// positions and the form in which each row was computed. A page that does not belong, or that belongs but was computed
// otherwise than it should have been, changes what it says.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <thread>

#include "model/model.h"

namespace fathom::engine {

class RecallingModel final : public model::Model {
 public:
  static constexpr std::int64_t kVocabulary = 97;

  explicit RecallingModel(bool two_forms, std::int64_t context = 4096)
      : Model({.vocabulary = kVocabulary,
               .dim = 4,
               .layers = 1,
               .heads = 1,
               .kv_heads = 1,
               .head_dim = 4,
               .context = context,
               .latent = {.kv_rank = two_forms ? 2 : 0}}) {}

  std::vector<weights::TensorSpec> describe() override { return {}; }
  std::vector<model::CachePlane> cache_planes() const override { return {{.heads = 1, .width = 3}}; }

  // Called with every step before it is computed, on the engine's thread.
  std::function<void(const model::Step&)> on_step;

  // What follows tokens whose rows were computed in these forms.
  class Memory {
   public:
    void add(std::int64_t position, std::int64_t token, bool expanded) {
      for (const std::int64_t v : {position, token, std::int64_t{expanded}})
        hash_ = (hash_ ^ static_cast<std::uint64_t>(v + 1)) * 0x100000001b3u;
    }
    tokens::TokenId next() const { return static_cast<tokens::TokenId>((hash_ >> 20) % kVocabulary); }

   private:
    std::uint64_t hash_ = 0xcbf29ce484222325u;
  };

  void forward(model::Step& step) const override {
    if (on_step) on_step(step);
    std::int64_t wanted = 0;
    for (const auto& row : step.row_list()) wanted += row.logits ? 1 : 0;
    float* logits = step.floats(wanted, kVocabulary);
    step.logits = {logits, static_cast<std::size_t>(wanted * kVocabulary)};
    for (std::int64_t t = 0; t < step.rows(); ++t) {
      const model::Row& row = step.row_list()[static_cast<std::size_t>(t)];
      // With one form the flag has no effect on a real model, so it has none here.
      const bool expanded = config().latent.kv_rank > 0 && row.prefill;
      const float own[3] = {static_cast<float>(row.position), static_cast<float>(row.token), expanded ? 1.0f : 0.0f};
      step.table().store_row(own, 3, step.cache().type, step.cache_row(t, 0, 0, 0));
      if (!row.logits) continue;
      Memory memory;
      for (std::int64_t s = 0; s <= row.position; ++s) {
        float past[3];
        step.table().load_row(step.cached(t, s, 0, 0, 0), 3, step.cache().type, past);
        memory.add(static_cast<std::int64_t>(past[0]), static_cast<std::int64_t>(past[1]), past[2] != 0);
      }
      for (std::int64_t v = 0; v < kVocabulary; ++v) logits[v] = v == memory.next() ? 20.0f : 0.0f;
      logits += kVocabulary;
    }
  }
};

}  // namespace fathom::engine
