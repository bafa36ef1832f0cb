#include "files/local_models.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <set>

#include "files/file_name.h"
#include "files/json.h"

namespace fathom::files {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostEntries = 20'000;  // of a folder looked through; a model has a few hundred

// The files below a folder as if the hub had listed them, two levels deep (quants in folders of their own).
HubListing local_listing(const std::string& folder) {
  HubListing listing;
  std::error_code problem;
  const auto options = fs::directory_options::skip_permission_denied;
  std::size_t seen = 0;
  for (auto at = fs::recursive_directory_iterator(folder, options, problem);
       !problem && at != fs::recursive_directory_iterator() && ++seen <= kMostEntries; at.increment(problem)) {
    if (at.depth() >= 1) at.disable_recursion_pending();
    std::error_code unreadable;
    if (!at->is_regular_file(unreadable) || unreadable) continue;  // follows links: a cache is made of them
    const std::string path = at->path().lexically_relative(folder).generic_string();
    const auto size = at->file_size(unreadable);
    if (!unreadable && is_plain_relative_path(path)) listing.files.push_back({path, {.hex = {}, .bytes = size}});
  }
  std::ranges::sort(listing.files, {}, &HubFile::path);
  return listing;
}

// Whether the shards among these files are all of their set: "model-00002-of-00004.safetensors".
bool shards_complete(const std::vector<HubFile>& files) {
  std::size_t shards = 0, said = 0;
  for (const auto& file : files) {
    const std::string_view path = file.path;
    constexpr std::string_view kEnding = "-of-00001.safetensors";
    if (!path.ends_with(".safetensors") || path.size() < kEnding.size()) continue;
    const auto ending = path.substr(path.size() - kEnding.size());
    const auto digits = ending.substr(4, 5);
    if (!ending.starts_with("-of-") || digits.find_first_not_of("0123456789") != std::string_view::npos) continue;
    ++shards;
    said = std::stoul(std::string(digits));
  }
  return shards == said;
}

std::string first_line(const fs::path& path) {
  std::ifstream in(path);
  std::string line;
  std::getline(in, line);
  return line;
}

fs::path cache_folder(const Places& places, const HubName& name) {
  return fs::path(places.hugging_face) / fmt::format("models--{}--{}", name.owner, name.repo);
}

// The folder of a revision in Hugging Face's cache: refs/main holds the commit, snapshots/COMMIT the files.
std::optional<std::string> snapshot(const Places& places, const HubName& name) {
  if (places.hugging_face.empty()) return std::nullopt;
  const fs::path cache = cache_folder(places, name);
  const std::string commit = is_hex(name.revision, 40) ? name.revision : first_line(cache / "refs" / name.revision);
  if (!is_hex(commit, 40)) return std::nullopt;
  const fs::path folder = cache / "snapshots" / commit;
  std::error_code problem;
  return fs::is_directory(folder, problem) ? std::optional(folder.string()) : std::nullopt;
}

// The model layer of one of Ollama's manifests, if its file is there whole.
std::optional<std::string> ollama_blob(const Places& places, const fs::path& manifest) {
  std::error_code problem;
  if (!fs::is_regular_file(manifest, problem)) return std::nullopt;
  const auto json = read_json(manifest.string(), {.bytes = 1 << 20, .depth = 16});
  if (!json || !json->is_object() || !json->contains("layers") || !(*json)["layers"].is_array()) return std::nullopt;
  for (const auto& layer : (*json)["layers"]) {
    if (!layer.is_object() || layer.value("mediaType", Json()) != "application/vnd.ollama.image.model") continue;
    const Json digest = layer.value("digest", Json()), size = layer.value("size", Json());
    if (!digest.is_string() || !size.is_number_unsigned()) continue;
    const auto& text = digest.get_ref<const std::string&>();
    if (!text.starts_with("sha256:") || !is_hex(std::string_view(text).substr(7), 64)) continue;
    const fs::path blob = fs::path(places.ollama) / "blobs" / ("sha256-" + text.substr(7));
    if (fs::file_size(blob, problem) == size.get<std::uint64_t>() && !problem) return blob.string();
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::string> model_in_folder(const std::string& folder, const HubName& name) {
  std::error_code problem;
  if (!fs::is_directory(folder, problem)) return std::nullopt;
  const auto chosen = choose_files(local_listing(folder), name);
  if (!chosen || chosen->empty()) return std::nullopt;
  const auto& first = chosen->front().path;
  if (first.ends_with(".gguf")) return (fs::path(folder) / first).string();
  const bool configured = std::ranges::find(*chosen, "config.json", &HubFile::path) != chosen->end();
  return configured && shards_complete(*chosen) ? std::optional(folder) : std::nullopt;
}

std::optional<std::string> find_with_others(const Places& places, const HubName& name) {
  if (const auto folder = snapshot(places, name)) {
    if (auto path = model_in_folder(*folder, name)) return path;
  }
  // The others hold no revisions but what was newest then.
  if (name.revision != "main") return std::nullopt;
  for (const auto& models : places.lm_studio) {
    if (auto path = model_in_folder((fs::path(models) / name.owner / name.repo).string(), name)) return path;
  }
  if (!places.ollama.empty() && !name.choice.empty() && is_plain_file_name(name.choice)) {
    return ollama_blob(places, fs::path(places.ollama) / "manifests" / "hf.co" / name.owner / name.repo / name.choice);
  }
  return std::nullopt;
}

std::string find_file_with_others(const Places& places, const HubName& name, const HubFile& file) {
  std::error_code problem;
  const auto is_it = [&](const fs::path& path) { return fs::file_size(path, problem) == file.bytes() && !problem; };
  if (!places.hugging_face.empty()) {
    const fs::path blob = cache_folder(places, name) / "blobs" / file.digest.hex;
    if (is_it(blob)) return blob.string();
  }
  if (!places.ollama.empty() && !file.digest.is_git()) {
    const fs::path blob = fs::path(places.ollama) / "blobs" / ("sha256-" + file.digest.hex);
    if (is_it(blob)) return blob.string();
  }
  for (const auto& models : places.lm_studio) {
    for (const auto& path : {fs::path(file.path), fs::path(file.name())}) {
      const fs::path found = fs::path(models) / name.owner / name.repo / path;
      if (is_it(found)) return found.string();
    }
  }
  return {};
}

std::optional<std::string> find_with_ollama(const Places& places, std::string_view model) {
  const auto colon = model.find(':');
  const auto name = model.substr(0, colon);
  const auto tag = colon == model.npos ? std::string_view("latest") : model.substr(colon + 1);
  if (places.ollama.empty() || !is_plain_file_name(name) || !is_plain_file_name(tag)) return std::nullopt;
  return ollama_blob(places, fs::path(places.ollama) / "manifests" / "registry.ollama.ai" / "library" / name / tag);
}

std::uint64_t model_bytes(const std::string& path) {
  std::error_code problem;
  if (fs::is_directory(path, problem)) {
    std::uint64_t bytes = 0;
    for (const auto& file : local_listing(path).files) bytes += file.bytes();
    return bytes;
  }
  const fs::path file(path);
  const std::string folder = file.has_parent_path() ? file.parent_path().string() : ".";
  const auto set = choose_files(local_listing(folder), {.owner = {}, .repo = {}, .choice = file.filename().string()});
  std::uint64_t bytes = 0;
  if (set)
    for (const auto& part : *set) bytes += part.bytes();
  if (bytes == 0) bytes = fs::file_size(path, problem);
  return problem ? 0 : bytes;
}

namespace {

std::vector<fs::path> entries(const fs::path& folder) {
  std::vector<fs::path> found;
  std::error_code problem;
  for (auto at = fs::directory_iterator(folder, problem); !problem && at != fs::directory_iterator();
       at.increment(problem)) {
    if (is_plain_file_name(at->path().filename().string())) found.push_back(at->path());
    if (found.size() >= kMostEntries) break;
  }
  std::ranges::sort(found);
  return found;
}

void add(std::vector<LocalModel>& models, std::string name, std::optional<std::string> path, std::string_view holder) {
  if (path) models.push_back({std::move(name), *path, model_bytes(*path), std::string(holder)});
}

}  // namespace

std::vector<LocalModel> list_with_others(const Places& places) {
  std::vector<LocalModel> models;
  if (!places.hugging_face.empty()) {
    for (const auto& folder : entries(places.hugging_face)) {
      std::string id = folder.filename().string();  // "models--owner--repo"; neither half has a "--" in it
      if (!id.starts_with("models--")) continue;
      id = id.substr(8);
      if (const auto dashes = id.find("--"); dashes != id.npos) id.replace(dashes, 2, "/");
      const auto name = parse_hub_name(id);
      const auto snapshot_folder = name ? snapshot(places, *name) : std::nullopt;
      if (snapshot_folder) add(models, name->text(), model_in_folder(*snapshot_folder, *name), "Hugging Face");
    }
  }
  for (const auto& root : places.lm_studio)
    for (const auto& owner : entries(root))
      for (const auto& repo : entries(owner)) {
        const auto name = parse_hub_name(owner.filename().string() + "/" + repo.filename().string());
        if (name) add(models, name->text(), model_in_folder(repo.string(), *name), "LM Studio");
      }
  if (!places.ollama.empty()) {
    for (const auto& model : entries(fs::path(places.ollama) / "manifests" / "registry.ollama.ai" / "library"))
      for (const auto& tag : entries(model)) {
        const std::string name = model.filename().string() + ":" + tag.filename().string();
        add(models, std::string(kOllamaPrefix) + name, ollama_blob(places, tag), "Ollama");
      }
  }
  return models;
}

}  // namespace fathom::files
