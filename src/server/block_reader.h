// The parts that conversations of Messages and Responses are made of: objects with a "type". Errors are 400 and name
// the place.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "server/api_error.h"

namespace fathom::server {

ApiError bad_block(const std::string& where, std::string_view problem);
std::string block_type(const files::Json& block);  // "" where it has none
// For messages: a type that nobody knows may be long.
ApiError unreadable_block(const std::string& where, const files::Json& block, std::string_view readable);
ApiResult<std::string> block_text(const files::Json& block, const char* field, const std::string& where);
// A string, or blocks of these types with a "text", joined by line ends; null is no text.
ApiResult<std::string> joined_text(const files::Json& content, const std::string& where,
                                   std::span<const std::string_view> types);

// Errors of Chat Completions in the words of another dialect: the first part of `param` ("messages" of
// "messages[3].content") under its own name, there and at the beginning of the message. What Chat Completions calls 422
// is 400 in all the others.
struct RenamedField {
  std::string_view chat, own;
};
ApiError in_own_words(ApiError error, std::span<const RenamedField> names);

}  // namespace fathom::server
