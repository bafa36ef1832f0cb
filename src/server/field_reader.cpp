// Reading one field: its kind, then its range.
#include "server/field_reader.h"

#include <cmath>

namespace fathom::server {

std::string_view json_kind(const files::Json& value) {
  switch (value.type()) {
    case files::Json::value_t::null:
      return "null";
    case files::Json::value_t::object:
      return "an object";
    case files::Json::value_t::array:
      return "an array";
    case files::Json::value_t::string:
      return "a string";
    case files::Json::value_t::boolean:
      return "a boolean";
    case files::Json::value_t::number_float:
      return "a number";
    default:
      return value.is_number() ? "an integer" : "not JSON";
  }
}

ApiResult<files::Json> read_body(const Request& request) {
  // Deep enough for any schema a person writes; the size is bounded by the server before it is read.
  auto body = files::parse_json(request.body, "request body", {.depth = 64, .values = std::size_t{1} << 20});
  if (!body) return std::unexpected(ApiError{.status = 400, .message = body.error().message, .code = "invalid_json"});
  if (!body->is_object()) {
    return std::unexpected(
        ApiError{.status = 400,
                 .message = fmt::format("request body: expected a JSON object, found {}", json_kind(*body)),
                 .code = "invalid_json"});
  }
  return std::move(*body);
}

const files::Json* FieldReader::value(const char* name) const {
  const auto found = object_.find(name);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

void FieldReader::refuse(ApiError error) {
  if (!error_) error_ = std::move(error);
}

void FieldReader::refuse(std::string param, std::string message) {
  std::string text = param + ": " + message;
  refuse({.status = 422, .message = std::move(text), .param = std::move(param), .code = "invalid_value"});
}

std::optional<bool> FieldReader::boolean(const char* name) {
  const files::Json* found = value(name);
  if (found == nullptr) return std::nullopt;
  if (found->is_boolean()) return found->get<bool>();
  refuse(name, fmt::format("expected true or false, found {}", json_kind(*found)));
  return std::nullopt;
}

std::optional<std::int64_t> FieldReader::integer(const char* name, std::int64_t low, std::int64_t high) {
  const files::Json* found = value(name);
  if (found == nullptr) return std::nullopt;
  // Some clients write whole numbers as 64.0.
  const bool whole = found->is_number_float() && std::floor(found->get<double>()) == found->get<double>();
  if (!found->is_number_integer() && !whole) {
    refuse(name, fmt::format("expected an integer from {} to {}, found {}", low, high, json_kind(*found)));
    return std::nullopt;
  }
  const double approximate = found->get<double>();  // also right for an unsigned number beyond int64's range
  const bool inside = approximate >= static_cast<double>(low) && approximate <= static_cast<double>(high) &&
                      std::abs(approximate) < 9.2e18;
  const std::int64_t number = inside ? found->get<std::int64_t>() : 0;
  if (!inside || number < low || number > high) {
    refuse(name, fmt::format("expected an integer from {} to {}, found {}", low, high, found->dump()));
    return std::nullopt;
  }
  return number;
}

std::optional<double> FieldReader::number(const char* name, double low, double high) {
  const files::Json* found = value(name);
  if (found == nullptr) return std::nullopt;
  if (!found->is_number()) {
    refuse(name, fmt::format("expected a number from {} to {}, found {}", low, high, json_kind(*found)));
    return std::nullopt;
  }
  const double number = found->get<double>();
  if (!(number >= low && number <= high)) {
    refuse(name, fmt::format("expected a number from {} to {}, found {}", low, high, found->dump()));
    return std::nullopt;
  }
  return number;
}

std::optional<std::string> FieldReader::text(const char* name) {
  const files::Json* found = value(name);
  if (found == nullptr) return std::nullopt;
  if (found->is_string()) return found->get<std::string>();
  refuse(name, fmt::format("expected a string, found {}", json_kind(*found)));
  return std::nullopt;
}

const files::Json* FieldReader::object(const char* name) {
  const files::Json* found = value(name);
  if (found == nullptr || found->is_object()) return found;
  refuse(name, fmt::format("expected an object, found {}", json_kind(*found)));
  return nullptr;
}

const files::Json* FieldReader::array(const char* name) {
  const files::Json* found = value(name);
  if (found == nullptr || found->is_array()) return found;
  refuse(name, fmt::format("expected an array, found {}", json_kind(*found)));
  return nullptr;
}

}  // namespace fathom::server
