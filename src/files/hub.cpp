#include "files/hub.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdlib>
#include <map>
#include <set>

#include "files/file_name.h"
#include "files/http.h"
#include "files/in_quotes.h"
#include "files/json.h"
#include "files/retry.h"

namespace fathom::files {
namespace {

using base::fail;
using base::Result;

constexpr std::size_t kLongestListing = std::size_t{64} << 20;
constexpr std::size_t kMostFiles = 100'000;

std::string upper(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return out;
}

std::string percent_encoded(std::string_view path) {
  std::string out;
  for (const char c : path) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) != 0 || std::string_view("-_.~/").find(c) != std::string_view::npos) {
      out += c;
    } else {
      out += fmt::format("%{:02X}", byte);
    }
  }
  return out;
}

base::Error refusal(const HubAccess& access, const HubName& name, const HttpResponse& head) {
  const std::string what = fmt::format("{} at '{}'", in_quotes(name.repo_id()), name.revision);
  const std::string words = head.error_message.empty() ? "" : fmt::format(" ({})", in_quotes(head.error_message, 160));
  if (head.status == 401 || head.status == 403) {
    const char* advice = access.token.empty()
                             ? "if it is, accept its terms on its page and set HF_TOKEN to a token of yours"
                             : "HF_TOKEN does not open it: accept its terms on its page, or use another token";
    return {fmt::format("{}: the hub refuses{}: it may not exist, be private or gated; {}", what, words, advice)};
  }
  if (head.status == 404) {
    return {fmt::format("{}: the hub knows no such repository or revision{}: check the spelling", what, words)};
  }
  return {fmt::format("{}: the hub answers with status {}{}", what, head.status, words)};
}

// A file's entry; empty path: a file of no use here (no plain name, no size).
Result<HubFile> read_file_entry(const Json& entry) {
  HubFile file;
  const Json* path = member(entry, "rfilename");
  if (path == nullptr || !path->is_string()) return fail("an entry without a file name");
  const auto& text = path->get_ref<const std::string&>();
  if (("/" + text + "/").find("/../") != std::string::npos || text.starts_with('/')) {
    return fail("the file name {} walks out of its folder", in_quotes(text));
  }
  const Json* size = member(entry, "size");
  const Json* blob = member(entry, "blobId");
  const Json* lfs = member(entry, "lfs");
  const Json* sha256 = lfs == nullptr ? nullptr : member(*lfs, "sha256");
  if (!is_plain_relative_path(text) || size == nullptr || !size->is_number_unsigned()) return file;
  file.digest.bytes = size->get<std::uint64_t>();
  if (sha256 != nullptr && sha256->is_string() && is_hex(sha256->get_ref<const std::string&>(), 64)) {
    file.digest.hex = sha256->get<std::string>();
  } else if (lfs == nullptr && blob != nullptr && blob->is_string() &&
             is_hex(blob->get_ref<const std::string&>(), 40)) {
    file.digest.hex = blob->get<std::string>();
  } else {
    return fail("no digest for the file {}", in_quotes(text));
  }
  file.path = text;
  return file;
}

// "dir/model" of "dir/model-00002-of-00005.gguf"; the whole name of a file that is no part.
std::string set_of(std::string_view path) {
  constexpr std::size_t kTail = std::string_view("-00001-of-00005.gguf").size();
  if (path.size() > kTail && path.ends_with(".gguf")) {
    const auto tail = path.substr(path.size() - kTail);
    const auto digits = [&](std::size_t at) {
      return std::ranges::all_of(tail.substr(at, 5), [](unsigned char c) { return std::isdigit(c) != 0; });
    };
    if (tail[0] == '-' && digits(1) && tail.substr(6, 4) == "-of-" && digits(10)) {
      return std::string(path.substr(0, path.size() - kTail));
    }
  }
  return std::string(path);
}

using Sets = std::map<std::string, std::vector<HubFile>>;

// GGUF models of a repository: sets by their stem. Projectors and importance matrices are no models.
Sets gguf_sets(const HubListing& listing) {
  Sets sets;
  for (const auto& file : listing.files) {
    const std::string name = upper(file.name());
    if (!name.ends_with(".GGUF") || name.find("MMPROJ") != name.npos || name.find("IMATRIX") != name.npos) continue;
    sets[set_of(file.path)].push_back(file);
  }
  for (auto& [stem, files] : sets) std::ranges::sort(files, {}, &HubFile::path);
  return sets;
}

