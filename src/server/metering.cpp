#include "server/metering.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <spdlog/spdlog.h>

#include <array>

namespace fathom::server {

namespace {

std::array<unsigned char, SHA256_DIGEST_LENGTH> digest(std::string_view text) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> result{};
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), result.data());
  return result;
}

// Digests are compared, so that neither the time nor the length tells anything about the key.
bool same_secret(std::string_view a, std::string_view b) {
  const auto left = digest(a), right = digest(b);
  return CRYPTO_memcmp(left.data(), right.data(), left.size()) == 0;
}

std::string_view given_key(const Request& request) {
  const std::string_view authorization = request.header("authorization");
  constexpr std::string_view kScheme = "bearer ";
  if (authorization.size() > kScheme.size() && equal_ignoring_case(authorization.substr(0, kScheme.size()), kScheme))
    return authorization.substr(kScheme.size());
  return request.header("x-api-key");
}

ApiError wrong_key(std::string_view key) {
  return {.status = 401,
          .message = key.empty() ? "no API key: send it as \"Authorization: Bearer KEY\""
                                 : "the API key is not one of this server's",
          .code = "invalid_api_key"};
}

ApiError broken(const base::Error& error) {
  spdlog::error("keys and usage: {}", error.message);
  return {.status = 503, .message = "the server cannot read its keys now: try again", .code = "keys_unavailable"};
}

}  // namespace

Booking::Booking(Booking&& other) noexcept
    : metering_(std::exchange(other.metering_, nullptr)), key_(other.key_), runs_(other.runs_) {}

Booking::~Booking() {
  if (metering_ != nullptr) metering_->limiter_.ended(key_, runs_);
}

void Booking::pay(const std::string& model, const UsageCounts& counts) {
  metering_->limiter_.used(key_, counts.cache_hit_tokens + counts.cache_miss_tokens + counts.output_tokens);
  metering_->write_down(key_, model, counts);
}

void Metering::write_down(std::int64_t key, const std::string& model, const UsageCounts& counts) {
  if (!ledger_) return;
  // The answer is there and was promised; that it could not be written down is for whoever runs the server.
  if (auto kept = ledger_->add(key, model, counts); !kept)
    spdlog::error("usage of {} by key {} is not in the ledger: {}", model, key, kept.error().message);
}

Metering::Metering(std::string api_key, std::shared_ptr<ServerDatabase> database, PriceList prices,
                   std::string local_key)
    : api_key_(std::move(api_key)), local_key_(std::move(local_key)) {
  if (!database) return;
  keys_.emplace(database);
  ledger_.emplace(database, std::move(prices));
}

bool Metering::asks_for_key() {
  if (!api_key_.empty()) return true;
  if (!keys_) return false;
  const auto any = keys_->has_keys();
  if (!any) spdlog::error("keys: {}", any.error().message);
  return !any || *any;
}

ApiResult<Caller> Metering::identify(const Request& request) {
  if (!asks_for_key()) return Caller{};
  const std::string_view secret = given_key(request);
  if (secret.empty()) return std::unexpected(wrong_key(secret));
  for (const std::string* own : {&api_key_, &local_key_})
    if (!own->empty() && same_secret(secret, *own)) return Caller{};
  if (!keys_) return std::unexpected(wrong_key(secret));
  auto key = keys_->find(secret);
  if (!key) return std::unexpected(broken(key.error()));
  if (!*key) return std::unexpected(wrong_key(secret));
  const Scope scope = (*key)->scope;
  return Caller{.key = std::move(*key), .scope = scope};
}

ApiResult<Booking> Metering::book(const Caller& caller, int runs) {
  if (caller.key && caller.key->limits.budget > 0) {
    const auto spent = ledger_->spent(caller.key->id);
    if (!spent) return std::unexpected(broken(spent.error()));
    if (*spent >= caller.key->limits.budget)
      return std::unexpected(ApiError{
          .status = 402,
          .message = fmt::format("the key {:?} has used {} of its budget of {} {}", caller.key->name,
                                 money_text(*spent), money_text(caller.key->limits.budget), ledger_->prices().currency),
          .code = "insufficient_balance"});
  }
  if (caller.key)
    if (const auto refusal = limiter_.begin(*caller.key, runs))
      return std::unexpected(ApiError{.status = 429,
                                      .message = fmt::format("the key {:?} is limited to {}: try again in {} s",
                                                             caller.key->name, refusal->what, refusal->retry_after),
                                      .code = "rate_limit_exceeded",
                                      .retry_after = refusal->retry_after});
  return Booking(*this, caller.key_id(), caller.key ? runs : 0);
}

}  // namespace fathom::server
