// The files of one model, safetensors or GGUF, to one GGUF file of a given type. A tensor is read, quantised and
// written before the next, some rows at a time; the file appears under its name only when it is whole.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/function_ref.h"
#include "base/thread_pool.h"
#include "weights/binding.h"
#include "weights/checkpoint.h"
#include "weights/quantize_mixture.h"

namespace fathom::weights {

struct ConvertProgress {
  std::string_view tensor;
  base::DType type = base::DType::kF32;
  std::size_t index = 0, count = 0;      // of tensors
  std::uint64_t written = 0, bytes = 0;  // of the file
};

// Called after each piece of a tensor; an error ends the conversion with it.
using ConvertReport = base::FunctionRef<base::Result<void>(const ConvertProgress&)>;

struct ConvertRequest {
  const Checkpoint& from;
  std::span<const TensorSpec> specs;  // a directory's tensors, as its model lists them; not read for a GGUF file
  const FileType& type;
  std::string to;
};

// Errors: a checkpoint that GGUF has no words for; a number that is not finite or that the type cannot hold, with its
// tensor and row; a full disk; what `report` returned. Nothing is left behind then.
base::Result<void> convert(const ConvertRequest& request, base::ThreadPool& pool, ConvertReport report);

}  // namespace fathom::weights
