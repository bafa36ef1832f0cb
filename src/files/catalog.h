// The models that have a short name: models/catalog.toml, read from the text that the build put into the program.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "files/hub_name.h"

namespace fathom::files {

struct CatalogEntry {
  std::string name, about, licence, parameters;
  std::string gguf, quant;   // repository and default quant; empty where there is no GGUF repository
  std::string safetensors;   // repository of the makers' files
  std::string ollama;        // name of the same model with Ollama, or empty
  std::string file, sha256;  // where ./run fetches the default model from a wheel: its file and digest
  bool from_wheel = false;
  bool is_default = false;
  std::uint64_t bytes = 0, memory = 0;
  std::int64_t context = 0;

  // Where a choice of this model lies: a quant, "safetensors", or empty for the default.
  base::Result<HubName> hub_name(std::string_view choice) const;
};

base::Result<std::vector<CatalogEntry>> parse_catalog(std::string_view toml);

std::span<const CatalogEntry> catalog();  // the program's own
const CatalogEntry* find_in_catalog(std::string_view name);

}  // namespace fathom::files
