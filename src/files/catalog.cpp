#include "files/catalog.h"

#define TOML_EXCEPTIONS 0
#define TOML_HEADER_ONLY 1
#include <toml++/toml.h>

#include <algorithm>

#include "files/file_name.h"
#include "files/in_quotes.h"

namespace fathom::files {

extern const std::string_view kCatalogText;  // made by the build from models/catalog.toml

namespace {

using base::fail;
using base::Result;

std::string text(const toml::table& table, std::string_view key) {
  return table[key].value_or(std::string());
}

std::uint64_t count(const toml::table& table, std::string_view key) {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(0, table[key].value_or(std::int64_t{0})));
}

Result<CatalogEntry> read_entry(const toml::table& table) {
  CatalogEntry entry{.name = text(table, "name"),
                     .about = text(table, "about"),
                     .licence = text(table, "licence"),
                     .parameters = text(table, "parameters"),
                     .gguf = text(table, "gguf"),
                     .quant = text(table, "quant"),
                     .safetensors = text(table, "safetensors"),
                     .ollama = text(table, "ollama"),
                     .file = text(table, "file"),
                     .sha256 = text(table, "sha256"),
                     .from_wheel = text(table, "source") == "wheel",
                     .is_default = table["default"].value_or(false),
                     .bytes = count(table, "bytes"),
                     .memory = count(table, "memory"),
                     .context = static_cast<std::int64_t>(count(table, "context"))};
  const bool named = is_plain_file_name(entry.name) && entry.name.find_first_of(":@+() []") == std::string::npos;
  if (!named) return fail("a model's name is {}, expected letters, digits, dots and dashes", in_quotes(entry.name));
  const auto wrong = [&](std::string_view what) { return fail("model {}: {}", in_quotes(entry.name), what); };
  if (entry.about.empty() || entry.licence.empty() || entry.parameters.empty()) return wrong("says not what it is");
  if (entry.bytes == 0 || entry.memory < entry.bytes || entry.context == 0) return wrong("says not what it takes");
  if (entry.gguf.empty() != entry.quant.empty()) return wrong("gguf and quant go together");
  if (entry.from_wheel != !entry.file.empty()) return wrong("a wheel has a file, and only a wheel");
  for (const auto& repo : {entry.gguf, entry.safetensors})
    if (!repo.empty())
      if (const auto name = parse_hub_name(repo); !name) return wrong(name.error().message);
  if (entry.gguf.empty() && entry.safetensors.empty()) return wrong("names no repository");
  return entry;
}

}  // namespace

Result<HubName> CatalogEntry::hub_name(std::string_view choice) const {
  const bool makers = choice == "safetensors" || (gguf.empty() && choice.empty());
  const auto& repo = makers ? safetensors : gguf;
  if (repo.empty()) return fail("{}: there is no repository with {}", name, in_quotes(choice));
  const std::string_view wanted = makers ? std::string_view() : choice.empty() ? std::string_view(quant) : choice;
  return parse_hub_name(wanted.empty() ? repo : fmt::format("{}:{}", repo, wanted));
}

Result<std::vector<CatalogEntry>> parse_catalog(std::string_view toml_text) {
  const toml::parse_result parsed = toml::parse(toml_text);
  if (!parsed) {
    return fail("line {}: {}", parsed.error().source().begin.line, in_quotes(parsed.error().description(), 200));
  }
  std::vector<CatalogEntry> entries;
  const toml::array* models = parsed.table()["model"].as_array();
  if (models == nullptr) return fail("expected [[model]] entries");
  for (const auto& node : *models) {
    if (!node.is_table()) return fail("expected [[model]] entries");
    auto entry = read_entry(*node.as_table());
    if (!entry) return std::unexpected(entry.error());
    if (std::ranges::find(entries, entry->name, &CatalogEntry::name) != entries.end()) {
      return fail("model {} stands twice", in_quotes(entry->name));
    }
    entries.push_back(std::move(*entry));
  }
  return entries;
}

std::span<const CatalogEntry> catalog() {
  static const std::vector<CatalogEntry> entries = [] {
    auto parsed = parse_catalog(kCatalogText);
    FATHOM_CHECK(parsed);  // a test reads the same text
    return std::move(*parsed);
  }();
  return entries;
}

const CatalogEntry* find_in_catalog(std::string_view name) {
  const auto entries = catalog();
  const auto found = std::ranges::find(entries, name, &CatalogEntry::name);
  return found == entries.end() ? nullptr : &*found;
}

}  // namespace fathom::files
