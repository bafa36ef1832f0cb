// What was used: per key, model and day, written before the client is told of it, with what it costs by the price list.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "server/server_database.h"

namespace fathom::server {

// In the currency, for a million tokens, in the manner of DeepSeek's list.
struct Price {
  double cache_hit = 0, cache_miss = 0, output = 0;
};

struct PriceList {
  std::string currency = "USD";
  std::map<std::string, Price, std::less<>> models;
  Price others;  // for models that the list does not name

  // Billionths of the currency.
  std::int64_t cost(std::string_view model, std::int64_t hit, std::int64_t miss, std::int64_t output) const;
};

struct UsageCounts {
  std::int64_t requests = 0, cache_hit_tokens = 0, cache_miss_tokens = 0, output_tokens = 0, reasoning_tokens = 0;
  double seconds = 0;      // from the prompt's first step to the last token
  std::int64_t money = 0;  // billionths of the currency
};

// What a run of the engine used, as one request.
UsageCounts counts_of(const engine::RunStatistics& run, std::int64_t reasoning_tokens);

struct UsageRow : UsageCounts {
  std::string day;  // "2026-11-24", UTC
  std::string key;  // its name, or kPageName; "": without one
  std::string model;
};

struct UsageFilter {
  std::string from, to;  // days, inclusive; "": open
  std::optional<std::int64_t> key;
};

// The chat page asks without a key; what it uses is booked under this number and name, which no key may have.
inline constexpr std::int64_t kPageKey = -1;
inline constexpr std::string_view kPageName = "page";

class UsageLedger {
 public:
  UsageLedger(std::shared_ptr<ServerDatabase> database, PriceList prices)
      : database_(std::move(database)), prices_(std::move(prices)) {}

  // Adds what one request used (`money` is computed here); when it returns, a crash of the program loses nothing of it.
  base::Result<void> add(std::int64_t key, const std::string& model, UsageCounts counts);
  base::Result<std::vector<UsageRow>> rows(const UsageFilter& filter);  // by day, key, model
  // Over the key's life, billionths of the currency.
  base::Result<std::int64_t> spent(std::int64_t key);
  const PriceList& prices() const { return prices_; }

 private:
  std::shared_ptr<ServerDatabase> database_;
  PriceList prices_;
};

// "1.25" of billionths, with at least two digits after the point.
std::string money_text(std::int64_t billionths);

}  // namespace fathom::server
