// The OpenAI error envelope.
#include "server/api_error.h"

namespace fathom::server {

namespace {

const char* error_type(int status) {
  switch (status) {
    case 402:
      return "insufficient_quota";
    case 401:
      return "authentication_error";
    case 429:
      return "rate_limit_error";
    case 503:
      return "overloaded_error";
    default:
      return status >= 500 ? "server_error" : "invalid_request_error";
  }
}

files::Json text_or_null(const std::string& text) {
  return text.empty() ? files::Json(nullptr) : files::Json(text);
}

}  // namespace

files::Json error_body(const ApiError& error) {
  return {{"error",
           {{"message", error.message},
            {"type", error_type(error.status)},
            {"param", text_or_null(error.param)},
            {"code", text_or_null(error.code)}}}};
}

Response error_response(const ApiError& error) {
  Response response = json_response(error.status, error_body(error));
  response.error_code = error.code;
  if (error.status == 401) response.headers.push_back({"WWW-Authenticate", "Bearer"});
  if (error.status == 429 || error.status == 503)
    response.headers.push_back({"Retry-After", std::to_string(std::max(1, error.retry_after))});
  return response;
}

}  // namespace fathom::server
