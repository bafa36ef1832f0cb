// An answer as a response of OpenAI's Responses: output items, and the events by which a stream builds them.
#pragma once

#include <memory>
#include <string>

#include "server/answer_blocks.h"

namespace fathom::server {

struct ResponseHead {
  std::string id;
  std::int64_t created = 0;
  std::string model;
  files::Json asked;                             // the fields of the request that a response repeats
  const tokens::Tokenizer* tokenizer = nullptr;  // outlives the answer
};

// Picks them from a request's body and fills in the defaults.
files::Json repeated_fields(const files::Json& body);

std::unique_ptr<StreamWriter> response_stream(ResponseHead head);
Response whole_response(const ResponseHead& head, const BlockAnswer& answer);

}  // namespace fathom::server
