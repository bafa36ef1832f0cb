// A text to continue, or a gap to fill, for dialects other than Completions.
#pragma once

#include "server/chat_run.h"

namespace fathom::server {

// `body` as of /v1/completions, with one prompt and one choice.
ApiResult<ChatRun> start_completion(const RouteContext& context, files::Json body);
// Whether the model has the tokens for filling in.
bool can_fill_in(const tokens::Tokenizer& tokenizer);

}  // namespace fathom::server