Result<std::vector<HubFile>> whole_set(const std::vector<HubFile>& files) {
  const auto& first = files.front().path;
  if (set_of(first) == first) return files;
  const auto said = std::stoul(first.substr(first.size() - std::string_view("00005.gguf").size(), 5));
  if (said != files.size()) {
    return fail("{}: the hub has {} of the {} parts", in_quotes(set_of(first)), files.size(), said);
  }
  return files;
}

std::string list_quants(const Sets& sets) {
  std::set<std::string> quants;
  for (const auto& [stem, files] : sets) {
    const std::string quant = quant_of(files.front().name());
    quants.insert(quant.empty() ? files.front().path : quant);
  }
  return fmt::format("{}", fmt::join(quants, ", "));
}

Result<std::vector<HubFile>> choose_quant(const Sets& sets, const HubName& name) {
  std::vector<const std::vector<HubFile>*> found;
  for (const auto& [stem, files] : sets)
    if (quant_of(files.front().name()) == upper(name.choice)) found.push_back(&files);
  if (found.size() == 1) return whole_set(*found[0]);
  if (found.empty()) {
    return fail("{}: no file or quant {}; there are: {}", in_quotes(name.repo_id()), in_quotes(name.choice),
                sets.empty() ? "no GGUF files" : list_quants(sets));
  }
  return fail("{}: {} models are {}: give a file's path after the colon, for instance {}", in_quotes(name.repo_id()),
              found.size(), name.choice, found[0]->front().path);
}

// The quant that suits most machines first: the best quality for about half a byte a weight.
Result<std::vector<HubFile>> preferred_quant(const Sets& sets, const HubName& name) {
  constexpr std::array kPreferred{"Q4_K_M", "Q4_K_S", "UD-Q4_K_XL", "IQ4_XS", "Q4_0",
                                  "Q4_1",   "Q5_K_M", "Q8_0",       "BF16",   "F16"};
  if (sets.size() == 1) return whole_set(sets.begin()->second);
  for (const char* quant : kPreferred) {
    std::vector<const std::vector<HubFile>*> found;
    for (const auto& [stem, files] : sets)
      if (quant_of(files.front().name()) == quant) found.push_back(&files);
    if (found.size() == 1) return whole_set(*found[0]);
    if (found.size() > 1) break;
  }
  return fail("{}: several models; choose one with hf:{}:QUANT; there are: {}", in_quotes(name.repo_id()),
              name.repo_id(), list_quants(sets));
}

bool belongs_beside(std::string_view path) {
  constexpr std::array kNames{"tokenizer.model", "merges.txt",    "vocab.txt", "LICENSE",
                              "LICENSE.txt",     "LICENSE-MODEL", "README.md"};
  return path.ends_with(".json") || path.ends_with(".jinja") || std::ranges::find(kNames, path) != kNames.end();
}

// The safetensors of the repository's top folder and what stands beside them; empty where there are none.
std::vector<HubFile> safetensors_set(const HubListing& listing) {
  const auto has = [&](std::string_view path) {
    return std::ranges::find(listing.files, path, &HubFile::path) != listing.files.end();
  };
  // One model in several forms (consolidated.safetensors beside shards): the form that the readers look for first.
  const bool single = has("model.safetensors"), sharded = !single && has("model.safetensors.index.json");
  std::vector<HubFile> chosen;
  bool weights = false;
  for (const auto& file : listing.files) {
    if (file.path.find('/') != std::string::npos) continue;
    const bool tensors = file.path.ends_with(".safetensors");
    const bool wanted =
        !tensors || (single ? file.path == "model.safetensors" : !sharded || file.path.starts_with("model-"));
    if (!(tensors && wanted) && !belongs_beside(file.path)) continue;
    weights |= tensors;
    chosen.push_back(file);
  }
  return weights ? chosen : std::vector<HubFile>();
}

}  // namespace

Result<HubAccess> HubAccess::from_environment() {
  HubAccess access;
  if (const char* endpoint = std::getenv("HF_ENDPOINT"); endpoint != nullptr && *endpoint != '\0') {
    access.endpoint = endpoint;
    while (access.endpoint.ends_with('/')) access.endpoint.pop_back();
    if (!access.endpoint.starts_with("https://") && !access.endpoint.starts_with("http://")) {
      return fail("HF_ENDPOINT is {}, expected an address that begins with https://", in_quotes(access.endpoint));
    }
  }
  if (const char* token = std::getenv("HF_TOKEN"); token != nullptr) access.token = token;
  if (access.token.find_first_of("\r\n") != std::string::npos) return fail("HF_TOKEN holds a line break: set it anew");
  if (!access.token.empty() && !is_private_enough(access.endpoint)) {
    return fail("HF_TOKEN would go to {} in the clear: use https, or unset HF_TOKEN", in_quotes(access.endpoint));
  }
  return access;
}

