// The rules of access, each a comparison with what was configured; nothing is ever allowed by a pattern.
#include "server/access.h"

#include <algorithm>

namespace fathom::server {

namespace {

// "localhost:8080" to "localhost", "[::1]:8080" to "::1".
std::string host_name(std::string_view authority) {
  const auto bracket = authority.find(']');
  if (authority.starts_with('[') && bracket != std::string_view::npos)
    return lower_case(authority.substr(1, bracket - 1));
  std::string name = lower_case(authority.substr(0, authority.find(':')));
  if (name.ends_with('.')) name.pop_back();
  return name;
}

bool is_loopback_name(std::string_view name) {
  return name == "localhost" || name == "127.0.0.1" || name == "::1";
}

// A rebinding attack needs a name; an address written out cannot be rebound.
bool is_address(std::string_view name) {
  const bool v4 = !name.empty() && name.find_first_not_of("0123456789.") == std::string_view::npos;
  return v4 || (name.contains(':') && name.find_first_not_of("0123456789abcdef:.") == std::string_view::npos);
}

bool is_header_list(std::string_view text) {
  return text.size() <= 1024 && std::ranges::all_of(text, [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
                  c == ',' || c == ' ';
         });
}

}  // namespace

bool Access::only_this_machine() const {
  const std::string bound = host_name(rules_.bound_host);
  return is_loopback_name(bound) || is_loopback_name(rules_.bound_host) || bound.starts_with("127.");
}

bool Access::host_allowed(std::string_view host) const {
  const std::string name = host_name(host);
  const auto configured = [&](const std::string& allowed) { return equal_ignoring_case(allowed, name); };
  if (is_loopback_name(name) || std::ranges::any_of(rules_.allowed_hosts, configured)) return true;
  const std::string bound = host_name(rules_.bound_host);
  if (name == bound || name == lower_case(rules_.bound_host)) return true;
  return !only_this_machine() && is_address(name);
}

bool Access::origin_configured(std::string_view origin) const {
  return std::ranges::any_of(rules_.allowed_origins,
                             [&](const std::string& allowed) { return equal_ignoring_case(allowed, origin); });
}

std::optional<ApiError> Access::check_source(const Request& request) const {
  const std::string_view host = request.header("host");
  const int hosts = request.count("host");  // none: no browser leaves it out, so no rebinding
  if (hosts > 1 || (hosts == 1 && !host_allowed(host))) {
    return ApiError{.status = 403,
                    .message = fmt::format("Host {:?} is not a name of this server; if it should be, add it to the "
                                           "allowed hosts",
                                           host.substr(0, 100)),
                    .code = "host_not_allowed"};
  }
  const std::string_view origin = request.header("origin");
  if (origin.empty() || origin_configured(origin)) return std::nullopt;
  // A page that this server gave: its origin is the host it asked. (Which scheme, a proxy before us may have changed.)
  const auto scheme = origin.find("://");
  if (scheme != std::string_view::npos && equal_ignoring_case(origin.substr(scheme + 3), host)) return std::nullopt;
  return ApiError{.status = 403,
                  .message = fmt::format("pages of {:?} may not call this server; if they should, add it to the "
                                         "allowed origins",
                                         origin.substr(0, 100)),
                  .code = "origin_not_allowed"};
}

bool Access::app_needs_key() const {
  return rules_.passed_on || !only_this_machine();
}

std::vector<Header> Access::cors_headers(const Request& request) const {
  if (rules_.allowed_origins.empty()) return {};
  std::vector<Header> headers{{"Vary", "Origin"}};
  const std::string_view origin = request.header("origin");
  if (!origin.empty() && origin_configured(origin)) {
    headers.push_back({"Access-Control-Allow-Origin", std::string(origin)});
    headers.push_back({"Access-Control-Expose-Headers", "X-Request-Id, Request-Id, Retry-After"});
  }
  return headers;
}

std::vector<Header> Access::preflight_headers(const Request& request) const {
  const std::string_view origin = request.header("origin");
  if (origin.empty() || !origin_configured(origin)) return {};
  const std::string_view asked = request.header("access-control-request-headers");
  const bool plain = !asked.empty() && is_header_list(asked);
  return {{"Access-Control-Allow-Methods", "GET, POST, OPTIONS"},
          {"Access-Control-Allow-Headers", plain ? std::string(asked) : "authorization, content-type, x-api-key"},
          {"Access-Control-Max-Age", "600"}};
}

}  // namespace fathom::server
