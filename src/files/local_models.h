// Models that lie on this machine, whoever put them there: in a folder, in Hugging Face's cache, with Ollama, with LM
// Studio. Only looks; never writes into another program's folder.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "files/hub.h"
#include "files/places.h"

namespace fathom::files {

// The model in a folder, as the engine opens it: a GGUF file (the first of a set) or the folder itself for safetensors.
// Nothing if there is none, or not all of it. `choice` as in HubName.
std::optional<std::string> model_in_folder(const std::string& folder, const HubName& name);

// A model of the hub that another program holds whole.
std::optional<std::string> find_with_others(const Places& places, const HubName& name);

// One file of the hub, for `download`: where it may lie. What is there must be checked.
std::string find_file_with_others(const Places& places, const HubName& name, const HubFile& file);

// The GGUF file of Ollama's `model:tag`. As MODEL it is written with the prefix.
constexpr std::string_view kOllamaPrefix = "ollama:";
std::optional<std::string> find_with_ollama(const Places& places, std::string_view model);

struct LocalModel {
  std::string name;  // what to give as MODEL
  std::string path;  // what the engine opens
  std::uint64_t bytes = 0;
  std::string holder;  // "fathom", "Hugging Face", "Ollama", "LM Studio"
};

// Bytes of the files that make up a model opened by `path`.
std::uint64_t model_bytes(const std::string& path);

std::vector<LocalModel> list_with_others(const Places& places);

}  // namespace fathom::files
