// keys and usage: who may use this machine's servers, and what they used. Both work beside a running server.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>

#include "apps/commands.h"
#include "base/clock.h"
#include "files/places.h"
#include "server/key_store.h"
#include "server/usage_ledger.h"

namespace fathom::apps {

using base::fail;
using base::Result;

namespace {

constexpr double kBillion = 1e9;

server::KeyLimits limits_of(const KeyFlags& flags, const server::KeyLimits& before) {
  server::KeyLimits limits = before;
  if (flags.requests_per_minute) limits.requests_per_minute = *flags.requests_per_minute;
  if (flags.tokens_per_minute) limits.tokens_per_minute = *flags.tokens_per_minute;
  if (flags.concurrent) limits.concurrent = *flags.concurrent;
  if (flags.budget) limits.budget = std::llround(*flags.budget * kBillion);
  return limits;
}

std::string limits_text(const server::KeyLimits& limits) {
  std::string text;
  const auto add = [&](std::int64_t value, const std::string& words) {
    if (value > 0) text += (text.empty() ? "" : ", ") + words;
  };
  add(limits.requests_per_minute, fmt::format("{} requests/min", limits.requests_per_minute));
  add(limits.tokens_per_minute, fmt::format("{} tokens/min", limits.tokens_per_minute));
  add(limits.concurrent, fmt::format("{} at a time", limits.concurrent));
  add(limits.budget, fmt::format("budget {}", server::money_text(limits.budget)));
  return text.empty() ? "no limits" : text;
}

Result<server::KeyStore> open_keys() {
  auto database = open_server_database();
  if (!database) return std::unexpected(database.error());
  return server::KeyStore(std::move(*database));
}

}  // namespace

Result<std::shared_ptr<server::ServerDatabase>> open_server_database() {
  const auto places = files::Places::from_environment();
  if (!places) return std::unexpected(places.error());
  std::error_code error;
  std::filesystem::create_directories(places->data, error);
  if (error) return fail("{}: cannot be made: {}", places->data, error.message());
  return server::ServerDatabase::open(places->data + "/server.db");
}

Status add_key(const KeyFlags& flags) {
  auto keys = open_keys();
  if (!keys) return std::unexpected(keys.error());
  const auto scope = server::scope_named(flags.scope);
  FATHOM_CHECK(scope.has_value());
  const auto secret = keys->add(flags.name, *scope, limits_of(flags, {}));
  if (!secret) return std::unexpected(secret.error());
  fmt::print(stderr, "The key {:?}, shown this once:\n", flags.name);
  fmt::print("{}\n", *secret);
  return {};
}

Status list_keys() {
  auto keys = open_keys();
  if (!keys) return std::unexpected(keys.error());
  const auto all = keys->list();
  if (!all) return std::unexpected(all.error());
  if (all->empty()) fmt::print("no keys; `fathom keys add NAME` makes one\n");
  for (const server::Key& key : *all)
    fmt::print("{:<20} {:<18} {:<6} {} {}\n", key.name, key.hint, server::name(key.scope),
               base::utc_day(key.created_at / 1000),
               key.revoked_at ? "revoked " + base::utc_day(*key.revoked_at / 1000) : limits_text(key.limits));
  return {};
}

Status limit_key(const KeyFlags& flags) {
  auto keys = open_keys();
  if (!keys) return std::unexpected(keys.error());
  const auto key = keys->named(flags.name);
  if (!key) return std::unexpected(key.error());
  const auto limits = limits_of(flags, *key ? (*key)->limits : server::KeyLimits{});
  if (auto done = keys->limit(flags.name, limits); !done) return done;
  fmt::print("{}: {}\n", flags.name, limits_text(limits));
  return {};
}

Status revoke_key(const KeyFlags& flags) {
  auto keys = open_keys();
  if (!keys) return std::unexpected(keys.error());
  if (auto done = keys->revoke(flags.name); !done) return done;
  fmt::print("{}: revoked\n", flags.name);
  return {};
}

Status usage(const UsageFlags& flags) {
  auto database = open_server_database();
  if (!database) return std::unexpected(database.error());
  server::UsageFilter filter{.from = flags.from, .to = flags.to};
  if (flags.key == server::kPageName) {
    filter.key = server::kPageKey;
  } else if (!flags.key.empty()) {
    const auto key = server::KeyStore(*database).named(flags.key);
    if (!key) return std::unexpected(key.error());
    if (!*key) return fail("no key {:?}; `fathom keys list` shows them", flags.key);
    filter.key = (*key)->id;
  }
  const auto rows = server::UsageLedger(*database, {}).rows(filter);
  if (!rows) return std::unexpected(rows.error());
  if (flags.json) {
    files::Json list = files::Json::array();
    for (const server::UsageRow& row : *rows)
      list.push_back({{"day", row.day},
                      {"key", row.key},
                      {"model", row.model},
                      {"requests", row.requests},
                      {"cache_hit_tokens", row.cache_hit_tokens},
                      {"cache_miss_tokens", row.cache_miss_tokens},
                      {"output_tokens", row.output_tokens},
                      {"reasoning_tokens", row.reasoning_tokens},
                      {"seconds", row.seconds},
                      {"money", server::money_text(row.money)}});
    fmt::print("{}\n", list.dump(-1, ' ', false, files::Json::error_handler_t::replace));
    return {};
  }
  fmt::print("{:<10}  {:<16} {:<24} {:>8} {:>10} {:>10} {:>10} {:>10} {:>9} {:>10}\n", "day", "key", "model",
             "requests", "hit", "miss", "output", "reasoning", "seconds", "money");
  for (const server::UsageRow& row : *rows)
    fmt::print("{:<10}  {:<16} {:<24} {:>8} {:>10} {:>10} {:>10} {:>10} {:>9.1f} {:>10}\n", row.day,
               row.key.empty() ? "-" : row.key, row.model, row.requests, row.cache_hit_tokens, row.cache_miss_tokens,
               row.output_tokens, row.reasoning_tokens, row.seconds, server::money_text(row.money));
  return {};
}

}  // namespace fathom::apps