Result<HubListing> list_files(const HubAccess& access, const HubName& name, std::stop_token stop) {
  const HttpRequest request{.url = fmt::format("{}/api/models/{}/revision/{}?blobs=true", access.endpoint,
                                               name.repo_id(), percent_encoded(name.revision)),
                            .bearer = access.token,
                            .stop = stop,
                            .stall_seconds = access.stall_seconds};
  Retry retry(access.attempts, access.first_pause_ms);
  for (;;) {
    const auto document = http_get_text(request, kLongestListing);
    if (document && document->head.status == 200) return parse_listing(document->text, name);
    if (document && !is_passing_status(document->head.status)) {
      return std::unexpected(refusal(access, name, document->head));
    }
    if (!document && !document.error().retry) return fail("{}", document.error().message);
    if (retry.wait(document ? document->head.retry_after_seconds : 0, stop)) continue;
    if (stop.stop_requested()) return fail("stopped");
    if (document) return std::unexpected(refusal(access, name, document->head));
    return fail(
        "{}: the hub cannot be reached: set HTTPS_PROXY if this machine needs a proxy, or HF_ENDPOINT to a mirror",
        document.error().message);
  }
}

Result<HubListing> parse_listing(std::string_view text, const HubName& name) {
  const std::string place = fmt::format("the hub's list of {}", in_quotes(name.repo_id()));
  const auto json = parse_json(text, place, {.bytes = kLongestListing, .depth = 32});
  if (!json) return std::unexpected(json.error());
  const Json* commit = member(*json, "sha");
  const Json* siblings = member(*json, "siblings");
  if (commit == nullptr || !commit->is_string() || !is_hex(commit->get_ref<const std::string&>(), 40)) {
    return fail("{}: expected the commit it is of", place);
  }
  if (siblings == nullptr || !siblings->is_array() || siblings->size() > kMostFiles) {
    return fail("{}: expected a list of files", place);
  }
  HubListing listing{.commit = commit->get<std::string>()};
  for (const auto& entry : *siblings) {
    auto file = read_file_entry(entry);
    if (!file) return base::fail_with(place, file.error());
    if (!file->path.empty()) listing.files.push_back(std::move(*file));
  }
  return listing;
}

std::string quant_of(std::string_view file_name) {
  const std::string name = upper(file_name);
  const auto boundary = [](char c) { return c == '-' || c == '.' || c == '_'; };
  constexpr std::array kStarts{"IQ", "TQ", "Q", "MXFP4", "BF16", "FP16", "F16", "F32", "FP32"};
  for (std::size_t at = 1; at < name.size(); ++at) {
    if (!boundary(name[at - 1])) continue;
    const auto rest = std::string_view(name).substr(at);
    for (const std::string_view start : kStarts) {
      if (!rest.starts_with(start)) continue;
      const auto end = std::min(rest.find_first_of("-."), rest.size());
      const auto quant = rest.substr(0, end);
      // "Q4_K_M" but not the "Q" of a name ("Qwen"): after Q, IQ and TQ stands a digit.
      const bool numbered =
          quant.size() > start.size() && std::isdigit(static_cast<unsigned char>(quant[start.size()])) != 0;
      if (start.ends_with('Q') ? !numbered : quant.substr(0, start.size()) != quant) continue;
      const bool dynamic = at >= 3 && std::string_view(name).substr(at - 3, 3) == "UD-";
      return (dynamic ? "UD-" : "") + std::string(quant);
    }
  }
  return {};
}

std::string spelled_choice(std::string_view choice) {
  const std::string quant = upper(choice);
  return quant_of("-" + quant) == quant ? quant : std::string(choice);
}

Result<std::vector<HubFile>> choose_files(const HubListing& listing, const HubName& name) {
  const Sets sets = gguf_sets(listing);
  if (!name.choice.empty()) {
    const auto found = std::ranges::find(listing.files, name.choice, &HubFile::path);
    if (found == listing.files.end()) return choose_quant(sets, name);
    const auto set = sets.find(set_of(found->path));
    return set != sets.end() ? whole_set(set->second) : std::vector<HubFile>{*found};
  }
  if (auto chosen = safetensors_set(listing); !chosen.empty()) return chosen;
  if (sets.empty()) return fail("{}: holds neither safetensors nor GGUF files", in_quotes(name.repo_id()));
  return preferred_quant(sets, name);
}

std::string file_url(const HubAccess& access, const HubName& name, const std::string& commit, std::string_view path) {
  return fmt::format("{}/{}/resolve/{}/{}", access.endpoint, name.repo_id(), commit, percent_encoded(path));
}

}  // namespace fathom::files
