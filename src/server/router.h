// From a request to its route, behind the rules of access. The table says of every route whether it is open; what it
// does not name needs the key before it is told that there is nothing.
#pragma once

#include <span>

#include "server/access.h"
#include "server/page_file.h"
#include "server/routes.h"

namespace fathom::server {

class Router {
 public:
  Router(RouteContext context, AccessRules rules, std::span<const PageFile> page);

  // A refusal that needs only the head of a request, so that no body is read in vain.
  std::optional<Response> refuse(const Request& head) const;
  // For a request that was not refused. Never throws.
  Reply answer(const Request& request) const;  // a Delay must not outlive the request
  // An error in the envelope that clients of the request's route read.
  Response error(const Request& request, const ApiError& error) const;
  // What every response to the request carries besides its own headers.
  std::vector<Header> extra_headers(const Request& request) const;

  struct Path {
    std::string_view method, path;
    bool open;
  };
  std::vector<Path> paths() const;  // every route, for the tests

 private:
  class ModelDelay;
  Reply dispatch(const Request& request, ModelWait& wait) const;
  Reply answer(const Request& request, std::shared_ptr<LoadTicket> ticket) const;
  ApiResult<Caller> identify(const Request& request) const;
  std::optional<ApiError> check_key(const Request& request, bool for_administrators) const;

  RouteContext context_;
  Access access_;
  std::span<const PageFile> page_;
};

}  // namespace fathom::server
