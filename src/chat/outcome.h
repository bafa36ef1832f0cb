// What the store answers where it does not do what was asked.
#pragma once

#include <expected>
#include <string>

#include "base/error.h"

namespace fathom::chat {

enum class Problem { kStorage, kNotFound, kIdTaken, kRunInProgress, kNotContinuable, kBadRequest, kInUse };

struct Refusal {
  Problem problem = Problem::kStorage;
  std::string message;  // one line
  std::string run_id;   // of kRunInProgress
};

template <class T>
using Outcome = std::expected<T, Refusal>;

[[nodiscard]] inline std::unexpected<Refusal> refuse(Problem problem, std::string message, std::string run_id = {}) {
  return std::unexpected(Refusal{problem, std::move(message), std::move(run_id)});
}

// Something that was made, or had been made already by the same request.
template <class T>
struct Made {
  T value;
  bool is_new = true;
};

}  // namespace fathom::chat
