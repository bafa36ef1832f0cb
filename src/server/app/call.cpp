#include "server/app/call.h"

#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <charconv>

namespace fathom::server::app {

namespace {

bool is_plain(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '-';
}

}  // namespace

AppError bad_request(std::string param, std::string message) {
  std::string text = param.empty() ? std::move(message) : param + ": " + message;
  return {.status = 400, .code = "bad_request", .message = std::move(text), .param = std::move(param)};
}

AppError not_found(std::string message) {
  return {.status = 404, .code = "not_found", .message = std::move(message)};
}

AppError from_refusal(const chat::Refusal& refusal) {
  using chat::Problem;
  switch (refusal.problem) {
    case Problem::kNotFound:
      return not_found(refusal.message);
    case Problem::kIdTaken:
      return {.status = 409, .code = "id_taken", .message = refusal.message};
    case Problem::kRunInProgress:
      return {
          .status = 409, .code = "run_in_progress", .message = refusal.message, .extra = {{"run_id", refusal.run_id}}};
    case Problem::kNotContinuable:
      return {.status = 409, .code = "not_continuable", .message = refusal.message};
    case Problem::kInUse:
      return {.status = 409, .code = "in_use", .message = refusal.message};
    case Problem::kBadRequest:
      return bad_request("", refusal.message);
    case Problem::kStorage:
      break;
  }
  const bool full = refusal.message.contains("disk is full");
  return {.status = 503, .code = full ? "no_space" : "internal_error", .message = refusal.message};
}

Response error_reply(const AppError& error) {
  Json body = {{"message", error.message},
               {"type", error.status >= 500 ? "server_error" : "invalid_request_error"},
               {"param", error.param.empty() ? Json(nullptr) : Json(error.param)},
               {"code", error.code}};
  body.update(error.extra);
  Response response = json_response(error.status, {{"error", std::move(body)}});
  response.error_code = error.code;
  return response;
}

std::optional<std::string> Call::query(std::string_view name) const {
  const std::string_view target = request_.target;
  const auto mark = target.find('?');
  if (mark == target.npos) return std::nullopt;
  for (std::string_view rest = target.substr(mark + 1); !rest.empty();) {
    const std::size_t end = std::min(rest.find('&'), rest.size());
    const std::string_view field = rest.substr(0, end);
    const std::size_t equal = std::min(field.find('='), field.size());
    if (field.substr(0, equal) == name) {
      std::string text(field.substr(std::min(equal + 1, field.size())));
      std::ranges::replace(text, '+', ' ');
      return percent_decoded(text).value_or("");
    }
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return std::nullopt;
}

AppResult<std::int64_t> Call::query_integer(std::string_view name, std::int64_t low, std::int64_t high,
                                            std::int64_t fallback) const {
  const auto text = query(name);
  if (!text) return fallback;
  std::int64_t number = 0;
  const char* end = text->data() + text->size();
  const auto [stop, error] = std::from_chars(text->data(), end, number);
  if (error != std::errc{} || stop != end || number < low || number > high)
    return std::unexpected(
        bad_request(std::string(name), fmt::format("expected a whole number from {} to {}", low, high)));
  return number;
}

AppResult<bool> Call::query_boolean(std::string_view name, bool fallback) const {
  const auto text = query(name);
  if (!text) return fallback;
  if (*text == "true") return true;
  if (*text == "false") return false;
  return std::unexpected(bad_request(std::string(name), "expected true or false"));
}

std::string Call::position() const {
  if (const auto from = query("from")) return *from;
  return std::string(request_.header("last-event-id"));
}

std::string digest_of(const Json& object) {
  const std::string text = json_text(object);
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
  std::string result;
  for (const unsigned char byte : digest) result += fmt::format("{:02x}", byte);
  return result;
}

bool is_id(std::string_view text) {
  return text.size() >= 8 && text.size() <= 40 && std::ranges::all_of(text, is_plain);
}

bool is_model_id(std::string_view text) {
  return !text.empty() && text.size() <= 100 && is_plain(text.front()) && text.front() != '_' && text.front() != '-' &&
         std::ranges::all_of(text, [](char c) { return is_plain(c) || c == '.'; });
}

}  // namespace fathom::server::app
