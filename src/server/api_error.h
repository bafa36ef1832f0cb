// A refusal as the OpenAI dialect writes it: {"error":{"message","type","param","code"}}.
#pragma once

#include <expected>
#include <string>

#include "server/http.h"

namespace fathom::server {

struct ApiError {
  int status = 400;
  std::string message;
  std::string param;  // the field that is wrong; "" is written as null
  std::string code;
  int retry_after = 0;  // seconds; 0: not said
};

template <class T>
using ApiResult = std::expected<T, ApiError>;

files::Json error_body(const ApiError& error);
Response error_response(const ApiError& error);

}  // namespace fathom::server
