#include "server/usage_ledger.h"

#include <cmath>

#include "base/clock.h"

namespace fathom::server {

using base::Result;
using files::Database;
using files::Rows;

namespace {

constexpr std::int64_t kBillion = 1'000'000'000;

}  // namespace

std::int64_t PriceList::cost(std::string_view model, std::int64_t hit, std::int64_t miss, std::int64_t output) const {
  const auto found = models.find(model);
  const Price& price = found == models.end() ? others : found->second;
  // A price for a million tokens is a thousandth as many billionths for one.
  constexpr double kPerToken = 1e9 / 1e6;
  return std::llround(kPerToken *
                      (price.cache_hit * static_cast<double>(hit) + price.cache_miss * static_cast<double>(miss) +
                       price.output * static_cast<double>(output)));
}

UsageCounts counts_of(const engine::RunStatistics& run, std::int64_t reasoning_tokens) {
  return {.requests = 1,
          .cache_hit_tokens = run.cached_tokens,
          .cache_miss_tokens = run.prompt_tokens - run.cached_tokens,
          .output_tokens = run.generated_tokens,
          .reasoning_tokens = reasoning_tokens,
          .seconds = run.prefill_seconds + run.decode_seconds};
}

Result<void> UsageLedger::add(std::int64_t key, const std::string& model, UsageCounts counts) {
  const std::int64_t money =
      prices_.cost(model, counts.cache_hit_tokens, counts.cache_miss_tokens, counts.output_tokens);
  return database_->use([&](Database& db) {
    db.run(
        "insert into usage values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict (day, key, model) do update set "
        "requests = requests + excluded.requests, cache_hit_tokens = cache_hit_tokens + excluded.cache_hit_tokens, "
        "cache_miss_tokens = cache_miss_tokens + excluded.cache_miss_tokens, "
        "output_tokens = output_tokens + excluded.output_tokens, "
        "reasoning_tokens = reasoning_tokens + excluded.reasoning_tokens, seconds = seconds + excluded.seconds, "
        "money = money + excluded.money",
        base::utc_day(base::unix_seconds()), key, model, counts.requests, counts.cache_hit_tokens,
        counts.cache_miss_tokens, counts.output_tokens, counts.reasoning_tokens, counts.seconds, money);
    return db.take_failure();
  });
}

Result<std::vector<UsageRow>> UsageLedger::rows(const UsageFilter& filter) {
  return database_->use([&](Database& db) -> Result<std::vector<UsageRow>> {
    std::vector<UsageRow> result;
    for (Rows row = db.query(
             "select day, case when usage.key = ?4 then ?5 else coalesce(keys.name, '') end, model, requests, "
             "cache_hit_tokens, cache_miss_tokens, "
             "output_tokens, reasoning_tokens, seconds, money from usage left join keys on keys.id = usage.key "
             "where day >= ?1 and (?2 = '' or day <= ?2) and (?3 is null or usage.key = ?3) order by day, 2, model",
             filter.from, filter.to, filter.key, kPageKey, kPageName);
         row.next();) {
      UsageRow used;
      used.day = row.text(0);
      used.key = row.text(1);
      used.model = row.text(2);
      used.requests = row.integer(3);
      used.cache_hit_tokens = row.integer(4);
      used.cache_miss_tokens = row.integer(5);
      used.output_tokens = row.integer(6);
      used.reasoning_tokens = row.integer(7);
      used.seconds = row.real(8);
      used.money = row.integer(9);
      result.push_back(std::move(used));
    }
    if (auto done = db.take_failure(); !done) return std::unexpected(done.error());
    return result;
  });
}

Result<std::int64_t> UsageLedger::spent(std::int64_t key) {
  return database_->use([&](Database& db) -> Result<std::int64_t> {
    Rows row = db.query("select coalesce(sum(money), 0) from usage where key = ?", key);
    const std::int64_t money = row.next() ? row.integer(0) : 0;
    if (auto done = db.take_failure(); !done) return std::unexpected(done.error());
    return money;
  });
}

std::string money_text(std::int64_t billionths) {
  const char* sign = billionths < 0 ? "-" : "";
  const auto size = static_cast<std::uint64_t>(std::abs(billionths));
  std::string text = fmt::format("{}{}.{:09}", sign, size / kBillion, size % kBillion);
  while (text.ends_with('0') && text[text.size() - 3] != '.') text.pop_back();
  return text;
}

}  // namespace fathom::server
