#include "server/key_store.h"

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include <algorithm>
#include <array>

#include "base/clock.h"
#include "server/usage_ledger.h"

namespace fathom::server {

using base::fail;
using base::Result;
using files::Database;
using files::Rows;

namespace {

constexpr std::string_view kPrefix = "sk-fathom-";
constexpr std::size_t kSecretBytes = 32;
constexpr std::size_t kLongestName = 100;

// A secret has 256 random bits, so one round of SHA-256 is as good as many.
std::string hash_of(std::string_view secret) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
  SHA256(reinterpret_cast<const unsigned char*>(secret.data()), secret.size(), digest.data());
  std::string hex;
  for (const unsigned char byte : digest) hex += fmt::format("{:02x}", byte);
  return hex;
}

std::string new_secret() {
  std::array<unsigned char, kSecretBytes> bytes{};
  FATHOM_CHECK(RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) == 1);
  std::string text(4 * (kSecretBytes + 2) / 3 + 1, '\0');
  text.resize(static_cast<std::size_t>(
      EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()), bytes.data(), static_cast<int>(bytes.size()))));
  while (text.ends_with('=')) text.pop_back();
  std::ranges::replace(text, '+', '-');
  std::ranges::replace(text, '/', '_');
  return std::string(kPrefix) + text;
}

std::string hint_of(const std::string& secret) {
  return secret.substr(0, kPrefix.size() + 2) + "…" + secret.substr(secret.size() - 2);
}

Result<void> check_name(const std::string& name) {
  const bool plain =
      std::ranges::none_of(name, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
  if (name.empty() || name.size() > kLongestName || !plain)
    return fail("a key's name has 1 to {} bytes and no control characters", kLongestName);
  if (name == kPageName) return fail("{:?} is what `fathom usage` calls the chat page: choose another name", name);
  return {};
}

constexpr const char* kNamed =
    "select id, name, hint, scope, requests_per_minute, tokens_per_minute, concurrent, budget, created_at, revoked_at "
    "from keys where name = ?";
constexpr const char* kHashed =
    "select id, name, hint, scope, requests_per_minute, tokens_per_minute, concurrent, budget, created_at, revoked_at "
    "from keys where hash = ? and revoked_at is null";
constexpr const char* kAll =
    "select id, name, hint, scope, requests_per_minute, tokens_per_minute, concurrent, budget, created_at, revoked_at "
    "from keys order by id";

Key key_of(const Rows& row) {
  return {.id = row.integer(0),
          .name = row.text(1),
          .hint = row.text(2),
          .scope = scope_named(row.text(3)).value_or(Scope::kApi),
          .limits = {.requests_per_minute = row.integer(4),
                     .tokens_per_minute = row.integer(5),
                     .concurrent = row.integer(6),
                     .budget = row.integer(7)},
          .created_at = row.integer(8),
          .revoked_at = row.optional_integer(9)};
}

Result<std::optional<Key>> first(Database& database, Rows rows) {
  std::optional<Key> key;
  if (rows.next()) key = key_of(rows);
  if (auto done = database.take_failure(); !done) return std::unexpected(done.error());
  return key;
}

Result<void> one_changed(Database& database, std::int64_t changed, const std::string& name) {
  if (auto done = database.take_failure(); !done) return done;
  if (changed == 0) return fail("no key {:?} that was not revoked; `fathom keys list` shows them", name);
  return {};
}

}  // namespace

std::string_view name(Scope scope) {
  return scope == Scope::kAdmin ? "admin" : "api";
}

std::optional<Scope> scope_named(std::string_view name) {
  if (name == "api") return Scope::kApi;
  if (name == "admin") return Scope::kAdmin;
  return std::nullopt;
}

Result<std::string> KeyStore::add(const std::string& key_name, Scope scope, const KeyLimits& limits) {
  if (auto good = check_name(key_name); !good) return std::unexpected(good.error());
  const std::string secret = new_secret();
  return database_->use([&](Database& db) -> Result<std::string> {
    const std::int64_t added = db.run(
        "insert into keys (name, hash, hint, scope, requests_per_minute, tokens_per_minute, concurrent, budget, "
        "created_at) values (?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict (name) do nothing",
        key_name, hash_of(secret), hint_of(secret), name(scope), limits.requests_per_minute, limits.tokens_per_minute,
        limits.concurrent, limits.budget, base::unix_milliseconds());
    if (auto done = db.take_failure(); !done) return std::unexpected(done.error());
    if (added == 0) return fail("there is a key {:?} already, or was: choose another name", key_name);
    return secret;
  });
}

Result<std::vector<Key>> KeyStore::list() {
  return database_->use([](Database& db) -> Result<std::vector<Key>> {
    std::vector<Key> keys;
    for (Rows rows = db.query(kAll); rows.next();) keys.push_back(key_of(rows));
    if (auto done = db.take_failure(); !done) return std::unexpected(done.error());
    return keys;
  });
}

Result<void> KeyStore::limit(const std::string& key_name, const KeyLimits& limits) {
  return database_->use([&](Database& db) {
    const std::int64_t changed = db.run(
        "update keys set requests_per_minute = ?, tokens_per_minute = ?, concurrent = ?, budget = ? "
        "where name = ? and revoked_at is null",
        limits.requests_per_minute, limits.tokens_per_minute, limits.concurrent, limits.budget, key_name);
    return one_changed(db, changed, key_name);
  });
}

Result<void> KeyStore::revoke(const std::string& key_name) {
  return database_->use([&](Database& db) {
    const std::int64_t changed = db.run("update keys set revoked_at = ? where name = ? and revoked_at is null",
                                        base::unix_milliseconds(), key_name);
    return one_changed(db, changed, key_name);
  });
}

Result<std::optional<Key>> KeyStore::find(std::string_view secret) {
  return database_->use([&](Database& db) { return first(db, db.query(kHashed, hash_of(secret))); });
}

Result<std::optional<Key>> KeyStore::named(const std::string& key_name) {
  return database_->use([&](Database& db) { return first(db, db.query(kNamed, key_name)); });
}

Result<bool> KeyStore::has_keys() {
  return database_->use([](Database& db) -> Result<bool> {
    Rows rows = db.query("select 1 from keys where revoked_at is null limit 1");
    const bool any = rows.next();
    if (auto done = db.take_failure(); !done) return std::unexpected(done.error());
    return any;
  });
}

}  // namespace fathom::server
