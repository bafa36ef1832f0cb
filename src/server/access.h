// Where a request comes from: the Host it names (against DNS rebinding) and the Origin of the page that sent it. Keys
// are for metering.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "server/api_error.h"

namespace fathom::server {

struct AccessRules {
  std::string bound_host;                    // what the server listens on
  std::vector<std::string> allowed_hosts;    // further names it is reached by, without port
  std::vector<std::string> allowed_origins;  // other sites whose pages may call, as "https://chat.example.com"
  bool passed_on = false;                    // a proxy passes on what others ask
};

class Access {
 public:
  explicit Access(AccessRules rules) : rules_(std::move(rules)) {}

  // Host and Origin; holds for every request.
  std::optional<ApiError> check_source(const Request& request) const;
  // Whether the chat app's own routes ask for a key: the one person at this machine needs none, others could be
  // anybody.
  bool app_needs_key() const;

  // The headers by which a browser lets a page of an allowed origin read the response; none for any other.
  std::vector<Header> cors_headers(const Request& request) const;
  // What a preflight adds to them.
  std::vector<Header> preflight_headers(const Request& request) const;

 private:
  bool only_this_machine() const;
  bool host_allowed(std::string_view host) const;
  bool origin_configured(std::string_view origin) const;

  AccessRules rules_;
};

}  // namespace fathom::server
