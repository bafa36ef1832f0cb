// The files of one model as named tensors, whichever form they came in. Names are Hugging Face's; a GGUF file is asked
// by its own names for them (names.h). How a forward pass uses the tensors is not known here.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/tensor.h"
#include "files/gguf.h"
#include "files/json.h"
#include "files/safetensors.h"

namespace fathom::weights {

class Checkpoint {
 public:
  // `path`: a GGUF file, or a directory with config.json and safetensors. Errors: what is wrong with the files.
  static base::Result<Checkpoint> open(const std::string& path);

  // The tensor of that name in Hugging Face's spelling, its FP8 scales attached; nothing if there is none. Errors: an
  // FP8 tensor whose scales are missing or of another shape.
  base::Result<std::optional<base::Tensor>> find(std::string_view name) const;

  // Every name in the file's own spelling.
  std::vector<std::string_view> names() const;
  // The file's own spelling of a name (of the whole stack, for one expert of it); empty if it has none.
  std::string stored_name(std::string_view name) const;

  const files::Gguf* gguf() const { return gguf_.get(); }
  const files::Json& config() const { return config_; }  // config.json; null for GGUF
  const std::string& path() const { return path_; }

 private:
  base::Result<base::Tensor> with_scales(base::Tensor tensor, std::string_view name) const;

  std::string path_;
  std::unique_ptr<files::Gguf> gguf_;
  std::unique_ptr<files::Safetensors> safetensors_;
  files::Json config_;
};

}  // namespace fathom::weights
