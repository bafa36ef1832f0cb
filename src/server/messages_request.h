// The body of Anthropic's Messages in the form of Chat Completions, and the signatures of thoughts, by which a client
// brings back what this server thought and nothing else.
#pragma once

#include <string>
#include <string_view>

#include "server/api_error.h"

namespace fathom::server {

// Errors name the field as the client sent it. What Chat Completions checks itself is passed on as it is.
ApiResult<files::Json> messages_to_chat(const files::Json& body);
// An error of Chat Completions in the client's own field names.
ApiError messages_error(ApiError error);

// Valid for as long as this process lives.
std::string signature_of(std::string_view thought);

}  // namespace fathom::server
