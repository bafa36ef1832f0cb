// An engine over a RecallingModel whose cells have two pages, and texts to ask it.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/batch_engine.h"
#include "recalling_model.h"
#include "seen.h"

namespace fathom::engine {

using Ids = std::vector<tokens::TokenId>;

struct Answer {
  Ids ids;
  int cached = 0;
};

class Served {
 public:
  static constexpr int kCell = 128, kContext = 1280;
  static constexpr std::size_t kPageBytes = 64 * 3 * sizeof(float);

  explicit Served(bool two_forms, std::int64_t pages = 200, EngineOptions options = {}) {
    auto model = std::make_unique<RecallingModel>(two_forms);
    model_ = model.get();
    auto runner = Runner::make(std::move(model), "recalling",
                               {.threads = 1,
                                .context = kContext,
                                .cache_type = "f32",
                                .cache_bytes = static_cast<std::size_t>(pages) * kPageBytes,
                                .prefill_cell = kCell});
    EXPECT_TRUE(runner) << runner.error().message;
    runner_ = std::move(*runner);
    engine_ = std::move(*BatchEngine::make(*runner_, {}, std::move(options)));
  }
  BatchEngine& engine() { return *engine_; }
  RecallingModel& model() { return *model_; }

  static engine::Run run(Ids prompt, int max_tokens, std::string owner = "") {
    return {.prompt = std::move(prompt),
            .sampling = {.temperature = 0},
            .max_tokens = max_tokens,
            .owner = std::move(owner)};
  }
  Answer ask(const Ids& prompt, int max_tokens, std::string owner = "") {
    Seen seen;
    EXPECT_TRUE(engine_->submit(run(prompt, max_tokens, std::move(owner)), seen.sink()));
    seen.wait();
    return {seen.ids, seen.statistics.cached_tokens};
  }

 private:
  RecallingModel* model_;
  std::unique_ptr<Runner> runner_;
  std::unique_ptr<BatchEngine> engine_;
};

inline Ids text(std::size_t n, int seed) {
  Ids ids(n);
  std::uint32_t state = static_cast<std::uint32_t>(seed) * 2654435761u + 1;
  for (auto& id : ids) {
    state = state * 1664525u + 1013904223u;
    id = static_cast<tokens::TokenId>((state >> 8) % RecallingModel::kVocabulary);
  }
  return ids;
}

inline Ids operator+(Ids a, const Ids& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

}  // namespace fathom::engine
