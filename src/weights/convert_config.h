// config.json of a Hugging Face directory in GGUF's words: the architecture's keys, and what the conversion of its
// tensors needs to know. Refuses what GGUF has no words for. That the numbers make a model is checked by whoever reads
// the configuration to run it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "files/gguf_writer.h"
#include "files/json.h"

namespace fathom::weights {

struct ConvertConfig {
  std::string architecture;  // GGUF's: "llama", "qwen2", "deepseek2", ...
  std::int64_t vocabulary = 0;
  std::int64_t layers = 0;        // without those of MTP
  std::int64_t draft_layers = 0;  // MTP
  std::int64_t experts = 0;
  std::int64_t heads = 0, kv_heads = 0, head = 0;           // head: width of one, with latent attention nope + rope
  std::int64_t kv_rank = 0, nope = 0, rope = 0, value = 0;  // latent attention; kv_rank 0: none
  bool halves_to_pairs = false;  // rotary numbers of a head stand as (i, i + d/2), GGUF wants (2i, 2i + 1)
  bool tied = false;
  std::vector<float> rope_divisors;  // llama3 scaling comes as a tensor; empty: none
};

base::Result<ConvertConfig> read_convert_config(const files::Json& config);

// `drafts`: whether the MTP layers' tensors are there.
base::Result<void> set_config_keys(const files::Json& config, const ConvertConfig& read, bool drafts,
                                   files::GgufWriter& out);

}  // namespace fathom::weights
