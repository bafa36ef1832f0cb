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

struct Route {
  std::string_view method;
  std::string_view path;  // a last "*" stands for the rest, at least one character of it
  Reply (*answer)(const RouteContext&, const Request&);
  bool open = false;                                    // needs no key
  Response (*error)(const ApiError&) = error_response;  // the envelope that clients of the route read
};

constexpr Route kRoutes[] = {
    {"POST", "/v1/chat/completions", chat_completions},
    {"POST", "/chat/completions", chat_completions},
    {"POST", "/beta/chat/completions", chat_completions},
    {"POST", "/v1/completions", completions},
    {"POST", "/completions", completions},
    {"POST", "/beta/completions", completions},
    {"POST", "/v1/messages", messages, false, anthropic_error},
    {"POST", "/anthropic/v1/messages", messages, false, anthropic_error},
    {"POST", "/v1/messages/count_tokens", count_message_tokens, false, anthropic_error},
    {"POST", "/anthropic/v1/messages/count_tokens", count_message_tokens, false, anthropic_error},
    {"POST", "/v1/responses", responses},
    {"POST", "/api/chat", ollama_chat, false, ollama_error_response},
    {"POST", "/api/generate", ollama_generate, false, ollama_error_response},
    {"GET", "/api/tags", ollama_tags, false, ollama_error_response},
    {"GET", "/api/ps", ollama_ps, false, ollama_error_response},
    {"POST", "/api/show", ollama_show, false, ollama_error_response},
    {"GET", "/api/version", ollama_version, false, ollama_error_response},
    {"GET", "/v1/models", list_models},
    {"GET", "/models", list_models},
    {"GET", "/v1/models/*", one_model},
    {"GET", "/models/*", one_model},
    {"POST", "/tokenize", tokenize},
    {"POST", "/detokenize", detokenize},
    {"POST", "/apply-template", apply_template},
    {"POST", "/v1/embeddings", no_embeddings},
    {"POST", "/embeddings", no_embeddings},
    {"POST", "/api/embed", no_embeddings, false, ollama_error_response},
    {"POST", "/api/embeddings", no_embeddings, false, ollama_error_response},
    {"GET", "/user/balance", balance},
    {"GET", "/openapi.json", openapi},
    {"GET", "/version", version},
    {"GET", "/health", health, true},
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

}  // namespace

Router::Router(RouteContext context, AccessRules rules, std::span<const PageFile> page)
    : context_(std::move(context)), access_(std::move(rules)), page_(page) {
  if (!context_.metering) context_.metering = std::make_shared<Metering>("", nullptr, PriceList{});
}

Response Router::error(const Request& request, const ApiError& error) const {
  const Route* route = find_route(request);
  return route == nullptr ? error_response(error) : route->error(error);
}

std::optional<Response> Router::refuse(const Request& head) const {
  if (const auto refusal = access_.check_source(head)) return error(head, *refusal);
  if (head.method == "OPTIONS") return std::nullopt;  // a preflight cannot carry a key
  if (context_.app != nullptr && is_app(head)) {
    if (!access_.app_needs_key()) return std::nullopt;
    const auto caller = context_.metering->identify(head);
    if (!caller) return error(head, caller.error());
    // The conversations are those of whoever runs the server, not of everybody who may use its models.
    if (caller->scope == Scope::kAdmin) return std::nullopt;
    return error_response(
        {.status = 403, .message = "the conversations need a key for administrators", .code = "forbidden"});
  }
  const Route* route = find_route(head);
  const bool page = route_method(head) == "GET" && find_page_file(page_, head.path()) != nullptr;
  if (!page && (route == nullptr || !route->open)) {
    if (const auto caller = context_.metering->identify(head); !caller) return error(head, caller.error());
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
    if (!route->open) {
      auto caller = context_.metering->identify(request);
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
  for (const Route& route : kRoutes) result.push_back({route.method, route.path, route.open});
  for (const PageFile& file : page_) result.push_back({"GET", file.path, true});
  return result;
}

}  // namespace fathom::server
