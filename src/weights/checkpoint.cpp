#include "weights/checkpoint.h"

#include <filesystem>

#include "weights/names.h"

namespace fathom::weights {

using base::DType;
using base::fail;
using base::Result;
using base::Tensor;

Result<Checkpoint> Checkpoint::open(const std::string& path) {
  Checkpoint c;
  c.path_ = path;
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) {
    auto config = files::read_json(path + "/config.json");
    if (!config) return std::unexpected(config.error());
    c.config_ = std::move(*config);
    auto tensors = files::Safetensors::open(path);
    if (!tensors) return std::unexpected(tensors.error());
    c.safetensors_ = std::make_unique<files::Safetensors>(std::move(*tensors));
    return c;
  }
  auto gguf = files::Gguf::open(path);
  if (!gguf) return std::unexpected(gguf.error());
  c.gguf_ = std::make_unique<files::Gguf>(std::move(*gguf));
  return c;
}

std::string Checkpoint::stored_name(std::string_view name) const {
  if (gguf_ == nullptr) return std::string(name);
  const auto translated = gguf_name(name);
  return translated ? translated->name : std::string();
}

Result<Tensor> Checkpoint::with_scales(Tensor tensor, std::string_view name) const {
  if (tensor.dtype != DType::kF8E4M3) return tensor;
  const std::string scale_name = std::string(name) + "_scale_inv";
  const Tensor* scale = safetensors_->tensor(scale_name);
  if (scale == nullptr) return fail("{} is FP8, but its scales {} are missing", name, scale_name);
  std::int64_t block = 128;
  if (config_.contains("quantization_config")) {
    const auto& q = config_["quantization_config"];
    if (q.is_object() && q.contains("weight_block_size")) {
      const auto& size = q["weight_block_size"];
      if (!size.is_array() || size.size() != 2 || !size[0].is_number_integer() || size[0] != size[1] || size[0] < 1 ||
          size[0] > 65536)
        return fail("weight_block_size is {}, expected two equal positive numbers", size.dump());
      block = size[0].get<std::int64_t>();
    }
  }
  const auto blocks = [&](std::int64_t n) { return (n + block - 1) / block; };
  if (tensor.rank != 2 || scale->dtype != DType::kF32 || scale->rank != 2 || scale->dim(0) != blocks(tensor.dim(0)) ||
      scale->dim(1) != blocks(tensor.dim(1)))
    return fail("{}: expected f32 [{}, {}], one scale a block of {} x {}", scale_name, blocks(tensor.rows()),
                blocks(tensor.cols()), block, block);
  tensor.scale = reinterpret_cast<const float*>(scale->data);
  tensor.scale_block = static_cast<std::int32_t>(block);
  return tensor;
}

Result<std::optional<Tensor>> Checkpoint::find(std::string_view name) const {
  if (gguf_ == nullptr) {
    const Tensor* tensor = safetensors_->tensor(name);
    if (tensor == nullptr) return std::nullopt;
    auto scaled = with_scales(*tensor, name);
    if (!scaled) return std::unexpected(scaled.error());
    return *scaled;
  }
  const auto translated = gguf_name(name);
  if (!translated) return std::nullopt;
  const Tensor* tensor = gguf_->tensor(translated->name);
  if (tensor == nullptr) return std::nullopt;
  if (translated->expert < 0) return *tensor;
  if (tensor->rank != 3 || translated->expert >= tensor->dim(0))
    return fail("{} has no expert {}: its shape has {} dimensions", translated->name, translated->expert, tensor->rank);
  return tensor->slice(translated->expert);
}

std::vector<std::string_view> Checkpoint::names() const {
  std::vector<std::string_view> all;
  if (gguf_ == nullptr) {
    for (const auto& t : safetensors_->tensors()) all.push_back(t.name);
  } else {
    for (const auto& t : gguf_->tensors()) all.push_back(t.name);
  }
  return all;
}

}  // namespace fathom::weights
