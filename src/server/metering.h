// Who asks, what they may, and what they used. Every run of the API is booked here before it starts and paid when it
// ends; the routes know nothing of keys.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "server/api_error.h"
#include "server/key_store.h"
#include "server/rate_limiter.h"
#include "server/usage_ledger.h"

namespace fathom::server {

struct Caller {
  std::optional<Key> key;  // none: the key of the command line, or a server that asks for none
  Scope scope = Scope::kAdmin;

  std::int64_t key_id() const { return key ? key->id : 0; }
  // Whose cached prefixes and turns these are (engine::Run::owner).
  std::string owner() const { return key ? "key:" + std::to_string(key->id) : std::string(); }
};

class Metering;

// The runs of one request; must not outlive its Metering. Dropping it gives their places back.
class Booking {
 public:
  Booking(Booking&& other) noexcept;
  Booking& operator=(Booking&&) = delete;
  ~Booking();

  // Writes down what one run used, before whoever asked is told.
  void pay(const std::string& model, const UsageCounts& counts);

 private:
  friend class Metering;
  Booking(Metering& metering, std::int64_t key, int runs) : metering_(&metering), key_(key), runs_(runs) {}

  Metering* metering_;  // nullptr: moved from
  std::int64_t key_;
  int runs_;
};

class Metering {
 public:
  // `api_key`: of the command line, for whoever runs the server; "": none. `database`: nullptr where usage is not kept.
  // `local_key`: opens all as the first does, but its being there makes nobody need a key.
  Metering(std::string api_key, std::shared_ptr<ServerDatabase> database, PriceList prices, std::string local_key = {});

  // Whether requests must carry a key. A database that cannot be read says yes.
  bool asks_for_key();
  // 401 for a key that is missing or wrong.
  ApiResult<Caller> identify(const Request& request);
  // 402 for a key over its budget, 429 (with when to come again) over its rate.
  ApiResult<Booking> book(const Caller& caller, int runs);

  // The same for what the chat page used: it has no key and no limits.
  void pay_for_page(const std::string& model, const UsageCounts& counts) { write_down(kPageKey, model, counts); }

  // nullptr where neither is kept.
  UsageLedger* ledger() { return ledger_ ? &*ledger_ : nullptr; }
  KeyStore* keys() { return keys_ ? &*keys_ : nullptr; }

 private:
  friend class Booking;
  void write_down(std::int64_t key, const std::string& model, const UsageCounts& counts);

  std::string api_key_, local_key_;
  std::optional<KeyStore> keys_;
  std::optional<UsageLedger> ledger_;
  RateLimiter limiter_;
};

}  // namespace fathom::server
