// One answer, from a question to the screen: another thread hands text over, this one prints it and watches for
// signals. What the answer is for is not known here.
#pragma once

#include <string>

#include "apps/chat_model.h"
#include "apps/chat_printer.h"
#include "apps/terminal_signals.h"
#include "base/error.h"
#include "engine/answer.h"

namespace fathom::apps {

struct ChatAnswer {
  std::string reasoning, content;
  engine::FinishReason finish = engine::FinishReason::kNone;
  std::string error;  // of a run that failed
  engine::RunStatistics statistics;
  double first_seconds = 0;  // until the first text
  bool leave = false;        // a second Ctrl-C, or the terminal is gone

  bool has_text() const { return !reasoning.empty() || !content.empty(); }
};

// Ctrl-C stops the answer, which keeps what has come. `signals` may be null: then they do what they always do. Errors:
// as ChatModel::start.
base::Result<ChatAnswer> stream_answer(ChatModel& model, ChatQuestion question, StreamPrinter& printer,
                                       Signals* signals);

}  // namespace fathom::apps
