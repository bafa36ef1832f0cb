#include "engine/loaded_model.h"

#include <algorithm>
#include <filesystem>

#include "engine/batch_engine.h"
#include "engine/draft_model.h"
#include "engine/recommended.h"
#include "engine/runner.h"
#include "model/sizes.h"

namespace fathom::engine {

using base::fail;
using base::Result;
using tokens::TokenId;

namespace {

class LoadedFiles final : public LoadedModel {
 public:
  LoadedFiles(std::string name, std::unique_ptr<Runner> runner, tokens::Tokenizer tokenizer,
              tokens::ChatTemplate chat_template, Recommended settings)
      : name_(std::move(name)),
        runner_(std::move(runner)),
        tokenizer_(std::move(tokenizer)),
        template_(std::move(chat_template)),
        settings_(std::move(settings)) {
    for (const TokenId id : tokenizer_.stop_tokens())
      if (std::ranges::find(settings_.stop_tokens, id) == settings_.stop_tokens.end())
        settings_.stop_tokens.push_back(id);
  }

  Result<void> start(const EngineOptions& options) {
    std::vector<TokenId> undefined;
    for (TokenId id = 0; id < static_cast<TokenId>(runner_->model().config().vocabulary); ++id)
      if (!tokenizer_.defined(id)) undefined.push_back(id);
    auto engine = BatchEngine::make(*runner_, std::move(undefined), options);
    if (!engine) return std::unexpected(engine.error());
    engine_ = std::move(*engine);
    return {};
  }

  const std::string& name() const override { return name_; }
  const tokens::Tokenizer& tokenizer() const override { return tokenizer_; }
  const tokens::ChatTemplate& chat_template() const override { return template_; }
  Engine& engine() override { return *engine_; }
  const SamplingOptions& default_sampling() const override { return settings_.sampling; }
  std::span<const TokenId> stop_tokens() const override { return settings_.stop_tokens; }
  int context_length() const override { return runner_->context(); }

 private:
  std::string name_;
  std::unique_ptr<Runner> runner_;
  tokens::Tokenizer tokenizer_;
  tokens::ChatTemplate template_;
  Recommended settings_;
  std::unique_ptr<BatchEngine> engine_;  // last: uses the runner
};

Result<tokens::Tokenizer> tokenizer_of(const Runner& runner, const std::string& path) {
  const files::Gguf* gguf = runner.checkpoint().gguf();
  return gguf != nullptr ? tokens::Tokenizer::from_gguf(*gguf) : tokens::Tokenizer::from_directory(path);
}

// The id of the first token that the two do not share, where there is one.
std::optional<TokenId> first_difference(const tokens::Tokenizer& a, const tokens::Tokenizer& b) {
  for (TokenId id = 0; id < std::max(a.vocabulary_size(), b.vocabulary_size()); ++id)
    if (a.bytes(id) != b.bytes(id) || a.is_control(id) != b.is_control(id)) return id;
  return std::nullopt;
}

// The model that guesses for another, which is loaded behind it: what it takes of memory is reserved in `options`.
Result<std::unique_ptr<Runner>> load_draft_runner(LoadOptions& options) {
  LoadOptions own{.threads = options.threads,
                  .context = options.context,
                  .cache_type = options.cache_type,
                  .cache_bytes = DraftModel::kCacheBytes,
                  .reserved = options.reserved,
                  .progress = options.progress};
  auto runner = Runner::load(options.draft_path, own);
  if (runner) options.reserved += model::sizes((*runner)->mutable_model()).bytes + DraftModel::kCacheBytes;
  return runner;
}

Result<std::shared_ptr<DraftModel>> make_draft_model(std::unique_ptr<Runner> runner, const std::string& path,
                                                     const tokens::Tokenizer& tokenizer) {
  const auto own = tokenizer_of(*runner, path);
  if (!own) return std::unexpected(own.error());
  if (const auto id = first_difference(*own, tokenizer))
    return fail("{}: token {} is \"{}\", but \"{}\" in the model that it is to guess for: they need one tokenizer",
                path, *id, own->bytes(*id), tokenizer.bytes(*id));
  return DraftModel::make(std::move(runner));
}

}  // namespace

std::string model_name_of(const std::string& path) {
  std::filesystem::path p = std::filesystem::path(path).lexically_normal();
  if (p.filename().empty()) p = p.parent_path();
  return p.extension() == ".gguf" ? p.stem().string() : p.filename().string();
}

Result<tokens::Tokenizer> load_tokenizer(const std::string& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) return tokens::Tokenizer::from_directory(path);
  auto gguf = files::Gguf::open(path);
  if (!gguf) return std::unexpected(gguf.error());
  return tokens::Tokenizer::from_gguf(*gguf);
}

Result<std::unique_ptr<LoadedModel>> load_model(const std::string& path, LoadOptions options) {
  std::unique_ptr<Runner> draft;
  if (!options.draft_path.empty()) {
    auto loaded = load_draft_runner(options);
    if (!loaded) return std::unexpected(loaded.error());
    draft = std::move(*loaded);
  }
  auto runner = Runner::load(path, options);
  if (!runner) return std::unexpected(runner.error());
  const weights::Checkpoint& checkpoint = (*runner)->checkpoint();
  auto tokenizer = tokenizer_of(**runner, path);
  if (!tokenizer) return std::unexpected(tokenizer.error());
  const std::int64_t vocabulary = (*runner)->model().config().vocabulary;
  if (tokenizer->vocabulary_size() > vocabulary)
    return fail("{}: the tokenizer has ids up to {}, but the model knows {} tokens: they do not belong together", path,
                tokenizer->vocabulary_size() - 1, vocabulary);
  if (draft) {
    auto made = make_draft_model(std::move(draft), options.draft_path, *tokenizer);
    if (!made) return std::unexpected(made.error());
    options.engine.draft = std::move(*made);
  }
  auto chat_template = tokens::ChatTemplate::for_tokenizer(*tokenizer);
  // Such a model still continues texts; whoever wants a chat of it is told why not.
  if (!chat_template) chat_template = tokens::ChatTemplate::none(chat_template.error().message);
  auto settings = recommended(checkpoint);
  if (!settings) return std::unexpected(settings.error());
  settings->sampling.seed = options.seed;
  auto model =
      std::make_unique<LoadedFiles>(options.name.empty() ? model_name_of(path) : options.name, std::move(*runner),
                                    std::move(*tokenizer), std::move(*chat_template), std::move(*settings));
  if (auto started = model->start(options.engine); !started) return std::unexpected(started.error());
  return model;
}

const grammar::Compiler& LoadedModel::grammars() const {
  std::call_once(grammars_once_, [this] {
    grammars_ = std::make_unique<grammar::Compiler>(tokenizer(), stop_tokens(), chat_template().tool_syntax());
  });
  return *grammars_;
}

}  // namespace fathom::engine
