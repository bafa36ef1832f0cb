// The models that stand ready, and the routes that only look: balance, health, metrics and version.
#include <algorithm>

#include "server/field_reader.h"
#include "server/ollama_answer.h"
#include "server/routes.h"

namespace fathom::server {

namespace {

using files::Json;

Json model_json(const ModelShelf& shelf, const engine::LoadedModel& model) {
  return {{"id", model.name()},
          {"object", "model"},
          {"created", shelf.created},
          {"owned_by", "fathom"},
          {"context_length", model.context_length()},
          {"can_think", model.chat_template().can_think()}};
}

ApiError no_such_model(const ModelShelf& shelf, std::string_view name) {
  std::string names;
  for (const auto& model : shelf.models) names += (names.empty() ? "" : ", ") + model->name();
  return {.status = 404,
          .message = fmt::format("no model {:?} here; there is: {}", name.substr(0, 200), names),
          .param = "model",
          .code = "model_not_found"};
}

}  // namespace

engine::LoadedModel* ModelShelf::find(std::string_view name) const {
  const auto found = std::ranges::find_if(models, [&](const auto& model) { return model->name() == name; });
  return found == models.end() ? nullptr : found->get();
}

ApiResult<engine::LoadedModel*> ModelShelf::choose(const Json& body) const {
  FieldReader fields(body);
  const auto name = fields.text("model");
  if (fields.error()) return std::unexpected(*fields.error());
  if (!name || name->empty()) return models.front().get();
  if (engine::LoadedModel* model = find(*name)) return model;
  return std::unexpected(no_such_model(*this, *name));
}

Reply list_models(const RouteContext& context, const Request&) {
  Json data = Json::array();
  for (const auto& model : context.shelf.models) data.push_back(model_json(context.shelf, *model));
  return json_response(200, {{"object", "list"}, {"data", std::move(data)}});
}

Reply one_model(const RouteContext& context, const Request& request) {
  constexpr std::string_view kBefore = "/models/";
  const std::string_view path = request.path();
  const auto id = percent_decoded(path.substr(path.find(kBefore) + kBefore.size()));
  const engine::LoadedModel* model = id ? context.shelf.find(*id) : nullptr;
  if (model == nullptr) return error_response(no_such_model(context.shelf, id.value_or("")));
  return json_response(200, model_json(context.shelf, *model));
}

// What a key has left of its budget. One without is not bounded: there is no amount to name, and always enough of it.
Reply balance(const RouteContext& context, const Request&) {
  const std::optional<Key>& key = context.caller.key;
  if (!key || key->limits.budget == 0)
    return json_response(200, {{"is_available", true}, {"balance_infos", Json::array()}});
  UsageLedger& ledger = *context.metering->ledger();
  const auto spent = ledger.spent(key->id);
  if (!spent)
    return error_response({.status = 503, .message = "the server cannot read its ledger now", .code = "unavailable"});
  const std::int64_t left = std::max<std::int64_t>(0, key->limits.budget - *spent);
  const std::string amount = money_text(left);
  return json_response(200, {{"is_available", left > 0},
                             {"balance_infos", Json::array({{{"currency", ledger.prices().currency},
                                                             {"total_balance", amount},
                                                             {"granted_balance", "0.00"},
                                                             {"topped_up_balance", amount}}})}});
}

Reply no_embeddings(const RouteContext&, const Request& request) {
  const ApiError error{.status = 404,
                       .message = "no embeddings here: this server answers, it makes no vectors of texts",
                       .code = "not_supported"};
  return request.path().starts_with("/api/") ? ollama_error_response(error) : error_response(error);
}

Reply health(const RouteContext&, const Request&) {
  return json_response(200, {{"status", "ok"}});
}

Reply metrics(const RouteContext& context, const Request&) {
  return Response{.content_type = "text/plain; version=0.0.4; charset=utf-8",
                  .body = context.metrics->text(context.shelf.models)};
}

Reply version(const RouteContext& context, const Request&) {
  return json_response(200, {{"version", context.version}});
}

}  // namespace fathom::server
