// The keys by which programs use the API: made, listed, limited, revoked, found by their secret. Secrets are shown once
// and kept as hashes.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "server/server_database.h"

namespace fathom::server {

enum class Scope : std::uint8_t {
  kApi,    // what clients ask: answers, models, tokens
  kAdmin,  // and what runs the server: metrics, loading and unloading
};
std::string_view name(Scope scope);
std::optional<Scope> scope_named(std::string_view name);

struct KeyLimits {  // 0: none
  std::int64_t requests_per_minute = 0;
  std::int64_t tokens_per_minute = 0;  // of prompts and answers
  std::int64_t concurrent = 0;         // runs at a time
  std::int64_t budget = 0;             // billionths of the currency, over the key's life
};

struct Key {
  std::int64_t id = 0;
  std::string name;
  std::string hint;  // "sk-fathom-ab…yz"
  Scope scope = Scope::kApi;
  KeyLimits limits;
  std::int64_t created_at = 0;  // milliseconds since 1970
  std::optional<std::int64_t> revoked_at;
};

class KeyStore {
 public:
  explicit KeyStore(std::shared_ptr<ServerDatabase> database) : database_(std::move(database)) {}

  // The secret of a new key. Errors: a name that is taken (a revoked key keeps its own, for its usage), that is empty
  // or over 100 bytes, or that holds control characters.
  base::Result<std::string> add(const std::string& name, Scope scope, const KeyLimits& limits);
  base::Result<std::vector<Key>> list();
  base::Result<void> limit(const std::string& name, const KeyLimits& limits);
  base::Result<void> revoke(const std::string& name);  // holds from the next request on

  // The key of a secret; none: unknown or revoked.
  base::Result<std::optional<Key>> find(std::string_view secret);
  base::Result<std::optional<Key>> named(const std::string& name);
  // Whether there is a key that was not revoked: then the API asks for one.
  base::Result<bool> has_keys();

 private:
  std::shared_ptr<ServerDatabase> database_;
};

}  // namespace fathom::server
