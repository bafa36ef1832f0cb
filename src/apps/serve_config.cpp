// fathom.toml: what a server is told by a file. Which flags there are is not known here.
#define TOML_EXCEPTIONS 0  // as wherever it is included: its inline functions must be the same everywhere
#include <toml++/toml.h>

#include <array>

#include "apps/commands.h"

namespace fathom::apps {

using base::fail;
using base::Result;

namespace {

Result<double> price(const toml::table& table, std::string_view key, double otherwise) {
  const toml::node* node = table.get(key);
  if (node == nullptr) return otherwise;
  const auto value = node->value<double>();
  if (!value || !(*value >= 0) || *value > 1e6)
    return fail("line {}: {} is no price for a million tokens", node->source().begin.line, key);
  return *value;
}

Result<server::Price> read_price(const toml::table& table, const server::Price& otherwise) {
  auto hit = price(table, "cache_hit", otherwise.cache_hit), miss = price(table, "cache_miss", otherwise.cache_miss),
       output = price(table, "output", otherwise.output);
  for (const auto* part : {&hit, &miss, &output})
    if (!*part) return std::unexpected(part->error());
  return server::Price{.cache_hit = *hit, .cache_miss = *miss, .output = *output};
}

Result<server::PriceList> read_prices(const toml::table& table) {
  server::PriceList list;
  auto others = read_price(table, {});
  if (!others) return std::unexpected(others.error());
  list.others = *others;
  for (const auto& [key, node] : table) {
    constexpr std::array<std::string_view, 3> kPrices{"cache_hit", "cache_miss", "output"};
    if (std::ranges::find(kPrices, key.str()) != kPrices.end()) continue;
    if (key == "currency" && node.is_string()) {
      list.currency = node.value_or(std::string());
    } else if (key != "currency" && node.is_table()) {
      auto model = read_price(*node.as_table(), list.others);
      if (!model) return std::unexpected(model.error());
      list.models.emplace(key.str(), *model);
    } else {
      return fail("line {}: [prices] knows currency, cache_hit, cache_miss, output and tables of models, not {:?}",
                  node.source().begin.line, key.str());
    }
  }
  return list;
}

// A flag's value, as it would stand on the command line.
Result<std::string> text_of(const toml::node& node, std::string_view key) {
  if (const auto text = node.value_exact<std::string>()) return *text;
  if (const auto number = node.value_exact<std::int64_t>()) return fmt::format("{}", *number);
  if (const auto number = node.value_exact<double>()) return fmt::format("{}", *number);
  if (const auto yes = node.value_exact<bool>()) return *yes ? "true" : "false";
  return fail("line {}: {}: expected a text, a number, true or false", node.source().begin.line, key);
}

Result<ServeConfig::Setting> read_setting(std::string_view key, const toml::node& node) {
  ServeConfig::Setting setting{.key = std::string(key), .values = {}, .line = node.source().begin.line};
  const auto add = [&](const toml::node& value) -> Result<void> {
    auto text = text_of(value, key);
    if (!text) return std::unexpected(text.error());
    setting.values.push_back(std::move(*text));
    return {};
  };
  if (const toml::array* list = node.as_array()) {
    for (const toml::node& value : *list)
      if (auto added = add(value); !added) return std::unexpected(added.error());
  } else if (auto added = add(node); !added) {
    return std::unexpected(added.error());
  }
  return setting;
}

Result<std::vector<ServedModel>> read_models(const toml::table& table) {
  std::vector<ServedModel> models;
  for (const auto& [key, node] : table) {
    const auto model = node.value_exact<std::string>();
    if (!model || model->empty())
      return fail("line {}: [models] gives each name a model, as in small = \"r1-distill-qwen-1.5b\"",
                  node.source().begin.line);
    constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    const std::string name(key.str());
    if (name.empty() || name.size() > 100 || name.find_first_not_of(kLetters) != name.npos)
      return fail("line {}: {:?} is no name for a model: expected at most 100 letters, digits, \".\", \"_\" or \"-\"",
                  node.source().begin.line, name);
    models.push_back({.name = name, .model = *model});
  }
  return models;
}

Result<ServeConfig> read_table(const toml::table& table) {
  ServeConfig config;
  for (const auto& [key, node] : table) {
    if (key == "prices" && node.is_table()) {
      auto prices = read_prices(*node.as_table());
      if (!prices) return std::unexpected(prices.error());
      config.prices = std::move(*prices);
    } else if (key == "models" && node.is_table()) {
      auto models = read_models(*node.as_table());
      if (!models) return std::unexpected(models.error());
      config.models = std::move(*models);
    } else if (node.is_table()) {
      return fail("line {}: there is no table [{}]: expected [models] or [prices]", node.source().begin.line,
                  key.str());
    } else {
      auto setting = read_setting(key.str(), node);
      if (!setting) return std::unexpected(setting.error());
      config.settings.push_back(std::move(*setting));
    }
  }
  return config;
}

}  // namespace

Result<ServeConfig> read_serve_config(const std::string& path) {
  const auto text = read_text(path);
  if (!text) return std::unexpected(text.error());
  const toml::parse_result parsed = toml::parse(*text, path);
  if (!parsed) return fail("{}: line {}: {}", path, parsed.error().source().begin.line, parsed.error().description());
  auto config = read_table(parsed.table());
  if (!config) return base::fail_with(path, config.error());
  return config;
}

}  // namespace fathom::apps
