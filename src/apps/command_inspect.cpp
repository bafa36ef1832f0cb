// inspect: what a model's files hold, and what this machine offers.
#include <fmt/ranges.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "apps/commands.h"
#include "apps/inspect_report.h"
#include "apps/terminal.h"
#include "base/machine.h"
#include "files/size_text.h"
#include "kernels/table.h"

namespace fathom::apps {

using base::fail;
using files::Json;
using files::size_text;

namespace {

// 49152 as "49,152".
std::string grouped(std::int64_t n) {
  std::string text = fmt::format("{}", n);
  for (auto at = static_cast<std::ptrdiff_t>(text.size()) - 3; at > (n < 0 ? 1 : 0); at -= 3)
    text.insert(static_cast<std::size_t>(at), ",");
  return text;
}

std::string count_text(std::int64_t n) {
  if (n >= 1'000'000'000) return fmt::format("{:.2f} B", static_cast<double>(n) / 1e9);
  if (n >= 1'000'000) return fmt::format("{:.1f} M", static_cast<double>(n) / 1e6);
  return grouped(n);
}

// A setting as it was written: 0.6, not the 0.6000000238418579 that a float widens to.
double decimal(float value) {
  return std::strtod(fmt::format("{}", value).c_str(), nullptr);
}

// Names of tokens and settings come from the file: they must not reach a terminal with escape codes in them.
void row(std::string_view name, const std::string& text) {
  fmt::print("{:<14} {}\n", name, printable(text));
}

std::string shape_text(const model::Config& c) {
  std::string text = fmt::format("{}: {} layers of width {}, {} heads", model::name(c.architecture), c.layers,
                                 grouped(c.dim), c.heads);
  if (c.latent.kv_rank > 0) {
    text += fmt::format(", latent attention of rank {} + {}", c.latent.kv_rank, c.latent.rope);
  } else {
    text += fmt::format(" ({} for keys and values) of {}", c.kv_heads, c.head_dim);
  }
  text += fmt::format(", feed-forward {}", grouped(c.ffn));
  if (c.moe.experts > 0)
    text += fmt::format("; {} experts of {}, {} used, {} shared, from layer {} on", c.moe.experts, grouped(c.moe.ffn),
                        c.moe.used, c.moe.shared, c.moe.first_dense);
  if (c.draft_layers > 0) text += fmt::format("; {} MTP layer", c.draft_layers);
  return text + (c.tied ? "; the output is the embedding" : "");
}

std::string_view scaling_text(model::RopeScaling scaling) {
  switch (scaling) {
    case model::RopeScaling::kLinear:
      return "linear";
    case model::RopeScaling::kLlama3:
      return "llama3";
    case model::RopeScaling::kYarn:
      return "yarn";
    default:
      return "none";
  }
}

std::string sampling_text(const engine::SamplingOptions& s) {
  std::string text = fmt::format("temperature {}, top_p {}", s.temperature, s.top_p);
  if (s.top_k > 0) text += fmt::format(", top_k {}", s.top_k);
  if (s.min_p > 0) text += fmt::format(", min_p {}", s.min_p);
  if (s.repetition_penalty != 1) text += fmt::format(", repetition_penalty {}", s.repetition_penalty);
  return text;
}

std::uint64_t needed(const ModelReport& r, const CacheCost& cache) {
  return r.sizes.bytes + cache.bytes_per_token * static_cast<std::uint64_t>(r.config.context);
}

void print_groups(const ModelReport& r) {
  fmt::print("\n{:<18} {:>12} {:>10}  {}\n", "weights", "parameters", "bytes", "types");
  for (const TensorGroup& g : r.groups) {
    TensorGroup::Part all;
    std::vector<std::string> types;
    for (const auto& [type, part] : g.parts) {
      all.parameters += part.parameters;
      all.bytes += part.bytes;
      types.push_back(g.parts.size() == 1 ? std::string(base::info(type).name)
                                          : fmt::format("{} {}", base::info(type).name, size_text(part.bytes)));
    }
    fmt::print("{:<18} {:>12} {:>10}  {}\n", g.name, count_text(all.parameters), size_text(all.bytes),
               fmt::join(types, ", "));
  }
  fmt::print("{:<18} {:>12} {:>10}\n", "all", count_text(r.sizes.parameters), size_text(r.sizes.bytes));
  fmt::print("{:<18} {:>12} {:>10}\n\n", "read by a token", count_text(r.sizes.active_parameters),
             size_text(r.sizes.active_bytes));
}

std::string token_text(const std::optional<std::pair<tokens::TokenId, std::string>>& token) {
  return token ? fmt::format("{} ({})", token->second, token->first) : "none";
}

void print(const ModelReport& r) {
  row("file", fmt::format("{} ({})", r.path, r.format));
  row("architecture", shape_text(r.config));
  row("parameters", fmt::format("{}, {} of them active for a token", count_text(r.sizes.parameters),
                                count_text(r.sizes.active_parameters)));
  print_groups(r);
  const auto& rope = r.config.rope;
  row("context", fmt::format("{} tokens; rope base {}{}", grouped(r.config.context), rope.theta,
                             rope.scaling == model::RopeScaling::kNone
                                 ? ""
                                 : fmt::format(", scaling {} by {} from {}", scaling_text(rope.scaling), rope.factor,
                                               rope.original_context)));
  std::vector<std::string> per_token, memory;
  for (const CacheCost& c : r.caches) {
    per_token.push_back(fmt::format("{} {}", c.type, size_text(c.bytes_per_token)));
    memory.push_back(fmt::format("{} {}", c.type, size_text(needed(r, c))));
  }
  row("cache", fmt::format("for each token: {}", fmt::join(per_token, ", ")));
  row("memory", fmt::format("weights and a full context, by cache: {}; usable here: {}", fmt::join(memory, ", "),
                            size_text(base::usable_memory())));
  if (r.tokenizer) {
    const TokenizerReport& t = *r.tokenizer;
    row("tokenizer", fmt::format("{}; {} tokens; BOS {}, {}; EOS {}", t.kind, grouped(t.tokens), token_text(t.bos),
                                 t.adds_bos ? "added to plain texts" : "not added to plain texts", token_text(t.eos)));
    row("answers end at", fmt::format("{}", fmt::join(t.ends_answer, ", ")));
  }
  if (!r.chat_format.empty()) row("template", r.chat_format + (r.can_think ? ", with thoughts" : ""));
  row("sampling", fmt::format("{} (from {})", sampling_text(r.settings.sampling), r.settings.source));
  for (const std::string& odd : r.odd) row("odd", odd);
}

Json token_json(const std::optional<std::pair<tokens::TokenId, std::string>>& token) {
  return token ? Json{{"id", token->first}, {"text", token->second}} : Json();
}

Json to_json(const ModelReport& r) {
  const model::Config& c = r.config;
  Json groups = Json::array(), caches = Json::array();
  for (const TensorGroup& g : r.groups)
    for (const auto& [type, part] : g.parts)
      groups.push_back({{"group", g.name},
                        {"type", base::info(type).name},
                        {"tensors", part.tensors},
                        {"parameters", part.parameters},
                        {"bytes", part.bytes}});
  for (const CacheCost& cost : r.caches)
    caches.push_back({{"type", cost.type}, {"bytes_per_token", cost.bytes_per_token}, {"memory", needed(r, cost)}});
  Json json{{"path", r.path},
            {"format", r.format},
            {"architecture", model::name(c.architecture)},
            {"layers", c.layers},
            {"width", c.dim},
            {"heads", c.heads},
            {"kv_heads", c.kv_heads},
            {"head_width", c.head_dim},
            {"feed_forward", c.ffn},
            {"vocabulary", c.vocabulary},
            {"tied", c.tied},
            {"experts", c.moe.experts},
            {"experts_used", c.moe.used},
            {"experts_shared", c.moe.shared},
            {"mtp_layers", c.draft_layers},
            {"parameters", r.sizes.parameters},
            {"active_parameters", r.sizes.active_parameters},
            {"bytes", r.sizes.bytes},
            {"active_bytes", r.sizes.active_bytes},
            {"weights", std::move(groups)},
            {"context", c.context},
            {"rope_base", decimal(c.rope.theta)},
            {"rope_scaling", scaling_text(c.rope.scaling)},
            {"caches", std::move(caches)}};
  if (r.tokenizer) {
    const TokenizerReport& t = *r.tokenizer;
    json["tokenizer"] = {{"kind", t.kind},
                         {"ids", t.ids},
                         {"tokens", t.tokens},
                         {"bos", token_json(t.bos)},
                         {"adds_bos", t.adds_bos},
                         {"eos", token_json(t.eos)},
                         {"ends_answer", t.ends_answer}};
  }
  json["template"] = {{"format", r.chat_format}, {"thinks", r.can_think}};
  const auto& s = r.settings.sampling;
  json["sampling"] = {{"temperature", decimal(s.temperature)},
                      {"top_p", decimal(s.top_p)},
                      {"top_k", s.top_k},
                      {"min_p", decimal(s.min_p)},
                      {"repetition_penalty", decimal(s.repetition_penalty)},
                      {"from", r.settings.source}};
  json["odd"] = r.odd;
  return json;
}

std::string processor_name() {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);)
    if (line.starts_with("model name"))
      if (const auto colon = line.find(": "); colon != std::string::npos) return line.substr(colon + 2);
  return "unknown";
}

Json machine() {
  Json available = Json::array();
  for (const char* name : {"scalar", "avx2", "avx512"})
    if (kernels::find_table(name) != nullptr) available.push_back(name);
  return {{"processor", processor_name()},
          {"kernels", kernels::table().name},
          {"kernels_available", std::move(available)},
          {"kernels_note", kernels::selection_error()},
          {"threads", base::usable_threads()},
          {"memory", base::usable_memory()}};
}

void print_machine(const Json& m) {
  row("processor", m["processor"].get<std::string>());
  row("kernels", fmt::format("{} (this machine runs {})", m["kernels"].get<std::string>(),
                             fmt::join(m["kernels_available"].get<std::vector<std::string>>(), ", ")));
  if (const auto note = m["kernels_note"].get<std::string>(); !note.empty()) row("", note);
  row("threads", fmt::format("{}", m["threads"].get<int>()));
  row("memory", size_text(m["memory"].get<std::uint64_t>()) + " usable");
}

}  // namespace

Status inspect(const InspectFlags& flags) {
  std::optional<ModelReport> report;
  if (!flags.model.empty()) {
    auto path = resolve_model(flags.model);
    if (!path) return std::unexpected(path.error());
    auto examined = examine(*path);
    if (!examined) return std::unexpected(examined.error());
    report = std::move(*examined);
  }
  if (flags.json) {
    Json json = report ? to_json(*report) : Json::object();
    if (flags.machine) json["machine"] = machine();
    fmt::print("{}\n", json.dump(2, ' ', false, Json::error_handler_t::replace));
    return {};
  }
  if (report) print(*report);
  if (flags.machine) print_machine(machine());
  return {};
}

}  // namespace fathom::apps
