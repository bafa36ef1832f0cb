// /api/...: Ollama's own interface, for the many programs that speak only that. Models are those that the server was
// given; nothing is pulled, made or removed through it.
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
  if (context.shelf.find(name) == nullptr && name.ends_with(kTag)) *model = name.substr(0, name.size() - kTag.size());
}

ApiResult<Json> read_ollama_body(const RouteContext& context, const Request& http) {
  auto body = read_body(http);
  if (!body) return body;
  if (!body->contains("model") && body->contains("name")) (*body)["model"] = (*body)["name"];  // as older clients say
  strip_default_tag(context, *body);
  return body;
}

Reply answer(ApiResult<ChatRun> run, OllamaCall call) {
  if (!run) return ollama_error_response(ollama_error(run.error()));
  OllamaHead head{.call = call, .model = run->model->name()};
  if (run->request.stream) return reply_with(std::move(run->runs), ollama_stream(std::move(head)));
  return reply_with(std::move(run->runs),
                    std::make_unique<BlockResponse>(
                        [head = std::move(head)](const BlockAnswer& whole) { return whole_ollama(head, whole); }));
}

// A call without a prompt or a message, by which clients load a model (or let it go: keep_alive 0).
Reply ready(const RouteContext& context, const Json& body, OllamaCall call) {
  const auto model = context.shelf.choose(body);
  if (!model) return ollama_error_response(ollama_error(model.error()));
  const auto keep = body.find("keep_alive");
  const bool unload = keep != body.end() && (*keep == 0 || *keep == "0");
  return json_response(200, ollama_ready({.call = call, .model = (*model)->name()}, unload ? "unload" : "load"));
}

// A file's size and digest are not the server's to know once the model is loaded.
Json details_json(const engine::LoadedModel& model) {
  return {{"parent_model", ""},
          {"format", ""},
          {"family", model.chat_template().format()},
          {"families", Json::array({model.chat_template().format()})},
          {"parameter_size", ""},
          {"quantization_level", ""}};
}

Json entry_json(const engine::LoadedModel& model) {
  return {
      {"name", model.name()}, {"model", model.name()}, {"size", 0}, {"digest", ""}, {"details", details_json(model)}};
}

std::string parameters_text(const engine::SamplingOptions& sampling) {
  return fmt::format("temperature {}\ntop_k {}\ntop_p {}\nmin_p {}\nrepeat_penalty {}", sampling.temperature,
                     sampling.top_k, sampling.top_p, sampling.min_p, sampling.repetition_penalty);
}

}  // namespace

Reply ollama_chat(const RouteContext& context, const Request& http) {
  const auto body = read_ollama_body(context, http);
  if (!body) return ollama_error_response(body.error());
  const auto chat = ollama_chat_to_chat(*body);
  if (!chat) return ollama_error_response(chat.error());
  if ((*chat)["messages"].empty()) return ready(context, *body, OllamaCall::kChat);
  return answer(start_chat(context, *chat), OllamaCall::kChat);
}

Reply ollama_generate(const RouteContext& context, const Request& http) {
  const auto body = read_ollama_body(context, http);
  if (!body) return ollama_error_response(body.error());
  auto call = ollama_generate_to_chat(*body);
  if (!call) return ollama_error_response(call.error());
  if (call->kind == OllamaGenerate::Kind::kLoad) return ready(context, *body, OllamaCall::kGenerate);
  return answer(call->kind == OllamaGenerate::Kind::kChat ? start_chat(context, call->body)
                                                          : start_completion(context, std::move(call->body)),
                OllamaCall::kGenerate);
}

Reply ollama_tags(const RouteContext& context, const Request&) {
  Json models = Json::array();
  for (const auto& model : context.shelf.models) {
    models.push_back(entry_json(*model));
    models.back()["modified_at"] = base::rfc3339(context.shelf.created);
  }
  return json_response(200, {{"models", std::move(models)}});
}

Reply ollama_ps(const RouteContext& context, const Request&) {
  Json models = Json::array();
  for (const auto& model : context.shelf.models) {
    models.push_back(entry_json(*model));
    models.back().update({{"expires_at", "9999-12-31T23:59:59Z"},  // as long as the server runs
                          {"size_vram", 0},
                          {"context_length", model->context_length()}});
  }
  return json_response(200, {{"models", std::move(models)}});
}

Reply ollama_show(const RouteContext& context, const Request& http) {
  const auto body = read_ollama_body(context, http);
  if (!body) return ollama_error_response(body.error());
  const auto chosen = context.shelf.choose(*body);
  if (!chosen) return ollama_error_response(ollama_error(chosen.error()));
  const engine::LoadedModel& model = **chosen;
  Json capabilities = Json::array({"completion"});
  if (model.chat_template().can_think()) capabilities.push_back("thinking");
  if (can_fill_in(model)) capabilities.push_back("insert");
  const std::string architecture(model.chat_template().format());
  return json_response(
      200, {{"modelfile", ""},
            {"parameters", parameters_text(model.default_sampling())},
            {"template", model.tokenizer().chat_template()},
            {"details", details_json(model)},
            {"model_info",
             {{"general.architecture", architecture}, {architecture + ".context_length", model.context_length()}}},
            {"capabilities", std::move(capabilities)},
            {"modified_at", base::rfc3339(context.shelf.created)}});
}

Reply ollama_version(const RouteContext& context, const Request&) {
  return json_response(200, {{"version", context.version}});
}

}  // namespace fathom::server
