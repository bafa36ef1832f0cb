#include "apps/served_models.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <filesystem>

#include "apps/inspect_report.h"
#include "base/machine.h"
#include "files/catalog.h"
#include "files/model_store.h"
#include "server/completion_run.h"
#include "server/duration.h"

namespace fathom::apps {

using base::fail;
using base::Result;
using server::ModelSource;

namespace {

std::int64_t changed_at(const std::string& path) {
  std::error_code error;
  const auto time = std::filesystem::last_write_time(path, error);
  if (error) return 0;
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::file_clock::to_sys(time).time_since_epoch())
      .count();
}

ModelSource source_of(const std::string& name, const std::string& model, const std::string& path, bool stays) {
  const std::string own = engine::model_name_of(path);
  ModelSource source{.name = name.empty() ? served_name(model, path) : name,
                     .path = path,
                     .stays = stays,
                     .bytes = files::model_bytes(path),
                     .created = changed_at(path)};
  source.also = source.name == own ? model : own;
  return source;
}

Result<void> add(std::vector<ModelSource>& sources, ModelSource source) {
  const auto same = std::ranges::find(sources, source.name, &ModelSource::name);
  if (same == sources.end()) {
    sources.push_back(std::move(source));
    return {};
  }
  if (same->path == source.path) return {};
  return fail("{} and {} would both be called {}: give one another name under [models] in fathom.toml", same->path,
              source.path, source.name);
}

std::string quantization(const ModelReport& report) {
  const std::string quant = files::quant_of(std::filesystem::path(report.path).filename().string());
  return quant.empty() ? std::string() : quant;
}

std::string parameters_text(std::int64_t count) {
  return count >= 1'000'000'000 ? fmt::format("{:.1f}B", static_cast<double>(count) / 1e9)
                                : fmt::format("{:.0f}M", static_cast<double>(count) / 1e6);
}

}  // namespace

std::string served_name(const std::string& model, const std::string& path) {
  if (model.starts_with(files::kOllamaPrefix)) return model.substr(files::kOllamaPrefix.size());
  const std::string word = model.substr(0, model.find(':'));
  return files::find_in_catalog(word) != nullptr ? model : engine::model_name_of(path);
}

Result<std::vector<ModelSource>> served_models(const ServeFlags& flags) {
  auto store = files::ModelStore::from_environment();
  if (!store) return std::unexpected(store.error());
  std::vector<ModelSource> sources;
  for (const std::string& model : flags.models) {
    auto path = store->resolve(model);
    if (!path) return std::unexpected(path.error());
    if (auto added = add(sources, source_of("", model, *path, true)); !added) return std::unexpected(added.error());
  }
  for (const ServedModel& model : flags.configured) {
    auto path = store->resolve(model.model);
    if (!path) return base::fail_with("[models] " + model.name, path.error());
    if (auto added = add(sources, source_of(model.name, model.model, *path, false)); !added)
      return std::unexpected(added.error());
  }
  if (!sources.empty()) return sources;
  if (!flags.draft.empty()) return fail("--draft guesses for a model of the command line: name one");
  auto first = store->default_model();
  if (!first) return std::unexpected(first.error());
  const auto own = [](const files::LocalModel& m) { return m.holder == "fathom"; };
  const auto held = store->list();
  const auto known = std::ranges::find(held, *first, &files::LocalModel::path);
  sources.push_back(source_of("", known == held.end() ? *first : known->name, *first, true));
  for (const files::LocalModel& model : held) {
    if (!own(model) || model.path == *first) continue;
    if (auto added = add(sources, source_of("", model.name, model.path, false)); !added)
      return std::unexpected(added.error());
  }
  return sources;
}

Result<server::ModelFacts> look_at(const std::string& path, const engine::LoadOptions& options) {
  const auto need = engine::memory_need(path, options);
  if (!need) return std::unexpected(need.error());
  const auto report = examine(path);
  if (!report) return std::unexpected(report.error());
  auto tokenizer = engine::load_tokenizer(path);
  if (!tokenizer) return std::unexpected(tokenizer.error());
  return server::ModelFacts{.bytes = files::model_bytes(path),
                            .least_memory = need->least,
                            .full_memory = need->full,
                            .context_length = need->context,
                            .can_think = report->can_think,
                            .can_fill_in = server::can_fill_in(*tokenizer),
                            .format = report->format.starts_with("GGUF") ? "gguf" : report->format,
                            .family = std::string(model::name(report->config.architecture)),
                            .parameters = parameters_text(report->sizes.parameters),
                            .quantization = quantization(*report),
                            .chat_template = std::string(tokenizer->chat_template()),
                            .sampling = report->settings.sampling};
}

Result<server::ModelPool::Options> pool_options(const ServeFlags& flags, std::shared_ptr<engine::DiskCache> disk) {
  engine::LoadOptions common = load_options(flags);
  common.engine = {.disk = std::move(disk),
                   .share_prefixes = flags.share_prefixes,
                   .queue_limit = std::chrono::seconds(flags.queue_limit)};
  std::string draft;
  if (!flags.draft.empty()) {
    auto path = resolve_model(flags.draft);
    if (!path) return std::unexpected(path.error());
    draft = std::move(*path);
  }
  // A draft guesses for the models of the command line, which have its tokenizer.
  const auto options_of = [common, draft](const ModelSource& source) {
    engine::LoadOptions options = common;
    if (source.stays) options.draft_path = draft;
    return options;
  };
  server::ModelPool::Options pool;
  pool.memory = flags.memory > 0 ? flags.memory : base::usable_memory();
  pool.keep_alive = server::parse_duration(flags.keep_alive).value_or(server::kStays);
  pool.look = [options_of](const ModelSource& source) { return look_at(source.path, options_of(source)); };
  pool.load = [options_of](
                  const ModelSource& source, std::uint64_t bytes,
                  const std::function<void(double)>& progress) -> Result<std::shared_ptr<engine::LoadedModel>> {
    engine::LoadOptions own = options_of(source);
    own.memory = bytes;
    own.name = source.name;
    own.progress = [progress, line = own.progress](double share) {
      progress(share);
      line(share);
    };
    auto model = engine::load_model(source.path, own);
    if (!model) return std::unexpected(model.error());
    return std::shared_ptr<engine::LoadedModel>(std::move(*model));
  };
  return pool;
}

}  // namespace fathom::apps
