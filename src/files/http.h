// One HTTP exchange at a time by libcurl, with what a download needs: ranges, redirects that do not carry a token to
// another host, a stop. What the bytes mean is not known here. The user's choice of proxy (HTTPS_PROXY) is curl's to
// honour.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/function_ref.h"

namespace fathom::files {

struct HttpRequest {
  std::string url;
  std::string bearer;      // sent to the url's own origin only, never on to where it redirects
  std::uint64_t from = 0;  // first byte wanted; 0 asks for the whole
  std::string if_range;    // the ETag that the bytes before `from` had
  std::stop_token stop;
  int stall_seconds = 30;  // no byte for so long is a broken connection
  std::string post;        // JSON to send; "": a GET
  // To a server of this machine's own: no proxy between, and its certificate, which names another host, is not checked.
  bool to_this_machine = false;
};

struct HttpResponse {
  int status = 0;
  std::string etag;
  std::string linked_etag;                                // X-Linked-Etag: what the hub says the target's digest is
  std::string error_message;                              // X-Error-Message: the hub's own words
  std::optional<std::uint64_t> range_begin, range_total;  // Content-Range of a 206
  int retry_after_seconds = 0;
  std::string refusal;  // the beginning of the body that came with another status than 2xx
};

// Failures worth another try (a broken connection, a server too busy) are told apart from those that are not.
struct HttpError {
  std::string message;
  bool retry = false;
  bool stopped = false;
};

// `started` sees the final response's head before the first byte of its body and says whether the body is wanted;
// `body` takes it in pieces and may refuse more. Statuses other than 2xx are responses, not errors; their bodies go
// into `refusal`.
struct HttpSinks {
  std::function<bool(const HttpResponse&)> started;
  std::function<bool(std::span<const std::byte>)> body;
};

std::expected<HttpResponse, HttpError> http_get(const HttpRequest& request, const HttpSinks& sinks);

// A small document whole. Errors also: longer than `most` bytes.
struct HttpDocument {
  HttpResponse head;
  std::string text;
};
std::expected<HttpDocument, HttpError> http_get_text(const HttpRequest& request, std::size_t most);

// Whether `a` and `b` have the same scheme, host and port.
bool same_origin(const std::string& a, const std::string& b);
// Whether a token may go there: https, or http to this machine.
bool is_private_enough(const std::string& url);

}  // namespace fathom::files
