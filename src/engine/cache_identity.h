// What a model's cache pages depend on beside their tokens: files, kernels, forms. Two models, or one before and after
// it was changed, never share pages.
#pragma once

#include "engine/page_key.h"
#include "engine/runner.h"

namespace fathom::engine {

// Cheap: of files it takes sizes, times of change and samples; of tensors names, shapes and samples. The program itself
// counts too, as another build may compute in another order.
PageKey cache_identity(Runner& runner);

}  // namespace fathom::engine
