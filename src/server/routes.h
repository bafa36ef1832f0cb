// What every route is given, and the routes themselves: a request to a reply, without sockets.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/loaded_model.h"
#include "server/api_error.h"
#include "server/metering.h"
#include "server/metrics.h"

namespace fathom::server {

struct ModelShelf {
  std::vector<std::shared_ptr<engine::LoadedModel>> models;
  std::int64_t created = 0;  // when they were put up, in seconds since 1970

  engine::LoadedModel* find(std::string_view name) const;  // nullptr: none of that name
  // The model that a body's "model" names; the first where it names none. 404 for any other.
  ApiResult<engine::LoadedModel*> choose(const files::Json& body) const;
};

namespace app {
class App;
}

struct RouteContext {
  ModelShelf shelf;
  std::string version;
  std::shared_ptr<Metering> metering;
  Caller caller;            // of the request at hand
  app::App* app = nullptr;  // the chat app's API; none: there is none
  std::shared_ptr<Metrics> metrics;
  std::shared_ptr<RequestRecord> record;  // of the request at hand, or none
};

Reply chat_completions(const RouteContext& context, const Request& request);
Reply completions(const RouteContext& context, const Request& request);
Reply messages(const RouteContext& context, const Request& request);
Reply count_message_tokens(const RouteContext& context, const Request& request);
Reply responses(const RouteContext& context, const Request& request);
Reply ollama_chat(const RouteContext& context, const Request& request);
Reply ollama_generate(const RouteContext& context, const Request& request);
Reply ollama_tags(const RouteContext& context, const Request& request);
Reply ollama_ps(const RouteContext& context, const Request& request);
Reply ollama_show(const RouteContext& context, const Request& request);
Reply ollama_version(const RouteContext& context, const Request& request);
Reply list_models(const RouteContext& context, const Request& request);
Reply one_model(const RouteContext& context, const Request& request);  // the path ends in its percent-encoded id
Reply tokenize(const RouteContext& context, const Request& request);
Reply detokenize(const RouteContext& context, const Request& request);
Reply apply_template(const RouteContext& context, const Request& request);
Reply balance(const RouteContext& context, const Request& request);
Reply no_embeddings(const RouteContext& context, const Request& request);
Reply health(const RouteContext& context, const Request& request);
Reply metrics(const RouteContext& context, const Request& request);
Reply version(const RouteContext& context, const Request& request);

}  // namespace fathom::server
