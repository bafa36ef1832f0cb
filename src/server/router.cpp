// The table of routes.
#include "server/router.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <exception>

#include "server/app/app.h"
#include "server/messages_answer.h"
#include "server/ollama_answer.h"

namespace fathom::server {

extern const std::string_view kOpenApiText;  // src/server/openapi.json; cmake/embed.cmake

// Whose clients a route is for, and what they read apart from answers.
struct Dialect {
  std::string_view name;
  Response (*error)(const ApiError&) = error_response;
  std::string_view stream_type = "text/event-stream";
  std::string_view sign_of_life = ": keep-alive\n\n";  // in a stream that has not begun
  std::string_view before_error, after_error;          // of a stream that ends with a response's body
};

namespace {

Reply openapi(const RouteContext&, const Request&) {
  return Response{.content_type = "application/json", .body = std::string(kOpenApiText)};
}

constexpr Dialect kOpenAi{.name = "openai", .before_error = "data: ", .after_error = "\n\ndata: [DONE]\n\n"};
constexpr Dialect kResponses{.name = "openai", .before_error = "event: error\ndata: ", .after_error = "\n\n"};
constexpr Dialect kAnthropic{
    .name = "anthropic", .error = anthropic_error, .before_error = "event: error\ndata: ", .after_error = "\n\n"};
constexpr Dialect kOllama{.name = "ollama",
                          .error = ollama_error_response,
                          .stream_type = "application/x-ndjson",
                          .sign_of_life = "\n",
                          .before_error = "",
                          .after_error = "\n"};
constexpr Dialect kOwn{.name = "fathom"};

enum class Guard : std::uint8_t { kOpen, kKey, kAdmin };  // who may ask: everybody, a key, a key for administrators

struct Route {
  std::string_view method;
  std::string_view path;  // a last "*" stands for the rest, at least one character of it
  Reply (*answer)(const RouteContext&, const Request&);
  const Dialect& dialect = kOpenAi;
  Guard guard = Guard::kKey;
};

constexpr Route kRoutes[] = {
    {"POST", "/v1/chat/completions", chat_completions},
    {"POST", "/chat/completions", chat_completions},
    {"POST", "/beta/chat/completions", chat_completions},
    {"POST", "/v1/completions", completions},
    {"POST", "/completions", completions},
    {"POST", "/beta/completions", completions},
    {"POST", "/v1/messages", messages, kAnthropic},
    {"POST", "/anthropic/v1/messages", messages, kAnthropic},
    {"POST", "/v1/messages/count_tokens", count_message_tokens, kAnthropic},
    {"POST", "/anthropic/v1/messages/count_tokens", count_message_tokens, kAnthropic},
    {"POST", "/v1/responses", responses, kResponses},
    {"POST", "/api/chat", ollama_chat, kOllama},
    {"POST", "/api/generate", ollama_generate, kOllama},
    {"GET", "/api/tags", ollama_tags, kOllama},
    {"GET", "/api/ps", ollama_ps, kOllama},
    {"POST", "/api/show", ollama_show, kOllama},
    {"GET", "/api/version", ollama_version, kOllama},
    {"GET", "/v1/models", list_models},
    {"GET", "/models", list_models},
    {"GET", "/v1/models/*", one_model},
    {"GET", "/models/*", one_model},
    {"POST", "/tokenize", tokenize, kOwn},
    {"POST", "/detokenize", detokenize, kOwn},
    {"POST", "/apply-template", apply_template, kOwn},
    {"POST", "/v1/embeddings", no_embeddings},
    {"POST", "/embeddings", no_embeddings},
    {"POST", "/api/embed", no_embeddings, kOllama},
    {"POST", "/api/embeddings", no_embeddings, kOllama},
    {"GET", "/user/balance", balance},
    {"GET", "/openapi.json", openapi, kOwn},
    {"GET", "/version", version, kOwn},
    {"GET", "/metrics", metrics, kOwn, Guard::kAdmin},
    {"GET", "/health", health, kOwn, Guard::kOpen},
};

bool matches(const Route& route, std::string_view path) {
  if (!route.path.ends_with('*')) return path == route.path;
  const std::string_view start = route.path.substr(0, route.path.size() - 1);
  return path.size() > start.size() && path.starts_with(start);
}

bool is_app(const Request& request) {
  return request.path().starts_with("/app/");
}

// HEAD is answered as GET; the connection leaves the body out.
std::string_view route_method(const Request& request) {
  return request.method == "HEAD" ? "GET" : std::string_view{request.method};
}

const Route* find_route(const Request& request) {
  const auto found = std::ranges::find_if(kRoutes, [&](const Route& route) {
    return route.method == route_method(request) && matches(route, request.path());
  });
  return found == std::end(kRoutes) ? nullptr : found;
}

std::string allowed_methods(std::string_view path) {
  for (const Route& route : kRoutes) {
    if (matches(route, path)) return route.method == "GET" ? "GET, HEAD, OPTIONS" : "POST, OPTIONS";
  }
  return {};
}

Response no_such_route(const Request& request) {
  const std::string methods = allowed_methods(request.path());
  if (methods.empty()) {
    return error_response(
        {.status = 404, .message = fmt::format("nothing at {:?}", request.path().substr(0, 200)), .code = "not_found"});
  }
  Response response = error_response(
      {.status = 405,
       .message = fmt::format("{} answers {}, not {}", request.path(), methods, request.method.substr(0, 20)),
       .code = "method_not_allowed"});
  response.headers.push_back({"Allow", methods});
  return response;
}

// What the log and the metrics call the request's route.
void note_route(const Request& request, std::span<const PageFile> page, bool has_app) {
  if (!request.record) return;
  RequestRecord& record = *request.record;
  if (has_app && is_app(request)) {
    record.route = "/app/*";
    record.dialect = "app";
  } else if (const Route* route = find_route(request)) {
    record.route = route->path;
    record.dialect = route->dialect.name;
  } else if (find_page_file(page, request.path()) != nullptr) {
    record.route = record.dialect = "page";
  }
}

}  // namespace

Router::Router(RouteContext context, AccessRules rules, std::span<const PageFile> page)
    : context_(std::move(context)), access_(std::move(rules)), page_(page) {
  if (!context_.metrics) context_.metrics = std::make_shared<Metrics>(nullptr);
  if (!context_.metering) context_.metering = std::make_shared<Metering>("", nullptr, PriceList{});
}

Response Router::error(const Request& request, const ApiError& error) const {
  const Route* route = find_route(request);
  return route == nullptr ? error_response(error) : route->dialect.error(error);
}

std::vector<Header> Router::extra_headers(const Request& request) const {
  std::vector<Header> headers = access_.cors_headers(request);
  if (!request.record) return headers;
  headers.push_back({"X-Request-Id", request.record->id});
  if (request.record->dialect == kAnthropic.name) headers.push_back({"Request-Id", request.record->id});
  return headers;
}

ApiResult<Caller> Router::identify(const Request& request) const {
  auto caller = context_.metering->identify(request);
  if (caller && caller->key && request.record) request.record->key = caller->key->name;
  return caller;
}

std::optional<ApiError> Router::check_key(const Request& request, bool for_administrators) const {
  const auto caller = identify(request);
  if (!caller) return caller.error();
  if (!for_administrators || caller->scope == Scope::kAdmin) return std::nullopt;
  return ApiError{.status = 403,
                  .message = "this needs a key for administrators: `fathom keys add NAME --scope admin` makes one",
                  .code = "forbidden"};
}

std::optional<Response> Router::refuse(const Request& head) const {
  note_route(head, page_, context_.app != nullptr);
  if (const auto refusal = access_.check_source(head)) return error(head, *refusal);
  if (head.method == "OPTIONS") return std::nullopt;  // a preflight cannot carry a key
  if (context_.app != nullptr && is_app(head)) {
    if (!access_.app_needs_key()) return std::nullopt;
    // The conversations are those of whoever runs the server, not of everybody who may use its models.
    if (const auto refusal = check_key(head, true)) return error(head, *refusal);
    return std::nullopt;
  }
  const Route* route = find_route(head);
  const bool page = route_method(head) == "GET" && find_page_file(page_, head.path()) != nullptr;
  if (!page && (route == nullptr || route->guard != Guard::kOpen)) {
    if (const auto refusal = check_key(head, route != nullptr && route->guard == Guard::kAdmin))
      return error(head, *refusal);
  }
  if (!page && route == nullptr) return no_such_route(head);
  return std::nullopt;
}

// A request whose model is being loaded. With the ticket's result it is answered from the start.
class Router::ModelDelay final : public Delay {
 public:
  ModelDelay(const Router& router, const Request& request, ModelWait wait)
      : router_(router), request_(request), wait_(std::move(wait)) {
    if (const Route* route = find_route(request)) dialect_ = &route->dialect;
    silent_ = is_app(request);  // the page waits without signs of life, and wants to see the status
  }
  ~ModelDelay() override { wait_.ticket->set_wake({}); }
  ModelDelay(const ModelDelay&) = delete;
  ModelDelay& operator=(const ModelDelay&) = delete;

