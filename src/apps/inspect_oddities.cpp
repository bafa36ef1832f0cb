// What is odd about a model's files: not wrong enough to be refused, but what a person would want to know when answers
// are not as expected.
#include <algorithm>
#include <cstring>
#include <filesystem>

#include "apps/inspect_report.h"

namespace fathom::apps {
namespace {

using files::Json;
using Odd = std::vector<std::string>;

std::string id_text(const tokens::Tokenizer& tokenizer, tokens::TokenId id) {
  return fmt::format("{} ({})", id, tokenizer.bytes(id));
}

// A token that a JSON file names by id, against the tokenizer's.
void compare_token(const Json& json, const char* file, const char* key, const tokens::Tokenizer& tokenizer,
                   std::optional<tokens::TokenId> own, Odd& odd) {
  if (!json.is_object() || !json.contains(key)) return;
  const Json& value = json[key];
  std::vector<std::int64_t> ids;
  for (const Json& id : value.is_array() ? value : Json::array({value}))
    if (id.is_number_integer()) ids.push_back(id.get<std::int64_t>());
  if (ids.empty() || (own && std::ranges::find(ids, *own) != ids.end())) return;
  const bool known = ids[0] >= 0 && ids[0] < tokenizer.vocabulary_size();
  odd.push_back(
      fmt::format("{} of {} is {}, but the tokenizer's is {}: the tokenizer's holds", key, file,
                  known ? id_text(tokenizer, static_cast<tokens::TokenId>(ids[0])) : fmt::format("{}", ids[0]),
                  own ? id_text(tokenizer, *own) : "none"));
}

void compare_tokens(const weights::Checkpoint& checkpoint, const tokens::Tokenizer& tokenizer, Odd& odd) {
  if (checkpoint.gguf() != nullptr) return;
  Json generation;
  const std::string path = checkpoint.path() + "/generation_config.json";
  std::error_code error;
  if (std::filesystem::exists(path, error))
    if (auto read = files::read_json(path)) generation = std::move(*read);
  for (const auto& [json, file] : {std::pair{&checkpoint.config(), "config.json"},
                                   {static_cast<const Json*>(&generation), "generation_config.json"}}) {
    compare_token(*json, file, "bos_token_id", tokenizer, tokenizer.bos(), odd);
    compare_token(*json, file, "eos_token_id", tokenizer, tokenizer.eos(), odd);
  }
}

void compare_vocabulary(const model::Config& config, const tokens::Tokenizer& tokenizer, Odd& odd) {
  if (tokenizer.vocabulary_size() > config.vocabulary)
    odd.push_back(
        fmt::format("the tokenizer has ids up to {}, but the model knows {} tokens: they do not belong together",
                    tokenizer.vocabulary_size() - 1, config.vocabulary));
  std::int64_t nameless = 0;
  for (std::int64_t id = 0; id < config.vocabulary; ++id)
    if (id >= tokenizer.vocabulary_size() || !tokenizer.defined(static_cast<tokens::TokenId>(id))) ++nameless;
  if (nameless > 0)
    odd.push_back(fmt::format("{} of the {} rows of the vocabulary name no token; they are never sampled", nameless,
                              config.vocabulary));
  if (!tokenizer.eos()) odd.push_back("the tokenizer names no end of text (EOS)");
}

bool same_bytes(const base::Tensor& a, const base::Tensor& b) {
  return a.dtype == b.dtype && a.bytes() == b.bytes() && std::memcmp(a.data, b.data, a.bytes()) == 0;
}

void look_at_output(const weights::Checkpoint& checkpoint, const model::Config& config, Odd& odd) {
  const auto embedding = checkpoint.find("model.embed_tokens.weight"), output = checkpoint.find("lm_head.weight");
  if (!embedding || !output || !*embedding || !*output) return;
  if (config.tied)
    odd.push_back(
        "its configuration ties the output to the embedding, yet the file holds an output matrix; it is not used");
  else if (same_bytes(**embedding, **output))
    odd.push_back("the output matrix repeats the embedding byte for byte");
}

void look_at_gguf(const files::Gguf& gguf, const model::Config& config, Odd& odd) {
  if (config.latent.kv_rank > 0 && gguf.tensor("blk.0.attn_kv_b.weight") != nullptr)
    odd.push_back(
        "keys and values are in the older layout, one matrix attn_kv_b a layer, as files until April 2025 had it");
  const std::string prefix(gguf.string("general.architecture").value_or(""));
  // V2-Lite, whose queries are projected at once, has one group in any case.
  const bool grouped =
      config.architecture == model::Architecture::kDeepSeekV3 ||
      (config.architecture == model::Architecture::kDeepSeekV2 && config.moe.experts > 0 && config.latent.q_rank > 0);
  if (grouped && gguf.find(prefix + ".expert_group_count") == nullptr)
    odd.push_back(fmt::format("the metadata do not say how experts are grouped: taken to be {}",
                              config.moe.groups == 1 ? "one group"
                                                     : fmt::format("{} groups, of which {} are used", config.moe.groups,
                                                                   config.moe.groups_used)));
  if (gguf.find("tokenizer.ggml.pre") == nullptr) odd.push_back("the metadata do not name the pre-tokenizer");
}

void look_at_types(const weights::Checkpoint& checkpoint, const model::Model& model, Odd& odd) {
  const Json& config = checkpoint.config();
  if (config.is_object() && config.contains("quantization_config"))
    odd.push_back("the weights are FP8 (e4m3) with one scale a block, as DeepSeek publishes them");
  if (model.config().draft_layers > 0 && model.drafts() == 0)
    odd.push_back("its configuration promises an MTP layer that the files do not hold: no drafts");
}

}  // namespace

Odd Oddities::find() const {
  Odd odd;
  if (tokenizer != nullptr) {
    compare_tokens(checkpoint, *tokenizer, odd);
    compare_vocabulary(model.config(), *tokenizer, odd);
  }
  look_at_output(checkpoint, model.config(), odd);
  if (checkpoint.gguf() != nullptr) look_at_gguf(*checkpoint.gguf(), model.config(), odd);
  look_at_types(checkpoint, model, odd);
  return odd;
}

}  // namespace fathom::apps
