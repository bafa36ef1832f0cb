// The pre-tokenizers that GGUF files name by `tokenizer.ggml.pre`. tokenizer.json spells its own out.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace fathom::tokens {

struct PreTokenizerRow {
  std::string_view name;
  std::vector<std::string> patterns;  // each isolates its matches
  bool nfc = false;
  bool ignore_merges = false;
  bool adds_bos = false;  // where the file does not say
};

// Errors: a name that the table lacks.
base::Result<PreTokenizerRow> pre_tokenizer_row(std::string_view name);

// GPT-2's pattern, which tokenizer.json's ByteLevel means by `use_regex`.
extern const std::string_view kGpt2Pattern;

}  // namespace fathom::tokens
