// What there is to know about a model's files before it runs: read, checked and added up here; printed elsewhere.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "base/error.h"
#include "engine/recommended.h"
#include "model/config.h"
#include "model/model.h"
#include "model/sizes.h"
#include "tokens/tokenizer.h"
#include "weights/checkpoint.h"

namespace fathom::apps {

// Weights of one purpose, by the type they are stored in. Vectors (norms, biases) are held in f32 whatever the file
// has.
struct TensorGroup {
  struct Part {
    std::int64_t tensors = 0, parameters = 0;
    std::uint64_t bytes = 0;
  };
  std::string name;
  std::map<base::DType, Part> parts;
};

struct CacheCost {
  std::string type;  // as --cache-type names it
  std::uint64_t bytes_per_token = 0;
};

struct TokenizerReport {
  std::string kind;
  std::int64_t ids = 0, tokens = 0;  // highest id + 1, and how many of them name a token
  std::optional<std::pair<tokens::TokenId, std::string>> bos, eos;
  bool adds_bos = false;
  std::vector<std::string> ends_answer;
};

struct ModelReport {
  std::string path, format;
  model::Config config;
  model::Sizes sizes;
  std::vector<TensorGroup> groups;
  std::vector<CacheCost> caches;
  std::optional<TokenizerReport> tokenizer;
  std::string chat_format;  // empty: none that can be used
  bool can_think = false;
  engine::Recommended settings;
  std::vector<std::string> odd;  // what is not as one would expect
};

// Errors: files that hold no model which can run, in one line. A tokenizer or template that cannot be used is odd, but
// no error here.
base::Result<ModelReport> examine(const std::string& path);

// For `examine`: what is odd about the files, apart from what they fail at.
struct Oddities {
  const weights::Checkpoint& checkpoint;
  const model::Model& model;
  const tokens::Tokenizer* tokenizer;  // may be null
  std::vector<std::string> find() const;
};

}  // namespace fathom::apps
