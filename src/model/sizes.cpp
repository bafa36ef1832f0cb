#include "model/sizes.h"

#include <string_view>

namespace fathom::model {

Sizes sizes(Model& model) {
  const Config& c = model.config();
  const std::string draft_prefix = fmt::format("model.layers.{}.", c.layers);
  Sizes s;
  double active = 0, active_bytes = 0;
  for (const auto& spec : model.describe()) {
    std::int64_t count = 1;
    for (const std::int64_t d : spec.shape) count *= d;
    std::uint64_t bytes = 0;
    if (spec.matrix != nullptr) {
      if (!*spec.matrix) continue;
      bytes = spec.matrix->bytes();
    } else if (spec.vector != nullptr) {
      if (spec.vector->empty()) continue;
      bytes = spec.vector->size() * sizeof(float);
    } else {
      continue;  // repeats a tied matrix
    }
    s.parameters += count;
    s.bytes += bytes;
    if (spec.name.starts_with(draft_prefix)) continue;
    const bool lookup = spec.name == "model.embed_tokens.weight" && !c.tied;
    const bool routed = spec.name.find(".mlp.experts.") != std::string::npos;
    const double share = lookup   ? 0.0
                         : routed ? static_cast<double>(c.moe.used) / static_cast<double>(c.moe.experts)
                                  : 1.0;
    active += share * static_cast<double>(count);
    active_bytes += share * static_cast<double>(bytes);
  }
  s.active_parameters = static_cast<std::int64_t>(active);
  s.active_bytes = static_cast<std::uint64_t>(active_bytes);
  return s;
}

}  // namespace fathom::model
