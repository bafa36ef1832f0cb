// How many prompt tokens a step may read beside running streams, so that a long prompt does not stop them: found from
// the time that steps take. What a run computes does not depend on it, only when.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "engine/runner.h"

namespace fathom::engine {

class StepPace {
 public:
  // 0: take a step of streams alone, whose time is not known yet for about so many of them.
  std::int64_t prompt_rows(std::size_t streams) const {
    if (streams == 0) return kStepRows;
    if (streams > 2 * plain_streams_ || 2 * streams < plain_streams_) return 0;
    return rows_;
  }

  // A step took `seconds` for a token of each of `streams` and `prompt_rows` of prompts.
  void record(double seconds, std::size_t streams, std::int64_t prompt_rows) {
    if (streams == 0) return;
    if (prompt_rows == 0) {
      // Steady where the streams are the same, else as measured.
      plain_seconds_ = streams == plain_streams_ ? 0.75 * plain_seconds_ + 0.25 * seconds : seconds;
      plain_streams_ = streams;
      return;
    }
    const double allowed = kPlainSteps * plain_seconds_;
    if (prompt_rows < rows_ && seconds <= allowed) return;  // too few to tell how many would fit
    const auto fitting = static_cast<std::int64_t>(static_cast<double>(prompt_rows) * allowed / seconds);
    rows_ = std::clamp<std::int64_t>(fitting, kLeastRows, std::min<std::int64_t>(2 * rows_, kStepRows));
  }

 private:
  // A step that reads prompts may take as long as so many without; a stream's gap of ten is never to be seen.
  static constexpr double kPlainSteps = 5;
  // Fewer rows than this would read every weight for little.
  static constexpr std::int64_t kLeastRows = 16;

  double plain_seconds_ = 0;
  std::size_t plain_streams_ = 0;
  std::int64_t rows_ = kLeastRows;
};

}  // namespace fathom::engine
