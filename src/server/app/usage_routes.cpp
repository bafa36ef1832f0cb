// What was used, and the keys by which other programs use this server.
#include <charconv>
#include <chrono>
#include <cmath>

#include "server/app/app_routes.h"
#include "server/app/strict_fields.h"

namespace fathom::server::app {

namespace {

constexpr double kBillion = 1e9;
constexpr std::int64_t kMostLimit = 1'000'000'000'000;
constexpr double kMostBudget = 1e9;  // of the currency: far from what a count of billionths holds

AppError not_here() {
  return not_found("this server keeps neither usage nor keys");
}

AppError broken(const base::Error& error) {
  return {.status = 503, .code = "internal_error", .message = error.message};
}

bool is_day(const std::string& text) {
  int year = 0;
  unsigned month = 0, day = 0;
  const auto number = [&](std::size_t at, std::size_t count, auto& value) {
    const auto [end, error] = std::from_chars(text.data() + at, text.data() + at + count, value);
    return error == std::errc{} && end == text.data() + at + count;
  };
  return text.size() == 10 && text[4] == '-' && text[7] == '-' && number(0, 4, year) && number(5, 2, month) &&
         number(8, 2, day) &&
         std::chrono::year_month_day(std::chrono::year(year), std::chrono::month(month), std::chrono::day(day)).ok();
}

Json usage_json(const UsageRow& row) {
  return {{"date", row.day},
          {"key", row.key},
          {"model", row.model},
          {"runs", row.requests},
          {"prompt_tokens", row.cache_hit_tokens + row.cache_miss_tokens},
          {"cached_tokens", row.cache_hit_tokens},
          {"output_tokens", row.output_tokens},
          {"reasoning_tokens", row.reasoning_tokens},
          {"seconds", row.seconds},
          {"cost", static_cast<double>(row.money) / kBillion}};
}

Json key_json(const Key& key, std::int64_t spent) {
  return {{"name", key.name},
          {"hint", key.hint},
          {"scope", name(key.scope)},
          {"limits",
           {{"requests_per_minute", key.limits.requests_per_minute},
            {"tokens_per_minute", key.limits.tokens_per_minute},
            {"concurrent", key.limits.concurrent},
            {"budget", static_cast<double>(key.limits.budget) / kBillion}}},
          {"created_at", key.created_at},
          {"revoked_at", key.revoked_at ? Json(*key.revoked_at) : Json(nullptr)},
          {"spent", static_cast<double>(spent) / kBillion}};
}

AppResult<KeyLimits> read_limits(const Json* object) {
  if (object == nullptr) return KeyLimits{};
  StrictFields fields(*object, {"requests_per_minute", "tokens_per_minute", "concurrent", "budget"}, "limits.");
  KeyLimits limits{.requests_per_minute = fields.integer("requests_per_minute", 0, kMostLimit).value_or(0),
                   .tokens_per_minute = fields.integer("tokens_per_minute", 0, kMostLimit).value_or(0),
                   .concurrent = fields.integer("concurrent", 0, kMostLimit).value_or(0),
                   .budget = std::llround(fields.number("budget", 0, kMostBudget).value_or(0) * kBillion)};
  if (const auto wrong = fields.wrong()) return std::unexpected(*wrong);
  return limits;
}

// A key as it is now.
Reply key_reply(App& app, const std::string& name, int status, const std::string& secret = "") {
  const auto key = app.keys()->named(name);
  if (!key) return error_reply(broken(key.error()));
  if (!*key) return error_reply(not_found(fmt::format("there is no key {:?} here", name)));
  const auto spent = app.ledger()->spent((*key)->id);
  if (!spent) return error_reply(broken(spent.error()));
  Json shown = key_json(**key, *spent);
  return json_response(status, secret.empty() ? shown : Json{{"key", std::move(shown)}, {"secret", secret}});
}

// Nothing where a key of that name may be changed.
std::optional<AppError> no_such_key(App& app, const std::string& name) {
  if (app.keys() == nullptr) return not_here();
  const auto key = app.keys()->named(name);
  if (!key) return broken(key.error());
  if (!*key || (*key)->revoked_at) return not_found(fmt::format("there is no key {:?} that was not revoked", name));
  return std::nullopt;
}

}  // namespace

Reply get_usage(App& app, const Call& call) {
  UsageLedger* ledger = app.ledger();
  if (ledger == nullptr) return error_reply(not_here());
  const UsageFilter filter{.from = call.query("from").value_or(""), .to = call.query("to").value_or(""), .key = {}};
  for (const auto& [field, text] : {std::pair("from", &filter.from), std::pair("to", &filter.to)}) {
    if (!is_day(*text)) return error_reply(bad_request(field, "expected a day, as 2026-11-24"));
  }
  const auto rows = ledger->rows(filter);
  if (!rows) return error_reply(broken(rows.error()));
  Json days = Json::array();
  for (const UsageRow& row : *rows) days.push_back(usage_json(row));
  return json_response(200, {{"currency", ledger->prices().currency}, {"days", std::move(days)}});
}

Reply list_keys(App& app, const Call&) {
  KeyStore* keys = app.keys();
  if (keys == nullptr) return error_reply(not_here());
  const auto all = keys->list();
  if (!all) return error_reply(broken(all.error()));
  Json list = Json::array();
  for (const Key& key : *all) {
    const auto spent = app.ledger()->spent(key.id);
    if (!spent) return error_reply(broken(spent.error()));
    list.push_back(key_json(key, *spent));
  }
  return json_response(200, {{"currency", app.ledger()->prices().currency}, {"keys", std::move(list)}});
}

Reply add_key(App& app, const Call& call) {
  KeyStore* keys = app.keys();
  if (keys == nullptr) return error_reply(not_here());
  const auto body = read_object(call.request());
  if (!body) return error_reply(body.error());
  StrictFields fields(*body, {"name", "scope", "limits"});
  const std::string key_name = fields.required_text("name", kMaxTitleBytes);
  const auto scope = scope_named(fields.text("scope").value_or("api"));
  if (!scope) fields.refuse("scope", "expected \"api\" or \"admin\"");
  const Json* object = fields.object("limits");
  if (const auto wrong = fields.wrong()) return error_reply(*wrong);
  const auto limits = read_limits(object);
  if (!limits) return error_reply(limits.error());
  const auto taken = keys->named(key_name);
  if (!taken) return error_reply(broken(taken.error()));
  if (*taken)
    return error_reply({.status = 409,
                        .code = "name_taken",
                        .message = fmt::format("there is a key {:?} already, or was: choose another name", key_name),
                        .param = "name"});
  const auto secret = keys->add(key_name, *scope, *limits);
  if (!secret) return error_reply(bad_request("name", secret.error().message));
  return key_reply(app, key_name, 201, *secret);
}

Reply limit_key(App& app, const Call& call) {
  if (const auto missing = no_such_key(app, call.value(0))) return error_reply(*missing);
  const auto body = read_object(call.request());
  if (!body) return error_reply(body.error());
  StrictFields fields(*body, {"limits"});
  const Json* object = fields.object("limits");
  if (object == nullptr) fields.refuse("limits", "is missing");
  if (const auto wrong = fields.wrong()) return error_reply(*wrong);
  const auto limits = read_limits(object);
  if (!limits) return error_reply(limits.error());
  if (const auto done = app.keys()->limit(call.value(0), *limits); !done) return error_reply(broken(done.error()));
  return key_reply(app, call.value(0), 200);
}

Reply revoke_key(App& app, const Call& call) {
  if (const auto missing = no_such_key(app, call.value(0))) return error_reply(*missing);
  if (const auto done = app.keys()->revoke(call.value(0)); !done) return error_reply(broken(done.error()));
  return key_reply(app, call.value(0), 200);
}

}  // namespace fathom::server::app
