// DeepSeekMoE 16B, the first with experts: Llama's attention, and experts behind a softmax gate.
#include "model/experts.h"
#include "model/model.h"
#include "model/registry.h"

namespace fathom::model {
namespace {

class DeepSeekMoe final : public Model {
 public:
  explicit DeepSeekMoe(Config config)
      : Model(std::move(config)),
        layers_(static_cast<std::size_t>(config_.layers)),
        frequencies_(rope_frequencies(config_.rope)) {}

  Specs describe() override {
    Specs specs;
    ends_.describe(config_, specs);
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      const std::string prefix = fmt::format("model.layers.{}.", i);
      layers_[i].attention.describe(
          config_, prefix, {.qkv_bias = config_.attention_bias, .output_bias = config_.attention_output_bias}, specs);
      if (config_.is_moe_layer(static_cast<std::int64_t>(i))) {
        layers_[i].experts.describe(config_, prefix, specs);
      } else {
        layers_[i].feed_forward.describe(config_, prefix, specs);
      }
    }
    return specs;
  }

  void forward(Step& step) const override {
    float* x = step.embed(ends_.embedding, config_.dim);
    if (step.probe) step.probe(0, x);
    const Step::Angles angles = step.angles(frequencies_, config_.rope.amplitude);
    for (std::int64_t i = 0; i < config_.layers; ++i) {
      const Layer& layer = layers_[static_cast<std::size_t>(i)];
      layer.attention.forward(step, config_, i, angles, x);
      if (config_.is_moe_layer(i)) {
        layer.experts.forward(step, config_, x);
      } else {
        layer.feed_forward.forward(step, config_, x);
      }
      if (step.probe) step.probe(i + 1, x);
    }
    step.finish(x, config_.dim, ends_.norm, config_.norm_eps, ends_.head());
  }

  std::vector<CachePlane> cache_planes() const override { return key_value_planes(config_); }

 private:
  struct Layer {
    GroupedAttention attention;
    FeedForward feed_forward;  // the first layers
    Experts experts;           // the others
  };
  Ends ends_;
  std::vector<Layer> layers_;
  std::vector<float> frequencies_;
};

}  // namespace

std::unique_ptr<Model> make_deepseek(Config config) {
  return std::make_unique<DeepSeekMoe>(std::move(config));
}

}  // namespace fathom::model
