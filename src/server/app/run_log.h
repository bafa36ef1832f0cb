// What a run produced, and its log as events. The log is not a list: a position counts the bytes of reasoning, the end
// of the reasoning, the bytes of content and the end, in this order, so that what lies behind any position can be told
// from the texts alone, joined, also after the server started anew.
#pragma once

#include <cstdint>
#include <string>

#include "chat/records.h"
#include "server/app/call.h"

namespace fathom::server::app {

struct RunLog {
  std::string reasoning, content;  // this run's alone
  bool thought = false;            // the reasoning came to its end
  double reasoning_seconds = 0;
  std::int64_t reasoning_tokens = 0, tokens = 0;
  bool ended = false;
  std::string status = "running";
  std::optional<chat::RunError> error;
  std::optional<Json> usage;

  std::int64_t position() const;
  // Whole server-sent events for all that lies behind `position`.
  std::string events_after(std::int64_t position) const;
};

// The log of a run that is over, from its message.
RunLog log_of(const chat::Run& run, const chat::Message& message);

Json error_json(const std::optional<chat::RunError>& error);
Json run_json(const chat::Run& run, const RunLog& log);

}  // namespace fathom::server::app
