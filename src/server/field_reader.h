// Typed, range-checked reading of a request's JSON object. The first field that is wrong is kept as the error, so that
// a reader of many fields stays a plain list. An absent field and null are the same; unknown fields are never looked
// at.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "server/api_error.h"

namespace fathom::server {

class FieldReader {
 public:
  explicit FieldReader(const files::Json& object) : object_(object) {}

  const files::Json* value(const char* name) const;  // nullptr where it is absent or null
  std::optional<bool> boolean(const char* name);
  std::optional<std::int64_t> integer(const char* name, std::int64_t low, std::int64_t high);
  std::optional<double> number(const char* name, double low, double high);
  std::optional<std::string> text(const char* name);
  const files::Json* object(const char* name);
  const files::Json* array(const char* name);

  // Keeps the first error only. 422, with the field named.
  void refuse(std::string param, std::string message);
  void refuse(ApiError error);
  const std::optional<ApiError>& error() const { return error_; }

 private:
  const files::Json& object_;
  std::optional<ApiError> error_;
};

// What a value is, for messages: "a string", "an array", ...
std::string_view json_kind(const files::Json& value);

// The body of a request as a JSON object; 400 where it is not one.
ApiResult<files::Json> read_body(const Request& request);

}  // namespace fathom::server
