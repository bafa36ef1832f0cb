// tokenizer.json and the files beside it as GGUF's tokenizer.ggml.* keys. How text becomes tokens is not known here: a
// pre-tokenizer is recognised by its patterns, since GGUF only has names for them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"
#include "files/gguf_writer.h"
#include "files/json.h"

namespace fathom::weights {

// `vocabulary`: rows of the embedding; ids without a token get a placeholder. Errors: a file that is missing or wrong,
// a tokenizer that is not byte-level BPE, a pre-tokenizer without a name, a token beyond the vocabulary.
base::Result<void> set_tokenizer_keys(const std::string& directory, std::int64_t vocabulary, files::GgufWriter& out);

// The name of the pre-tokenizer of a tokenizer.json; empty if GGUF has none for it.
std::string_view pre_tokenizer_name(const files::Json& tokenizer);

}  // namespace fathom::weights
