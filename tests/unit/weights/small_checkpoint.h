// A small directory in Hugging Face's layout, written by a test from numbers it chooses.
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <span>
#include <string>
#include <vector>

#include "../files/temporary_folder.h"
#include "base/half.h"
#include "files/safetensors.h"
#include "weights/convert.h"

namespace fathom::weights {

// A byte-level tokenizer of a few tokens; `cut` is the JSON of its pre_tokenizer.
inline std::string small_tokenizer(const std::string& cut) {
  return R"({"normalizer": null, "pre_tokenizer": )" + cut + R"(,
    "added_tokens": [{"id": 4, "content": "<s>", "special": true}, {"id": 5, "content": "</s>", "special": true},
                     {"id": 6, "content": "<think>", "special": false}, {"id": 7, "content": "<|end|>", "special": false}],
    "post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A"}}]},
    "model": {"type": "BPE", "ignore_merges": false, "vocab": {"a": 0, "b": 1, "ab": 2, "aba": 3}, "merges": ["a b", ["ab", "a"]]}})";
}

inline const char* const kSmollmCut =
    R"({"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": true},
        {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true}]})";

class SmallCheckpoint {
 public:
  explicit SmallCheckpoint(const std::string& config) {
    folder_.write("config.json", config);
    folder_.write("tokenizer.json", small_tokenizer(kSmollmCut));
    folder_.write("tokenizer_config.json",
                  R"({"bos_token": "<s>", "eos_token": {"content": "</s>"}, "chat_template": "hello"})");
    folder_.write("generation_config.json", R"({"eos_token_id": [5, 7]})");
  }

  // Adds a tensor and lists it, as a matrix or as a vector by its shape.
  void add(const std::string& name, std::vector<std::int64_t> shape, std::vector<float> values) {
    specs_.push_back({.name = name, .shape = shape});
    if (shape.size() == 1) {
      specs_.back().vector = &no_vector_;
    } else {
      specs_.back().matrix = &no_matrix_;
    }
    store(name, shape, base::DType::kF32, std::as_bytes(std::span(values)));
  }
  // A matrix of FP8 codes with scales [rows / block, columns / block].
  void add_fp8(const std::string& name, std::vector<std::int64_t> shape, const std::vector<std::uint8_t>& codes,
               std::vector<std::int64_t> scale_shape, std::vector<float> scales) {
    specs_.push_back({.name = name, .shape = shape, .matrix = &no_matrix_});
    store(name, shape, base::DType::kF8E4M3, std::as_bytes(std::span(codes)));
    store(name + "_scale_inv", scale_shape, base::DType::kF32, std::as_bytes(std::span(scales)));
  }

  base::Result<void> convert_to(const std::string& name, std::string_view type) {
    std::vector<files::SafetensorsTensor> tensors;
    for (const auto& t : stored_) tensors.push_back(t);
    EXPECT_TRUE(files::write_safetensors(folder_ / "model.safetensors", tensors));
    const auto checkpoint = Checkpoint::open(folder_.path().string());
    EXPECT_TRUE(checkpoint);
    base::ThreadPool pool(2);
    return convert({.from = *checkpoint, .specs = specs_, .type = *find_file_type(type), .to = out_ / name}, pool,
                   [](const ConvertProgress&) -> base::Result<void> { return {}; });
  }
  files::Gguf converted(std::string_view type) {
    const auto done = convert_to("out.gguf", type);
    EXPECT_TRUE(done) << done.error().message;
    auto file = files::Gguf::open(out_ / "out.gguf");
    EXPECT_TRUE(file);
    return std::move(*file);
  }

  const files::TemporaryFolder& folder() const { return folder_; }
  const files::TemporaryFolder& out() const { return out_; }

 private:
  void store(const std::string& name, const std::vector<std::int64_t>& shape, base::DType type,
             std::span<const std::byte> data) {
    const auto& bytes = bytes_.emplace_back(data.begin(), data.end());
    base::Tensor t{.dtype = type, .rank = static_cast<int>(shape.size()), .data = bytes.data()};
    std::copy(shape.begin(), shape.end(), t.shape.begin());
    stored_.push_back({name, t});
  }

  files::TemporaryFolder folder_, out_;
  std::vector<TensorSpec> specs_;
  std::deque<std::vector<std::byte>> bytes_;
  std::vector<files::SafetensorsTensor> stored_;
  base::Tensor no_matrix_;
  Vector no_vector_;
};

inline std::vector<float> floats(const files::Gguf& file, std::string_view name) {
  const base::Tensor* t = file.tensor(name);
  if (t == nullptr || t->dtype != base::DType::kF32) return {};
  std::vector<float> out(static_cast<std::size_t>(t->elements()));
  std::memcpy(out.data(), t->data, t->bytes());
  return out;
}

// 0, 1, 2, ...
inline std::vector<float> counting(std::int64_t n) {
  std::vector<float> out(static_cast<std::size_t>(n));
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<float>(i);
  return out;
}

}  // namespace fathom::weights
