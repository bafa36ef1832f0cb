#include "server/app/strict_fields.h"

#include <algorithm>

namespace fathom::server::app {

AppResult<Json> read_object(const Request& request) {
  auto body = read_body(request);
  if (!body) return std::unexpected(bad_request("", body.error().message));
  return std::move(*body);
}

StrictFields::StrictFields(const Json& object, std::initializer_list<std::string_view> known, std::string where)
    : FieldReader(object), where_(std::move(where)) {
  for (const auto& [name, value] : object.items()) {
    if (std::ranges::find(known, name) == known.end())
      refuse(name.substr(0, 100), fmt::format("there is no such field; there is: {}", fmt::join(known, ", ")));
  }
}

std::optional<std::string> StrictFields::text_of(const char* name, std::size_t most) {
  auto found = text(name);
  if (found && (found->empty() || found->size() > most)) {
    refuse(name, fmt::format("expected a text of 1 to {} bytes, found {}", most, found->size()));
    return std::nullopt;
  }
  return found;
}

std::optional<std::string> StrictFields::id(const char* name) {
  auto found = text(name);
  if (found && !is_id(*found)) {
    refuse(name, "expected 8 to 40 letters, digits, \"_\" or \"-\"");
    return std::nullopt;
  }
  return found;
}

std::vector<std::string> StrictFields::ids(const char* name, std::size_t most) {
  std::vector<std::string> found;
  const Json* list = array(name);
  if (list == nullptr) return found;
  if (list->size() > most) refuse(name, fmt::format("expected at most {}, found {}", most, list->size()));
  for (const Json& item : *list) {
    const auto* text = item.get_ptr<const std::string*>();
    if (text == nullptr || !is_id(*text) || std::ranges::find(found, *text) != found.end()) {
      refuse(name, "expected ids of 8 to 40 letters, digits, \"_\" or \"-\", each once");
      return {};
    }
    found.push_back(*text);
  }
  return found;
}

std::string StrictFields::required_id(const char* name) {
  if (value(name) == nullptr) refuse(name, "is missing");
  return id(name).value_or("");
}

std::string StrictFields::required_text(const char* name, std::size_t most) {
  if (value(name) == nullptr) refuse(name, "is missing");
  return text_of(name, most).value_or("");
}

std::optional<AppError> StrictFields::wrong() const {
  if (!error()) return std::nullopt;
  return AppError{.status = 400,
                  .code = "bad_request",
                  .message = where_ + error()->message,
                  .param = error()->param.empty() ? "" : where_ + error()->param};
}

}  // namespace fathom::server::app
