// fathom.toml: what a server is told by a file. Flags come before it.
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

}  // namespace

Result<server::PriceList> read_price_list(const std::string& path) {
  if (path.empty()) return server::PriceList{};
  const auto text = read_text(path);
  if (!text) return std::unexpected(text.error());
  const toml::parse_result parsed = toml::parse(*text, path);
  if (!parsed) return fail("{}: line {}: {}", path, parsed.error().source().begin.line, parsed.error().description());
  const toml::table& table = parsed.table();
  for (const auto& [key, node] : table)
    if (key != "prices" || !node.is_table())
      return fail("{}: line {}: expected the table [prices], found {:?}", path, node.source().begin.line, key.str());
  const toml::table* prices = table["prices"].as_table();
  if (prices == nullptr) return server::PriceList{};
  auto list = read_prices(*prices);
  if (!list) return base::fail_with(path, list.error());
  return list;
}

}  // namespace fathom::apps
