// What a model amounts to: parameters, bytes, and what one decoded token reads. Computed here and nowhere else.
#pragma once

#include <cstdint>

#include "model/model.h"

namespace fathom::model {

struct Sizes {
  std::int64_t parameters = 0;         // all, MTP layers included
  std::int64_t active_parameters = 0;  // that one token passes through, embedding rows not counted
  std::uint64_t bytes = 0;             // of all weights as stored
  std::uint64_t active_bytes = 0;      // of the weights one decoded token reads
};

Sizes sizes(Model& model);

}  // namespace fathom::model
