// The table of the app's routes, and the way from a request to its row.
#include "server/app/app_routes.h"

#include <algorithm>

namespace fathom::server::app {

namespace {

constexpr AppRoute kRoutes[] = {
    {"GET", "/app/session", get_session},
    {"GET", "/app/events", watch_changes},
    {"GET", "/app/conversations", list_conversations},
    {"POST", "/app/conversations", create_conversation},
    {"DELETE", "/app/conversations", delete_all_conversations},
    {"GET", "/app/conversations/{id}", get_conversation},
    {"PATCH", "/app/conversations/{id}", change_conversation},
    {"DELETE", "/app/conversations/{id}", delete_conversation},
    {"POST", "/app/conversations/{id}/restore", restore_conversation},
    {"POST", "/app/conversations/{id}/title", make_title},
    {"POST", "/app/conversations/{id}/messages", add_message},
    {"GET", "/app/conversations/{id}/export", export_conversation},
    {"GET", "/app/drafts/{key}", get_draft},
    {"PUT", "/app/drafts/{key}", keep_draft},
    {"POST", "/app/runs", start_run},
    {"POST", "/app/runs/check", check_run},
    {"GET", "/app/runs/{id}", get_run},
    {"GET", "/app/runs/{id}/events", watch_run},
    {"POST", "/app/runs/{id}/stop", stop_run},
    {"GET", "/app/search", search},
    {"GET", "/app/settings", get_settings},
    {"PATCH", "/app/settings", change_settings},
    {"GET", "/app/presets", list_presets},
    {"PUT", "/app/presets/{id}", keep_preset},
    {"DELETE", "/app/presets/{id}", remove_preset},
    {"GET", "/app/models", list_app_models},
    {"POST", "/app/models/{model}/load", load_model},
    {"PUT", "/app/models/{model}/download", change_download},
    {"DELETE", "/app/models/{model}/download", cancel_download},
    {"GET", "/app/export", export_all},
    {"GET", "/app/usage", get_usage},
    {"GET", "/app/keys", list_keys},
    {"POST", "/app/keys", add_key},
    {"PATCH", "/app/keys/{name}", limit_key},
    {"DELETE", "/app/keys/{name}", revoke_key},
    {"PUT", "/app/imports/{id}", continue_import},
    {"GET", "/app/imports/{id}", get_import},
    {"PUT", "/app/files/{id}", put_file},
    {"GET", "/app/files/{id}", get_file},
    {"DELETE", "/app/files/{id}", remove_file},
    {"GET", "/app/files/{id}/text", get_file_text},
};

std::string_view next_part(std::string_view& path) {
  const std::size_t end = std::min(path.find('/'), path.size());
  const std::string_view part = path.substr(0, end);
  path.remove_prefix(std::min(end + 1, path.size()));
  return part;
}

// The values of a path's braces; none where the path is not the route's.
std::optional<std::vector<std::string>> values_of(std::string_view route, std::string_view path) {
  if (std::ranges::count(route, '/') != std::ranges::count(path, '/')) return std::nullopt;
  std::vector<std::string> values;
  while (!route.empty()) {
    const std::string_view wanted = next_part(route), found = next_part(path);
    if (!wanted.starts_with('{')) {
      if (wanted != found) return std::nullopt;
      continue;
    }
    auto value = percent_decoded(found);
    if (!value || value->empty()) return std::nullopt;
    values.push_back(std::move(*value));
  }
  return values;
}

Response no_route(std::string_view method, std::string_view path) {
  std::string methods;
  for (const AppRoute& route : kRoutes) {
    if (values_of(route.path, path)) methods += fmt::format("{}{}", methods.empty() ? "" : ", ", route.method);
  }
  if (methods.empty()) return error_reply(not_found(fmt::format("nothing at {:?}", path.substr(0, 200))));
  Response response =
      error_reply({.status = 405,
                   .code = "method_not_allowed",
                   .message = fmt::format("{} answers {}, not {}", path, methods, method.substr(0, 20))});
  response.headers.push_back({"Allow", methods});
  return response;
}

}  // namespace

std::span<const AppRoute> app_routes() {
  return kRoutes;
}

Reply App::answer(const Request& request, ModelWait& wait) {
  const std::string_view path = request.path();
  const std::string_view method = request.method == "HEAD" ? "GET" : std::string_view(request.method);
  for (const AppRoute& route : kRoutes) {
    if (route.method != method) continue;
    auto values = values_of(route.path, path);
    if (!values) continue;
    const std::string_view name = route.path.substr(std::min(route.path.find('{'), route.path.size()));
    if (name.starts_with("{id}") && !is_id(values->front()))
      return error_reply(not_found(fmt::format("{:?} is no id: expected 8 to 40 letters, digits, \"_\" or \"-\"",
                                               values->front().substr(0, 60))));
    Reply reply = route.answer(*this, Call(request, std::move(*values), wait));
    if (auto* response = std::get_if<Response>(&reply)) response->headers.push_back({"Cache-Control", "no-store"});
    return reply;
  }
  return no_route(method, path);
}

}  // namespace fathom::server::app
