// What every route is given, and the routes themselves: a request to a reply, without sockets.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/loaded_model.h"
#include "server/api_error.h"
#include "server/metering.h"
#include "server/metrics.h"
#include "server/model_pool.h"

namespace fathom::server {

// How a request waits for its model: the route asks for it (choose_model), and where it must be loaded first, whatever
// the route replies then is dropped, and the request is answered again with the ticket's result.
struct ModelWait {
  std::shared_ptr<LoadTicket> ticket;
  bool waits = false;   // the ticket has no result yet
  bool stream = false;  // the request asks for a stream
};

namespace app {
class App;
}

struct RouteContext {
  std::shared_ptr<ModelPool> models;
  std::string version;
  std::shared_ptr<Metering> metering;
  Caller caller;            // of the request at hand
  app::App* app = nullptr;  // the chat app's API; none: there is none
  std::shared_ptr<Metrics> metrics;
  std::shared_ptr<RequestRecord> record;     // of the request at hand, or none
  ModelWait* wait = nullptr;                 // of the request at hand
  std::optional<KeepAlive> keep_alive = {};  // how long its model is to stay, where it says so
};

// The model of that name, "": the first. Errors: 404, why it could not be loaded, and one that nobody sees where it is
// being loaded (ModelWait).
ApiResult<ModelUse> use_model(ModelPool& models, std::string_view name, std::optional<KeepAlive> keep_alive,
                              ModelWait& wait);
// The model that a body's "model" names, the first where it names none.
ApiResult<ModelUse> choose_model(const RouteContext& context, const files::Json& body);

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
