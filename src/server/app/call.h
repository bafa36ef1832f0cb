// One request to the chat app's API (web/api/app.yaml): its path's values, its query, its body, and its errors.
#pragma once

#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "chat/outcome.h"
#include "server/routes.h"

namespace fathom::server::app {

using files::Json;

struct AppError {
  int status = 400;
  std::string code;
  std::string message;
  std::string param = {};       // the field at fault
  Json extra = Json::object();  // further fields of the error
};

template <class T>
using AppResult = std::expected<T, AppError>;

AppError bad_request(std::string param, std::string message);
AppError not_found(std::string message);
AppError from_refusal(const chat::Refusal& refusal);
Response error_reply(const AppError& error);

class Call {
 public:
  Call(const Request& request, std::vector<std::string> values, ModelWait& wait)
      : request_(request), values_(std::move(values)), wait_(wait) {}

  const Request& request() const { return request_; }
  ModelWait& wait() const { return wait_; }
  const std::string& value(std::size_t index) const { return values_.at(index); }  // of the path, decoded
  std::optional<std::string> query(std::string_view name) const;                   // decoded; "" where it is broken
  AppResult<std::int64_t> query_integer(std::string_view name, std::int64_t low, std::int64_t high,
                                        std::int64_t fallback) const;
  AppResult<bool> query_boolean(std::string_view name, bool fallback) const;
  // Where a reader of events goes on: `from`, else the header Last-Event-ID, else "".
  std::string position() const;

 private:
  const Request& request_;
  std::vector<std::string> values_;
  ModelWait& wait_;
};

// SHA-256 of an object's text, its fields in the order in which they came: to know a request again.
std::string digest_of(const Json& object);

inline constexpr std::size_t kMaxTitleBytes = 800;  // 200 characters

bool is_id(std::string_view text);  // of conversations, messages, runs, files and presets
bool is_model_id(std::string_view text);

}  // namespace fathom::server::app
