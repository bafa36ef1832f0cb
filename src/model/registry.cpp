#include "model/registry.h"

#include <limits>

namespace fathom::model {

using base::Result;

void Model::draft(Step&, const float*) const {
  FATHOM_CHECK(false && "this architecture has no MTP layer");
}

Result<Config> read_config(const weights::Checkpoint& checkpoint) {
  auto config =
      checkpoint.gguf() != nullptr ? config_from_gguf(*checkpoint.gguf()) : config_from_json(checkpoint.config());
  if (!config)
    return base::fail_with(checkpoint.path() + (checkpoint.gguf() != nullptr ? "" : "/config.json"), config.error());
  return config;
}

namespace {

std::unique_ptr<Model> make(Config config) {
  switch (config.architecture) {
    case Architecture::kLlama:
      return make_llama(std::move(config));
    case Architecture::kQwen2:
      return make_qwen2(std::move(config));
    case Architecture::kQwen3:
      return make_qwen3(std::move(config));
    case Architecture::kDeepSeek:
      return make_deepseek(std::move(config));
    case Architecture::kDeepSeekV2:
      return make_deepseek_v2(std::move(config));
    case Architecture::kDeepSeekV3:
      return make_deepseek_v3(std::move(config));
  }
  return nullptr;
}

}  // namespace

Result<std::unique_ptr<Model>> bind_model(const weights::Checkpoint& checkpoint) {
  auto config = read_config(checkpoint);
  if (!config) return std::unexpected(config.error());
  std::unique_ptr<Model> model = make(std::move(*config));
  const auto specs = model->describe();
  // Files of V3 carry an MTP layer that their configuration may leave out; no other has layers to spare.
  const bool spares = model->config().architecture == Architecture::kDeepSeekV3;
  const std::int64_t layers = spares ? model->config().layers : std::numeric_limits<std::int64_t>::max();
  if (auto bound = weights::bind(checkpoint, specs, layers); !bound) return std::unexpected(bound.error());
  if (auto complete = model->check(); !complete) return base::fail_with(checkpoint.path(), complete.error());
  return model;
}

bool has_block_formats(Model& model) {
  for (const auto& spec : model.describe())
    if (spec.matrix != nullptr && *spec.matrix && base::is_block_format(spec.matrix->dtype)) return true;
  return false;
}

}  // namespace fathom::model
