// The models of this machine by name: what a person types as MODEL becomes a path that the engine opens; what is not
// here can be pulled, what is in the way removed. Each model of the store has a folder below `models/` in the data
// folder.
#pragma once

#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/error.h"
#include "files/catalog.h"
#include "files/download.h"
#include "files/local_models.h"
#include "files/places.h"

namespace fathom::files {

class ModelStore {
 public:
  explicit ModelStore(Places places) : places_(std::move(places)) {}
  static base::Result<ModelStore> from_environment();

  // MODEL is a path, a name of the catalogue ("r1-distill-qwen-7b", "r1-distill-qwen-7b:Q8_0", "...:safetensors"), the
  // name of a folder in the store, "hf:owner/repo[@revision][:quant or file]", or "ollama:name[:tag]" of what Ollama
  // holds. A path has a slash or ends in .gguf; another word is looked for as a file or folder only after the names.
  // Errors say what to do: pull it, or what near name exists.
  base::Result<std::string> resolve(const std::string& model) const;

  // What is in the store, then what other programs hold.
  std::vector<LocalModel> list() const;

  struct PullOptions {
    HubAccess access;
    std::function<void(const PullProgress&)> progress;
    std::stop_token stop;
  };
  // Fetches a model of the catalogue or of the hub into the store, unless it is there or, for a name of the catalogue,
  // another program holds it; gives the path to open.
  base::Result<std::string> pull(const std::string& model, const PullOptions& options) const;

  // Removes a model of the store, and only of the store; gives the bytes freed. Errors: not in the store, being pulled.
  base::Result<std::uint64_t> remove(const std::string& model) const;

  // The model for who names none: the catalogue's default if it is here, else the first one of the store.
  base::Result<std::string> default_model() const;

  const Places& places() const { return places_; }

 private:
  // A model that has a name, be it here or not.
  struct Named {
    std::string name;            // as typed, spelled in full
    std::string folder;          // of the store
    std::optional<HubName> hub;  // where it comes from; nothing for a folder that somebody else put there
    const CatalogEntry* entry = nullptr;
    std::string choice;  // of the catalogue's entry

    // Comes out of a package by a script: the hub knows nothing of this very file.
    bool from_script() const { return entry != nullptr && entry->from_wheel && choice.empty(); }
  };
  base::Result<Named> find_name(const std::string& model) const;
  std::optional<std::string> find_here(const Named& named) const;
  std::optional<std::string> find_outside(const Named& named) const;  // with another program
  std::unexpected<base::Error> unknown(const std::string& model) const;

  Places places_;
};

// The nearest of `names` if it is near enough to be a slip of the hand: at most two letters wrong, missing, added or
// swapped, one in a short word.
std::optional<std::string> nearest_name(std::string_view word, const std::vector<std::string>& names);

}  // namespace fathom::files
