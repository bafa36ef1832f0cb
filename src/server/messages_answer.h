// An answer as a message of Anthropic's API: blocks, their events, and errors in that API's own envelope.
#pragma once

#include <memory>
#include <string>

#include "server/answer_blocks.h"

namespace fathom::server {

struct MessageHead {
  std::string id;
  std::string model;
};

std::unique_ptr<StreamWriter> message_stream(MessageHead head);
Response whole_message(const MessageHead& head, const BlockAnswer& answer);
Response anthropic_error(const ApiError& error);

}  // namespace fathom::server
