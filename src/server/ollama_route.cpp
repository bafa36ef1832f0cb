// /api/...: Ollama's own interface, for the many programs that speak only that. Models are those that the server knows;
// nothing is pulled, made or removed through it.
#include <algorithm>

#include "base/clock.h"
#include "server/chat_run.h"
#include "server/completion_run.h"
#include "server/field_reader.h"
#include "server/ollama_answer.h"
#include "server/ollama_request.h"

namespace fathom::server {

namespace {

using files::Json;

// Ollama's names end in a tag where the client's user gave none.
void strip_default_tag(const RouteContext& context, Json& body) {
  constexpr std::string_view kTag = ":latest";
  const auto model = body.find("model");
  if (model == body.end() || !model->is_string()) return;
  const std::string name = model->get<std::string>();
  if (name.ends_with(kTag) && !context.models->status(name)) *model = name.substr(0, name.size() - kTag.size());
}

struct OllamaBody {
  Json body;
  RouteContext context;  // with how long the model is to stay
};

ApiResult<OllamaBody> read_ollama_body(const RouteContext& context, const Request& http) {
  auto body = read_body(http);
  if (!body) return std::unexpected(body.error());
  if (!body->contains("model") && body->contains("name")) (*body)["model"] = (*body)["name"];  // as older clients say
  strip_default_tag(context, *body);
  OllamaBody read{.body = std::move(*body), .context = context};
  const auto keep = read_keep_alive(read.body);
  if (!keep) return std::unexpected(keep.error());
  read.context.keep_alive = *keep;
  return read;
}

Reply answer(ApiResult<ChatRun> run, OllamaCall call) {
  if (!run) return ollama_error_response(ollama_error(run.error()));
  OllamaHead head{.call = call, .model = run->model->name()};
  if (run->request.stream) return reply_with(std::move(run->runs), ollama_stream(std::move(head)));
  return reply_with(std::move(run->runs),
                    std::make_unique<BlockResponse>(
                        [head = std::move(head)](const BlockAnswer& whole) { return whole_ollama(head, whole); }));
}

// A call without a prompt or a message, by which clients load a model, or with a keep_alive of 0 let it go.
Reply ready(const RouteContext& context, const Json& body, OllamaCall call) {
  if (context.keep_alive == KeepAlive{0}) {
    if (context.caller.scope != Scope::kAdmin)
      return ollama_error_response(
          {.status = 403, .message = "unloading a model needs a key for administrators", .code = "forbidden"});
    FieldReader fields(body);
    const auto name = fields.text("model");
    if (fields.error()) return ollama_error_response(ollama_error(*fields.error()));
    const auto model = context.models->status(name.value_or(""));
    if (!model) return ollama_error_response(ollama_error(model.error()));
    (void)context.models->unload(model->source.name);
    return json_response(200, ollama_ready({.call = call, .model = model->source.name}, "unload"));
  }
  const auto model = choose_model(context, body);
  if (!model) return ollama_error_response(ollama_error(model.error()));
  return json_response(200, ollama_ready({.call = call, .model = (*model)->name()}, "load"));
}

// A file's digest is not the server's to know.
Json entry_json(const ModelStatus& model) {
  const ModelFacts facts = model.facts ? *model.facts : ModelFacts{};
  const Json details = {{"parent_model", ""},
                        {"format", facts.format},
                        {"family", facts.family},
                        {"families", facts.family.empty() ? Json::array() : Json::array({facts.family})},
                        {"parameter_size", facts.parameters},
                        {"quantization_level", facts.quantization}};
  return {{"name", model.source.name},
          {"model", model.source.name},
          {"size", std::max(facts.bytes, model.source.bytes)},
          {"digest", ""},
          {"details", details}};
}

// As long as the server runs, where there is no time.
std::string expiry_text(const ModelStatus& model) {
  if (!model.expires) return "9999-12-31T23:59:59Z";
  return base::rfc3339(std::chrono::duration_cast<std::chrono::seconds>(model.expires->time_since_epoch()).count());
}

std::string parameters_text(const engine::SamplingOptions& sampling) {
  return fmt::format("temperature {}\ntop_k {}\ntop_p {}\nmin_p {}\nrepeat_penalty {}", sampling.temperature,
                     sampling.top_k, sampling.top_p, sampling.min_p, sampling.repetition_penalty);
}

}  // namespace

Reply ollama_chat(const RouteContext& context, const Request& http) {
  const auto read = read_ollama_body(context, http);
  if (!read) return ollama_error_response(read.error());
  const auto chat = ollama_chat_to_chat(read->body);
  if (!chat) return ollama_error_response(chat.error());
  if ((*chat)["messages"].empty()) return ready(read->context, read->body, OllamaCall::kChat);
  return answer(start_chat(read->context, *chat), OllamaCall::kChat);
}

Reply ollama_generate(const RouteContext& context, const Request& http) {
  const auto read = read_ollama_body(context, http);
  if (!read) return ollama_error_response(read.error());
  auto call = ollama_generate_to_chat(read->body);
  if (!call) return ollama_error_response(call.error());
  if (call->kind == OllamaGenerate::Kind::kLoad) return ready(read->context, read->body, OllamaCall::kGenerate);
  return answer(call->kind == OllamaGenerate::Kind::kChat ? start_chat(read->context, call->body)
                                                          : start_completion(read->context, std::move(call->body)),
                OllamaCall::kGenerate);
}

Reply ollama_tags(const RouteContext& context, const Request&) {
  Json models = Json::array();
  for (const ModelStatus& model : context.models->list()) {
    models.push_back(entry_json(model));
    models.back()["modified_at"] = base::rfc3339(model.source.created);
  }
  return json_response(200, {{"models", std::move(models)}});
}

Reply ollama_ps(const RouteContext& context, const Request&) {
  Json models = Json::array();
  for (const ModelStatus& model : context.models->list()) {
    if (!model.is_loaded()) continue;
    models.push_back(entry_json(model));
    models.back().update({{"expires_at", expiry_text(model)},
                          {"size_vram", 0},
                          {"memory", model.memory},
                          {"running", model.uses},
                          {"context_length", model.facts->context_length}});
    // Where its files lie is for whoever runs the server.
    if (context.caller.scope == Scope::kAdmin) models.back()["path"] = model.source.path;
  }
  return json_response(200, {{"models", std::move(models)}});
}

Reply ollama_show(const RouteContext& context, const Request& http) {
  const auto read = read_ollama_body(context, http);
  if (!read) return ollama_error_response(read.error());
  FieldReader fields(read->body);
  const auto name = fields.text("model");
  if (fields.error()) return ollama_error_response(ollama_error(*fields.error()));
  const auto model = context.models->status(name.value_or(""));
  if (!model) return ollama_error_response(ollama_error(model.error()));
  if (!model->facts)
    return ollama_error_response({.status = 503,
                                  .message = model->error.empty() ? "the model's files are being read" : model->error,
                                  .code = "unavailable"});
  const ModelFacts& facts = *model->facts;
  Json capabilities = Json::array({"completion"});
  if (facts.can_think) capabilities.push_back("thinking");
  if (facts.can_fill_in) capabilities.push_back("insert");
  return json_response(
      200, {{"modelfile", ""},
            {"parameters", parameters_text(facts.sampling)},
            {"template", facts.chat_template},
            {"details", entry_json(*model)["details"]},
            {"model_info",
             {{"general.architecture", facts.family}, {facts.family + ".context_length", facts.context_length}}},
            {"capabilities", std::move(capabilities)},
            {"modified_at", base::rfc3339(model->source.created)}});
}

Reply ollama_version(const RouteContext& context, const Request&) {
  return json_response(200, {{"version", context.version}});
}

}  // namespace fathom::server
