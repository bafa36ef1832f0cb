#include "apps/inspect_report.h"

#include <algorithm>
#include <filesystem>

#include "engine/loaded_model.h"
#include "tokens/chat_template.h"

namespace fathom::apps {

using base::DType;
using base::Result;

namespace {

std::string_view group_of(std::string_view name, bool vector, std::string_view draft_prefix) {
  if (name == "model.embed_tokens.weight") return "embedding";
  if (name == "lm_head.weight") return "output";
  if (name.starts_with(draft_prefix)) return "MTP layer";
  if (vector) return "norms and biases";
  if (name.contains(".mlp.experts.")) return "experts";
  if (name.contains(".mlp.shared_experts.")) return "shared experts";
  if (name.ends_with(".mlp.gate.weight")) return "router";
  return name.contains(".self_attn.") ? "attention" : "feed-forward";
}

std::vector<TensorGroup> groups_of(model::Model& model) {
  std::vector<TensorGroup> groups;
  for (const char* name : {"embedding", "attention", "feed-forward", "shared experts", "experts", "router",
                           "norms and biases", "output", "MTP layer"})
    groups.push_back({.name = name, .parts = {}});
  const std::string draft_prefix = fmt::format("model.layers.{}.", model.config().layers);
  for (const auto& spec : model.describe()) {
    const bool vector = spec.vector != nullptr;
    const std::int64_t count = vector                                   ? static_cast<std::int64_t>(spec.vector->size())
                               : spec.matrix != nullptr && *spec.matrix ? spec.matrix->elements()
                                                                        : 0;
    if (count == 0) continue;
    const auto group = std::ranges::find(groups, group_of(spec.name, vector, draft_prefix), &TensorGroup::name);
    auto& part = group->parts[vector ? DType::kF32 : spec.matrix->dtype];
    ++part.tensors;
    part.parameters += count;
    part.bytes += vector ? spec.vector->size() * sizeof(float) : spec.matrix->bytes();
  }
  std::erase_if(groups, [](const TensorGroup& g) { return g.parts.empty(); });
  return groups;
}

std::vector<CacheCost> caches_of(const model::Model& model) {
  std::vector<CacheCost> costs;
  for (const auto& [name, type] : {std::pair{"f32", DType::kF32}, {"bf16", DType::kBF16}, {"q8", DType::kI8}}) {
    const model::CacheLayout layout{.layers = model.cache_layers(), .planes = model.cache_planes(), .type = type};
    costs.push_back({name, layout.bytes_per_token()});
  }
  return costs;
}

std::string format_of(const weights::Checkpoint& checkpoint) {
  if (checkpoint.gguf() == nullptr) return "safetensors";
  const auto parts = checkpoint.gguf()->integer("split.count").value_or(1);
  return parts > 1 ? fmt::format("GGUF in {} files", parts) : "GGUF";
}

TokenizerReport report_of(const tokens::Tokenizer& tokenizer, const weights::Checkpoint& checkpoint) {
  TokenizerReport r{.kind = "byte-level BPE", .ids = tokenizer.vocabulary_size(), .adds_bos = tokenizer.adds_bos()};
  if (checkpoint.gguf() != nullptr)
    if (const auto pre = checkpoint.gguf()->string("tokenizer.ggml.pre"))
      r.kind += fmt::format(", pre-tokenizer \"{}\"", *pre);
  for (tokens::TokenId id = 0; id < tokenizer.vocabulary_size(); ++id) r.tokens += tokenizer.defined(id);
  const auto named = [&](std::optional<tokens::TokenId> id) {
    return id ? std::optional(std::pair(*id, std::string(tokenizer.bytes(*id)))) : std::nullopt;
  };
  r.bos = named(tokenizer.bos());
  r.eos = named(tokenizer.eos());
  for (const tokens::TokenId id : tokenizer.stop_tokens()) r.ends_answer.emplace_back(tokenizer.bytes(id));
  return r;
}

}  // namespace

Result<ModelReport> examine(const std::string& path) {
  auto checkpoint = weights::Checkpoint::open(path);
  if (!checkpoint) return std::unexpected(checkpoint.error());
  auto model = model::bind_model(*checkpoint);
  if (!model) return std::unexpected(model.error());
  auto settings = engine::recommended(*checkpoint);
  if (!settings) return std::unexpected(settings.error());
  ModelReport r{.path = path,
                .format = format_of(*checkpoint),
                .config = (*model)->config(),
                .sizes = model::sizes(**model),
                .groups = groups_of(**model),
                .caches = caches_of(**model),
                .settings = std::move(*settings)};
  auto tokenizer = engine::load_tokenizer(path);
  r.odd = Oddities{*checkpoint, **model, tokenizer ? &*tokenizer : nullptr}.find();
  if (!tokenizer) {
    r.odd.push_back("its tokenizer cannot be used: " + tokenizer.error().message);
    return r;
  }
  r.tokenizer = report_of(*tokenizer, *checkpoint);
  const auto chat_template = tokens::ChatTemplate::for_tokenizer(*tokenizer);
  if (chat_template) {
    r.chat_format = chat_template->format();
    r.can_think = chat_template->can_think();
    if (tokenizer->chat_template().empty())
      r.odd.push_back("the files bring no chat template of their own; its control tokens tell the format");
  } else {
    r.odd.push_back("its chat template cannot be used: " + chat_template.error().message);
  }
  return r;
}

}  // namespace fathom::apps
