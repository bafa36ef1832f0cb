// Which models there are and how a request comes to one, and the routes that only look: balance, health, metrics and
// version.
#include "server/field_reader.h"
#include "server/ollama_answer.h"
#include "server/routes.h"

namespace fathom::server {

namespace {

using files::Json;

// What is not known before a model's files were looked at is left out.
Json model_json(const ModelStatus& model) {
  Json object = {{"id", model.source.name},
                 {"object", "model"},
                 {"created", model.source.created},
                 {"owned_by", "fathom"},
                 {"loaded", model.is_loaded()}};
  if (model.facts)
    object.update({{"context_length", model.facts->context_length}, {"can_think", model.facts->can_think}});
  return object;
}

}  // namespace

ApiResult<ModelUse> use_model(ModelPool& models, std::string_view name, std::optional<KeepAlive> keep_alive,
                              ModelWait& wait) {
  if (wait.ticket) {
    const auto result = wait.ticket->result();
    FATHOM_CHECK(result.has_value());
    return *result;
  }
  auto asked = models.ask(name, keep_alive);
  if (!asked) return std::unexpected(asked.error());
  if (asked->use) return std::move(asked->use);
  wait = {.ticket = std::move(asked->ticket), .waits = true};
  return std::unexpected(ApiError{.status = 503, .message = "the model is being loaded", .code = "model_loading"});
}

ApiResult<ModelUse> choose_model(const RouteContext& context, const Json& body) {
  FieldReader fields(body);
  const auto name = fields.text("model");
  if (fields.error()) return std::unexpected(*fields.error());
  auto model = use_model(*context.models, name.value_or(""), context.keep_alive, *context.wait);
  const auto stream = body.find("stream");
  context.wait->stream = stream != body.end() && *stream == true;
  return model;
}

Reply list_models(const RouteContext& context, const Request&) {
  Json data = Json::array();
  for (const ModelStatus& model : context.models->list()) data.push_back(model_json(model));
  return json_response(200, {{"object", "list"}, {"data", std::move(data)}});
}

Reply one_model(const RouteContext& context, const Request& request) {
  constexpr std::string_view kBefore = "/models/";
  const std::string_view path = request.path();
  const auto id = percent_decoded(path.substr(path.find(kBefore) + kBefore.size()));
  const auto model = context.models->status(id.value_or("\n"));  // a name that no model has
  if (!model) return error_response(model.error());
  return json_response(200, model_json(*model));
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
                  .body = context.metrics->text(context.models->loaded())};
}

Reply version(const RouteContext& context, const Request&) {
  return json_response(200, {{"version", context.version}});
}

}  // namespace fathom::server
