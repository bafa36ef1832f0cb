// A model: weights bound to a configuration, and its forward pass. One class an architecture, made by the registry.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "model/cache.h"
#include "model/config.h"
#include "model/step.h"
#include "weights/binding.h"
#include "weights/checkpoint.h"

namespace fathom::model {

class Model {
 public:
  virtual ~Model() = default;

  // Every tensor of the architecture, once: this list loads, checks, counts and converts.
  virtual std::vector<weights::TensorSpec> describe() = 0;
  // What the list cannot say of bound tensors (one of two forms must be there). Errors: which is missing.
  virtual base::Result<void> check() { return {}; }
  // Computes the step's rows: writes their cache rows, fills step.logits and step.hidden.
  virtual void forward(Step& step) const = 0;
  // What a cache row holds (its element type and page size are the engine's choice).
  virtual std::vector<CachePlane> cache_planes() const = 0;

  // Multi-token prediction: from the hidden state of position i (row t of `hidden`, [rows][dim], after the final norm)
  // and the token at i + 1 (the row's token; its position is i), logits for the token at i + 2. Only where drafts() >
  // 0.
  virtual void draft(Step& step, const float* hidden) const;
  virtual std::int64_t drafts() const { return 0; }

  const Config& config() const { return config_; }
  // Layers with cache rows of their own, MTP layers included.
  std::int64_t cache_layers() const { return config_.layers + drafts(); }

 protected:
  explicit Model(Config config) : config_(std::move(config)) {}
  Config config_;
};

// The configuration of a checkpoint, from config.json or from GGUF metadata.
base::Result<Config> read_config(const weights::Checkpoint& checkpoint);

// A model with its tensors bound. `checkpoint` owns the mapped files and must outlive it. Errors as read_config and
// weights::bind.
base::Result<std::unique_ptr<Model>> bind_model(const weights::Checkpoint& checkpoint);

// Whether any matrix is in a block format (then activations are packed for the fast kernels).
bool has_block_formats(Model& model);

}  // namespace fathom::model
