// Reading typed blocks.
#include "server/block_reader.h"

#include <algorithm>

namespace fathom::server {

using files::Json;

ApiError bad_block(const std::string& where, std::string_view problem) {
  return {.status = 400, .message = fmt::format("{}: {}", where, problem), .param = where, .code = "invalid_value"};
}

std::string block_type(const Json& block) {
  if (!block.is_object()) return {};
  const auto type = block.find("type");
  return type != block.end() && type->is_string() ? type->get<std::string>() : std::string{};
}

ApiError unreadable_block(const std::string& where, const Json& block, std::string_view readable) {
  const std::string type = block_type(block).substr(0, 40);
  if (type.empty()) return bad_block(where, "expected an object with a type");
  return bad_block(where, fmt::format("'{}' cannot be read here, only {}", type, readable));
}

ApiResult<std::string> block_text(const Json& block, const char* field, const std::string& where) {
  const auto text = block.find(field);
  if (text == block.end() || !text->is_string())
    return std::unexpected(bad_block(fmt::format("{}.{}", where, field), "expected a string"));
  return text->get<std::string>();
}

ApiResult<std::string> joined_text(const Json& content, const std::string& where,
                                   std::span<const std::string_view> types) {
  if (content.is_null()) return std::string{};
  if (content.is_string()) return content.get<std::string>();
  if (!content.is_array()) return std::unexpected(bad_block(where, "expected a string or an array of parts"));
  std::string text;
  for (std::size_t i = 0; i < content.size(); ++i) {
    const std::string at = fmt::format("{}[{}]", where, i);
    if (std::ranges::find(types, block_type(content[i])) == types.end())
      return std::unexpected(unreadable_block(at, content[i], "text"));
    auto piece = block_text(content[i], "text", at);
    if (!piece) return piece;
    if (i > 0) text += '\n';
    text += *piece;
  }
  return text;
}

ApiError in_own_words(ApiError error, std::span<const RenamedField> names) {
  if (error.status == 422) error.status = 400;
  const std::string first = error.param.substr(0, error.param.find_first_of(".["));
  for (const RenamedField& name : names) {
    if (first != name.chat) continue;
    error.param.replace(0, first.size(), name.own);
    if (error.message.starts_with(first)) error.message.replace(0, first.size(), name.own);
    break;
  }
  return error;
}

}  // namespace fathom::server
