// From the words of the command line to a model, its settings and its input.
#include <unistd.h>

#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>

#include "apps/commands.h"
#include "files/in_quotes.h"
#include "files/json.h"
#include "files/model_store.h"

namespace fathom::apps {

using base::fail;
using base::Result;

namespace {

// "loading 43 %" on a terminal, once loading has taken a second.
class LoadLine {
 public:
  void operator()(double share) {
    if (isatty(STDERR_FILENO) == 0 || std::chrono::steady_clock::now() - start_ < std::chrono::seconds(1)) return;
    const int percent = static_cast<int>(share * 100);
    if (percent == shown_) return;
    shown_ = percent;
    fmt::print(stderr, "\r\033[Kloading {} %{}", percent, percent == 100 ? "\r\033[K" : "");
    std::fflush(stderr);
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  int shown_ = -1;
};

}  // namespace

engine::LoadOptions load_options(const ModelFlags& flags) {
  return {.threads = flags.threads,
          .context = flags.context,
          .cache_type = flags.cache_type,
          .cache_bytes = flags.cache_memory,
          .prefill_cell = flags.prefill_cell,
          .seed = flags.seed ? engine::chosen_seed(*flags.seed) : 0,
          .note = [](const std::string& line) { fmt::print(stderr, "fathom: {}\n", line); },
          .progress = LoadLine()};
}

engine::SamplingOptions apply(const SamplingFlags& flags, engine::SamplingOptions sampling) {
  const auto set = [](auto& to, const auto& from) {
    if (from) to = *from;
  };
  set(sampling.temperature, flags.temperature);
  set(sampling.top_p, flags.top_p);
  set(sampling.min_p, flags.min_p);
  set(sampling.top_k, flags.top_k);
  set(sampling.repetition_penalty, flags.repetition_penalty);
  set(sampling.frequency_penalty, flags.frequency_penalty);
  set(sampling.presence_penalty, flags.presence_penalty);
  return sampling;
}

void say_context(const ModelFlags& flags, int context) {
  if (flags.context == 0) fmt::print(stderr, "context: {} tokens\n", context);
}

Result<std::string> resolve_model(const std::string& model) {
  auto store = files::ModelStore::from_environment();
  if (!store) return std::unexpected(store.error());
  return model.empty() ? store->default_model() : store->resolve(model);
}

Result<std::unique_ptr<engine::LoadedModel>> open_model(const ModelFlags& flags, engine::EngineOptions engine_options) {
  auto path = resolve_model(flags.model);
  if (!path) return std::unexpected(path.error());
  engine::LoadOptions options = load_options(flags);
  options.engine = std::move(engine_options);
  if (!flags.draft.empty()) {
    auto draft = resolve_model(flags.draft);
    if (!draft) return std::unexpected(draft.error());
    options.draft_path = std::move(*draft);
  }
  return engine::load_model(*path, options);
}

Result<std::string> read_text(const std::string& path) {
  if (path == "-") return std::string(std::istreambuf_iterator<char>(std::cin), {});
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) return fail("{}: is a directory, expected a file", path);
  std::ifstream in(path, std::ios::binary);
  if (!in) return fail("{}: cannot be read: {}", path, std::generic_category().message(errno));
  std::string text(std::istreambuf_iterator<char>(in), {});
  if (in.bad()) return fail("{}: reading failed", path);
  return text;
}

namespace {

// The JSON array that `tokenize` prints.
Result<std::vector<tokens::TokenId>> ids_of_array(std::string_view text, const std::string& name) {
  const auto array = files::parse_json(text, name);
  if (!array) return std::unexpected(array.error());
  std::vector<tokens::TokenId> ids;
  for (const auto& item : *array) {
    const std::int64_t id = item.is_number_integer() ? item.get<std::int64_t>() : -1;
    if (id < 0 || id > INT32_MAX)
      return fail("{}: {} is no token id, expected whole numbers", name, files::in_quotes(item.dump(), 40));
    ids.push_back(static_cast<tokens::TokenId>(id));
  }
  return ids;
}

}  // namespace

Result<std::vector<tokens::TokenId>> parse_ids(std::string_view text, const std::string& name) {
  constexpr std::string_view kBetween = " \t\r\n,";
  if (const auto first = text.find_first_not_of(kBetween); first != text.npos && text[first] == '[') {
    return ids_of_array(text, name);
  }
  std::vector<tokens::TokenId> ids;
  for (std::size_t at = text.find_first_not_of(kBetween); at != std::string_view::npos;
       at = text.find_first_not_of(kBetween, at)) {
    const std::size_t end = std::min(text.find_first_of(kBetween, at), text.size());
    tokens::TokenId id = 0;
    const auto [stop, error] = std::from_chars(text.data() + at, text.data() + end, id);
    if (error != std::errc{} || stop != text.data() + end)
      return fail("{}: \"{}\" is no token id, expected whole numbers separated by white space", name,
                  text.substr(at, std::min<std::size_t>(end - at, 40)));
    ids.push_back(id);
    at = end;
  }
  return ids;
}

}  // namespace fathom::apps
