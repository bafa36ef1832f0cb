// From the body of a chat request to running answers. Every chat dialect comes here once its body has the form of Chat
// Completions.
#pragma once

#include "server/chat_request.h"
#include "server/routes.h"
#include "server/run_group.h"

namespace fathom::server {

// What the request asks of its runs, all but the prompt.
RunGroup::Plan answer_plan(const ChatRequest& request);

struct ChatPrompt {
  ModelUse model;
  ChatRequest request;
  tokens::Rendered rendered;
};

// Errors: whatever the body asks that cannot be.
ApiResult<ChatPrompt> read_chat(const RouteContext& context, const files::Json& body);

struct ChatRun {
  ModelUse model;
  ChatRequest request;
  RunGroup runs;
};

// Errors: the same, and RunGroup::start's.
ApiResult<ChatRun> start_chat(const RouteContext& context, const files::Json& body);

}  // namespace fathom::server
