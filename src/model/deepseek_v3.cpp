// DeepSeek-V3 (V3, R1, V3.1): latent attention, experts behind a sigmoid gate balanced by a bias, and a layer that
// predicts one token further (MTP), used to draft.
#include <cstring>

#include "model/experts.h"
#include "model/latent_attention.h"
#include "model/model.h"
#include "model/registry.h"

namespace fathom::model {
namespace {

class DeepSeekV3 final : public Model {
 public:
  explicit DeepSeekV3(Config config)
      : Model(std::move(config)),
        layers_(static_cast<std::size_t>(config_.layers)),
        frequencies_(rope_frequencies(config_.rope)) {}

  Specs describe() override {
    Specs specs;
    ends_.describe(config_, specs);
    for (std::size_t i = 0; i < layers_.size(); ++i) describe_layer(layers_[i], static_cast<std::int64_t>(i), specs);
    if (config_.draft_layers > 0) describe_draft(specs);
    return specs;
  }

  // A file may leave its MTP layer out, but only whole.
  base::Result<void> check() override {
    for (std::size_t i = 0; i < layers_.size(); ++i)
      if (auto r = layers_[i].attention.check(fmt::format("model.layers.{}.", i)); !r) return r;
    if (!mtp_.projection) return {};
    Specs specs;
    describe_draft(specs);
    for (const auto& spec : specs)
      if (!spec.may_be_absent && (spec.matrix != nullptr ? !*spec.matrix : spec.vector->empty()))
        return base::fail("tensor {} of the MTP layer is missing", spec.name);
    return mtp_.layer.attention.check(fmt::format("model.layers.{}.", config_.layers));
  }

  void forward(Step& step) const override {
    float* x = step.embed(ends_.embedding, config_.dim);
    if (step.probe) step.probe(0, x);
    const Step::Angles angles = step.angles(frequencies_, config_.rope.amplitude);
    for (std::int64_t i = 0; i < config_.layers; ++i) {
      run_layer(step, layers_[static_cast<std::size_t>(i)], i, angles, x);
      if (step.probe) step.probe(i + 1, x);
    }
    step.finish(x, config_.dim, ends_.norm, config_.norm_eps, ends_.head());
  }

  // V3 paper section 2.2: u = M [RMSNorm(Emb(t_{i+1})); RMSNorm(h_i)], one decoder layer, its own norm, the head. (The
  // paper's figure has the two halves the other way round; the released weights want the embedding first.)
  void draft(Step& step, const float* hidden) const override {
    FATHOM_CHECK(drafts() > 0);
    const std::int64_t n = step.rows(), d = config_.dim;
    const float* e = step.norm(step.embed(mtp_.embedding ? mtp_.embedding : ends_.embedding, d), n, d,
                               mtp_.embedding_norm, config_.norm_eps)
                         .x;
    const float* h = step.norm(hidden, n, d, mtp_.hidden_norm, config_.norm_eps).x;
    float* both = step.floats(n, 2 * d);
    for (std::int64_t t = 0; t < n; ++t) {
      std::memcpy(both + 2 * t * d, e + t * d, sizeof(float) * static_cast<std::size_t>(d));
      std::memcpy(both + (2 * t + 1) * d, h + t * d, sizeof(float) * static_cast<std::size_t>(d));
    }
    float* x = step.floats(n, d);
    step.project(step.activations(both, n, 2 * d), n, {{.weight = &mtp_.projection, .out = x}});
    run_layer(step, mtp_.layer, config_.layers, step.angles(frequencies_, config_.rope.amplitude), x);
    step.finish(x, d, mtp_.norm, config_.norm_eps, mtp_.output ? mtp_.output : ends_.head());
  }

  std::int64_t drafts() const override { return mtp_.projection ? 1 : 0; }
  std::vector<CachePlane> cache_planes() const override { return latent_planes(config_); }

 private:
  struct Layer {
    LatentAttention attention;
    FeedForward feed_forward;  // the first layers
    Experts experts;           // the others
  };
  struct Mtp {
    weights::Vector embedding_norm, hidden_norm;  // [D] each
    base::Tensor projection;                      // [D, 2 D]
    Layer layer;
    weights::Vector norm;            // [D]
    base::Tensor embedding, output;  // [V, D] each; copies of the main ones that a file may leave out
  };

  void describe_layer(Layer& layer, std::int64_t i, Specs& specs) {
    const std::string prefix = fmt::format("model.layers.{}.", i);
    layer.attention.describe(config_, prefix, specs);
    if (config_.is_moe_layer(i)) {
      layer.experts.describe(config_, prefix, specs);
    } else {
      layer.feed_forward.describe(config_, prefix, specs);
    }
  }

  void describe_draft(Specs& specs) {
    const std::size_t before = specs.size();
    const std::string prefix = fmt::format("model.layers.{}.", config_.layers);
    const std::int64_t d = config_.dim;
    specs.push_back({.name = prefix + "enorm.weight", .shape = {d}, .vector = &mtp_.embedding_norm});
    specs.push_back({.name = prefix + "hnorm.weight", .shape = {d}, .vector = &mtp_.hidden_norm});
    specs.push_back({.name = prefix + "eh_proj.weight", .shape = {d, 2 * d}, .matrix = &mtp_.projection});
    describe_layer(mtp_.layer, config_.layers, specs);
    specs.push_back({.name = prefix + "shared_head.norm.weight", .shape = {d}, .vector = &mtp_.norm});
    for (std::size_t i = before; i < specs.size(); ++i) {
      specs[i].may_be_absent = specs[i].optional;
      specs[i].optional = true;
    }
    specs.push_back({.name = prefix + "embed_tokens.weight",
                     .shape = {config_.vocabulary, d},
                     .matrix = &mtp_.embedding,
                     .optional = true,
                     .may_be_absent = true});
    specs.push_back({.name = prefix + "shared_head.head.weight",
                     .shape = {config_.vocabulary, d},
                     .matrix = &mtp_.output,
                     .optional = true,
                     .may_be_absent = true});
  }

  void run_layer(Step& step, const Layer& layer, std::int64_t i, const Step::Angles& angles, float* x) const {
    layer.attention.forward(step, config_, i, angles, x);
    if (config_.is_moe_layer(i)) {
      layer.experts.forward(step, config_, x);
    } else {
      layer.feed_forward.forward(step, config_, x);
    }
  }

  Ends ends_;
  std::vector<Layer> layers_;
  Mtp mtp_;
  std::vector<float> frequencies_;
};

}  // namespace

std::unique_ptr<Model> make_deepseek_v3(Config config) {
  return std::make_unique<DeepSeekV3>(std::move(config));
}

}  // namespace fathom::model
