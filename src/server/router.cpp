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

namespace {

Reply openapi(const RouteContext&, const Request&) {
  return Response{.content_type = "application/json", .body = std::string(kOpenApiText)};
}

// Whose clients a route is for, and the envelope of errors that they read.
struct Dialect {
  std::string_view name;
  Response (*error)(const ApiError&) = error_response;
};
constexpr Dialect kOpenAi{"openai"}, kAnthropic{"anthropic", anthropic_error}, kOllama{"ollama", ollama_error_response},
    kOwn{"fathom"};

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
    {"POST", "/v1/responses", responses},
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

Reply Router::answer(const Request& request) const {
  try {
    return dispatch(request);
  } catch (const std::exception& failure) {
    spdlog::error("{} {}: {}", request.method, request.path(), failure.what());
    return error(request, {.status = 500, .message = "the server failed at this request", .code = "internal_error"});
  }
}

Reply Router::dispatch(const Request& request) const {
  if (request.method == "OPTIONS") {
    const std::string methods = allowed_methods(request.path());
    return Response{.status = 204,
                    .headers = access_.preflight_headers(request).empty()
                                   ? std::vector<Header>{{"Allow", methods.empty() ? "GET, HEAD, OPTIONS" : methods}}
                                   : access_.preflight_headers(request)};
  }
  if (context_.app != nullptr && is_app(request)) return context_.app->answer(request);
  if (const Route* route = find_route(request)) {
    RouteContext context = context_;
    context.record = request.record;
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
