#include "files/model_store.h"

#include <algorithm>
#include <filesystem>
#include <numeric>

#include "files/file_name.h"
#include "files/folder_lock.h"
#include "files/in_quotes.h"
#include "files/pull_record.h"
#include "files/size_text.h"

namespace fathom::files {
namespace {

using base::fail;
using base::Result;
namespace fs = std::filesystem;

bool looks_like_path(std::string_view model) {
  return model.find('/') != model.npos || model.ends_with(".gguf") || model.ends_with(".safetensors") || model == "." ||
         model == "..";
}

// The store's folder of a model of the hub. Neither "=" nor "," can stand in a revision or a choice, so two different
// names never share one.
std::string hub_folder(const HubName& name) {
  std::string folder = name.owner + "--" + name.repo;
  if (name.revision != "main") folder += "@" + name.revision;
  if (!name.choice.empty()) folder += "=" + name.choice;
  std::ranges::replace(folder, '/', ',');
  return folder;
}

// A folder that only this program, and the script that fetches the default model, put files into.
std::optional<std::string> open_folder(const std::string& folder) {
  return model_in_folder(folder, {});
}

constexpr const char* kScriptAdvice = "`./run` (or scripts/fetch_default_model.sh) fetches it";

// What is open to MODEL as a path. A folder that holds a GGUF file and no model of its own is most likely a slip.
Result<std::string> openable(const std::string& path) {
  std::error_code problem;
  const auto has = [&](const char* name) { return fs::exists(fs::path(path) / name, problem); };
  if (!fs::is_directory(path, problem) || has("config.json") || has("tokenizer.json")) return path;
  for (auto at = fs::directory_iterator(path, problem); !problem && at != fs::directory_iterator();
       at.increment(problem)) {
    const std::string name = at->path().filename().string();
    if (name.ends_with(".gguf")) return fail("{}: holds {}: name that file", path, in_quotes(name));
  }
  return path;
}

bool begun(const std::string& folder) {
  std::error_code problem;
  return fs::is_directory(folder, problem);
}

}  // namespace

Result<ModelStore> ModelStore::from_environment() {
  auto places = Places::from_environment();
  if (!places) return std::unexpected(places.error());
  return ModelStore(std::move(*places));
}

Result<ModelStore::Named> ModelStore::find_name(const std::string& model) const {
  if (model.starts_with("hf:")) {
    auto hub = parse_hub_name(model);
    if (!hub) return std::unexpected(hub.error());
    hub->choice = spelled_choice(hub->choice);
    const std::string folder = hub_folder(*hub);
    return Named{.name = hub->text(), .folder = folder, .hub = std::move(*hub)};
  }
  const auto colon = model.find(':');
  const std::string word = model.substr(0, colon);
  std::string choice = colon == model.npos ? std::string() : spelled_choice(model.substr(colon + 1));
  if (const auto* entry = find_in_catalog(word)) {
    if (choice == entry->quant) choice.clear();
    auto hub = entry->hub_name(choice);
    if (!hub || (!choice.empty() && !is_plain_file_name(choice))) {
      return fail("{}: after the colon expected a quant such as Q8_0, or \"safetensors\"", in_quotes(model));
    }
    const std::string folder = choice.empty() ? word : word + "--" + choice;
    const std::string name = choice.empty() ? word : word + ":" + choice;
    return Named{.name = name, .folder = folder, .hub = std::move(*hub), .entry = entry, .choice = choice};
  }
  if (is_plain_file_name(model) && begun(places_.models() + "/" + model)) return Named{.name = model, .folder = model};
  return unknown(model);
}

std::optional<std::string> ModelStore::find_here(const Named& named) const {
  if (auto path = open_folder(places_.models() + "/" + named.folder)) return path;
  return find_outside(named);
}

std::optional<std::string> ModelStore::find_outside(const Named& named) const {
  if (!named.hub) return std::nullopt;
  if (auto path = find_with_others(places_, *named.hub)) return path;
  if (named.entry != nullptr && named.choice.empty() && !named.entry->ollama.empty()) {
    return find_with_ollama(places_, named.entry->ollama);
  }
  return std::nullopt;
}

Result<std::string> ModelStore::resolve(const std::string& model) const {
  std::error_code problem;
  const bool is_path = !model.starts_with("hf:") && !model.starts_with(kOllamaPrefix) && looks_like_path(model);
  if (is_path && fs::exists(model, problem)) return openable(model);
  if (is_path) {
    const auto hub = parse_hub_name(model);
    const bool could_be_hub = hub && model.find('/') != model.npos && !model.ends_with(".gguf");
    return fail("{}: there is no such file or folder{}", model,
                could_be_hub ? fmt::format("; for the hub's write hf:{}", model) : std::string());
  }
  if (model.starts_with(kOllamaPrefix)) {
    if (auto path = find_with_ollama(places_, std::string_view(model).substr(kOllamaPrefix.size()))) return *path;
    return fail("{}: Ollama holds no such model here; `fathom list` names those that it does", in_quotes(model));
  }
  const auto named = find_name(model);
  if (!named && !model.starts_with("hf:") && fs::exists(model, problem)) return openable(model);
  if (!named) return std::unexpected(named.error());
  if (auto path = find_here(*named)) return *path;
  if (named->from_script()) return fail("{} is not on this machine: {}", named->name, kScriptAdvice);
  const std::string folder = places_.models() + "/" + named->folder;
  if (!named->hub) return fail("{}: holds no whole model", folder);
  const auto size = named->entry != nullptr && named->choice.empty()
                        ? fmt::format(" ({})", size_text(named->entry->bytes))
                        : std::string();
  if (begun(folder)) return fail("{} is here only in part: `fathom pull {}` gets the rest", named->name, named->name);
  return fail("{} is not on this machine: `fathom pull {}` gets it{}", named->name, named->name, size);
}

std::vector<LocalModel> ModelStore::list() const {
  std::vector<LocalModel> models;
  std::error_code problem;
  std::vector<fs::path> folders;
  for (auto at = fs::directory_iterator(places_.models(), problem); !problem && at != fs::directory_iterator();
       at.increment(problem)) {
    folders.push_back(at->path());
  }
  std::ranges::sort(folders);
  for (const auto& folder : folders) {
    const auto path = open_folder(folder.string());
    if (!path) continue;
    std::string name = folder.filename().string();
    if (const auto record = read_record(folder.string())) {
      const auto named = find_name(record->name);
      if (named && named->folder == name) name = record->name;
    }
    models.push_back({name, *path, model_bytes(*path), "fathom"});
  }
  for (auto& other : list_with_others(places_)) models.push_back(std::move(other));
  return models;
}

Result<std::string> ModelStore::pull(const std::string& model, const PullOptions& options) const {
  const auto named = find_name(model);
  if (!named) return std::unexpected(named.error());
  if (!named->hub) return fail("{}: is in the store, but came from nowhere known: it cannot be pulled", model);
  const std::string folder = places_.models() + "/" + named->folder;
  // A branch may have moved on, and only the hub knows; but what has no name at the hub's is complete as it is, and
  // what another program holds is that one's to renew.
  const auto own = open_folder(folder);
  if (own && named->from_script()) return *own;
  const auto outside = own || named->entry == nullptr ? std::nullopt : find_outside(*named);
  if (outside) return *outside;
  if (named->from_script()) return fail("{} does not come from the hub: {}", named->name, kScriptAdvice);

  if (options.progress) options.progress({.phase = PullProgress::Phase::kConnecting, .file = options.access.endpoint});
  auto listing = list_files(options.access, *named->hub, options.stop);
  if (!listing) return std::unexpected(listing.error());
  auto files = choose_files(*listing, *named->hub);
  if (!files) return std::unexpected(files.error());
  const Download request{
      .access = options.access,
      .name = *named->hub,
      .shown_name = named->name,
      .commit = listing->commit,
      .files = std::move(*files),
      .folder = folder,
      .find_here = [&](const HubFile& file) { return find_file_with_others(places_, *named->hub, file); },
      .progress = options.progress,
      .stop = options.stop};
  if (auto done = download(request); !done) return base::fail_with(named->name, done.error());
  const auto path = open_folder(folder);
  if (!path && request.files.size() == 1 && request.files[0].path == named->hub->choice) {
    return folder + "/" + std::string(request.files[0].name());  // one file, asked for by its name, need be no model
  }
  if (!path) return fail("{}: the files are here, but are no model that can be opened: {}", named->name, folder);
  return *path;
}

Result<std::uint64_t> ModelStore::remove(const std::string& model) const {
  const auto named =
      looks_like_path(model) && !model.starts_with("hf:") ? Result<Named>(unknown(model)) : find_name(model);
  if (!named) return std::unexpected(named.error());
  const std::string folder = places_.models() + "/" + named->folder;
  std::error_code problem;
  if (!fs::is_directory(fs::symlink_status(folder, problem))) {
    if (const auto path = find_here(*named)) {
      return fail("{} is not in the store but at {}: remove it with the program that holds it", named->name, *path);
    }
    return fail("{} is not on this machine", named->name);
  }
  const auto lock = FolderLock::try_lock(folder);
  if (!lock) return std::unexpected(lock.error());
  if (!*lock) return fail("{} is being pulled by another program: stop that first", named->name);
  std::uint64_t bytes = 0;
  for (auto at = fs::recursive_directory_iterator(folder, problem);
       !problem && at != fs::recursive_directory_iterator(); at.increment(problem)) {
    std::error_code ignored;
    if (fs::is_regular_file(at->symlink_status(ignored))) bytes += at->file_size(ignored);
  }
  fs::remove_all(folder, problem);
  if (problem) return fail("{}: cannot be removed: {}", folder, problem.message());
  return bytes;
}

Result<std::string> ModelStore::default_model() const {
  for (const auto& entry : catalog())
    if (entry.is_default)
      if (auto path = resolve(entry.name)) return path;
  const auto here = list();
  if (!here.empty()) return here.front().path;
  return fail(
      "there is no model on this machine yet: `fathom pull r1-distill-qwen-1.5b` gets one, `fathom list` names more");
}

std::unexpected<base::Error> ModelStore::unknown(const std::string& model) const {
  std::vector<std::string> names;
  for (const auto& entry : catalog()) names.push_back(entry.name);
  std::error_code problem;
  for (auto at = fs::directory_iterator(places_.models(), problem); !problem && at != fs::directory_iterator();
       at.increment(problem)) {
    names.push_back(at->path().filename().string());
  }
  const std::string word = model.substr(0, model.find(':'));
  if (const auto near = nearest_name(word, names)) {
    return fail("{}: no such model; did you mean {}?", in_quotes(model), in_quotes(*near));
  }
  return fail("{}: no such model, file or folder; `fathom list` names the models", in_quotes(model));
}

std::optional<std::string> nearest_name(std::string_view word, const std::vector<std::string>& names) {
  // Optimal string alignment: insertions, deletions, changes, and swaps of neighbours.
  const auto distance = [&](std::string_view other) {
    std::vector<std::vector<std::size_t>> d(word.size() + 1, std::vector<std::size_t>(other.size() + 1));
    for (std::size_t i = 0; i <= word.size(); ++i) d[i][0] = i;
    std::iota(d[0].begin(), d[0].end(), std::size_t{0});
    for (std::size_t i = 1; i <= word.size(); ++i)
      for (std::size_t j = 1; j <= other.size(); ++j) {
        const bool same = word[i - 1] == other[j - 1];
        d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (same ? 0 : 1)});
        if (i > 1 && j > 1 && word[i - 1] == other[j - 2] && word[i - 2] == other[j - 1]) {
          d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
        }
      }
    return d[word.size()][other.size()];
  };
  if (word.empty() || word.size() > 128) return std::nullopt;
  const std::size_t most = word.size() < 5 ? 1 : 2;
  std::optional<std::string> best;
  std::size_t least = most + 1;
  for (const auto& name : names) {
    const std::size_t away = distance(name);
    if (away >= least) continue;
    least = away;
    best = name;
  }
  return best;
}

}  // namespace fathom::files