  void set_wake(std::function<void()> wake) override { wait_.ticket->set_wake(std::move(wake)); }
  bool is_over() const override { return wait_.ticket->result().has_value(); }
  Reply reply() override { return router_.answer(request_, wait_.ticket); }
  bool is_stream() const override { return wait_.stream; }
  std::string_view content_type() const override { return wait_.stream ? dialect_->stream_type : "application/json"; }
  std::string sign_of_life() const override {
    if (silent_) return {};
    return wait_.stream ? std::string(dialect_->sign_of_life) : "\n";
  }
  std::string last_event(const Response& response) const override {
    return fmt::format("{}{}{}", dialect_->before_error, response.body, dialect_->after_error);
  }

 private:
  const Router& router_;
  const Request& request_;
  ModelWait wait_;
  const Dialect* dialect_ = &kOpenAi;
  bool silent_ = false;
};

Reply Router::answer(const Request& request) const {
  return answer(request, nullptr);
}

Reply Router::answer(const Request& request, std::shared_ptr<LoadTicket> ticket) const {
  try {
    ModelWait wait{.ticket = std::move(ticket)};
    Reply reply = dispatch(request, wait);
    if (!wait.waits) return reply;
    return std::make_unique<ModelDelay>(*this, request, std::move(wait));
  } catch (const std::exception& failure) {
    spdlog::error("{} {}: {}", request.method, request.path(), failure.what());
    return error(request, {.status = 500, .message = "the server failed at this request", .code = "internal_error"});
  }
}

Reply Router::dispatch(const Request& request, ModelWait& wait) const {
  if (request.method == "OPTIONS") {
    const std::string methods = allowed_methods(request.path());
    return Response{.status = 204,
                    .headers = access_.preflight_headers(request).empty()
                                   ? std::vector<Header>{{"Allow", methods.empty() ? "GET, HEAD, OPTIONS" : methods}}
                                   : access_.preflight_headers(request)};
  }
  if (context_.app != nullptr && is_app(request)) return context_.app->answer(request, wait);
  if (const Route* route = find_route(request)) {
    RouteContext context = context_;
    context.record = request.record;
    context.wait = &wait;
    if (route->guard != Guard::kOpen) {
      auto caller = identify(request);
      if (!caller) return error(request, caller.error());  // revoked since the head was read
      context.caller = std::move(*caller);
    }
    return route->answer(context, request);
  }
  if (const PageFile* file = find_page_file(page_, request.path())) return page_response(*file, request);
  return no_such_route(request);
}

std::vector<Router::Path> Router::paths() const {
  std::vector<Path> result;
  for (const Route& route : kRoutes) result.push_back({route.method, route.path, route.guard == Guard::kOpen});
  for (const PageFile& file : page_) result.push_back({"GET", file.path, true});
  return result;
}

}  // namespace fathom::server
