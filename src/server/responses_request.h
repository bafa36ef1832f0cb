// The body of OpenAI's Responses in the form of Chat Completions. Nothing is stored, so all that a turn needs stands in
// the request.
#pragma once

#include "server/api_error.h"

namespace fathom::server {

// Errors name the field as the client sent it. What Chat Completions checks itself is passed on as it is.
ApiResult<files::Json> responses_to_chat(const files::Json& body);
// An error of Chat Completions in the client's own field names.
ApiError responses_error(ApiError error);

}  // namespace fathom::server
