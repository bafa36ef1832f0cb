// How a dialect writes an answer: what the engine's deltas become, as a stream or as one response. Each dialect brings
// its own two writers; where the deltas come from and when they are sent is not known here.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/answer.h"
#include "server/api_error.h"
#include "server/run_group.h"

namespace fathom::server {

class StreamWriter {
 public:
  virtual ~StreamWriter() = default;
  virtual std::string open() { return {}; }  // before the first delta
  // Whole events only. Nothing is asked of it once it is done.
  virtual std::string write(int choice, const engine::AnswerDelta& delta) = 0;
  virtual bool done() const = 0;
  // What a client of the dialect takes for a stream, and for a sign of life in it.
  virtual std::string_view content_type() const { return "text/event-stream"; }
  virtual std::string keep_alive() const { return ": keep-alive\n\n"; }
};

class ResponseWriter {
 public:
  virtual ~ResponseWriter() = default;
  virtual void add(int choice, const engine::AnswerDelta& delta) = 0;
  virtual bool done() const = 0;
  virtual Response response() const = 0;  // once it is done
};

// The reply that hands every delta of the runs to the writer. Dropping it cancels them.
Reply reply_with(RunGroup runs, std::unique_ptr<StreamWriter> writer);
Reply reply_with(RunGroup runs, std::unique_ptr<ResponseWriter> writer);

// What a client is told of a run that failed or whose turn did not come; none for every other end.
std::optional<ApiError> failure_of(const engine::AnswerDelta& last);

// Server-sent events: "data: ...", and the same after "event: NAME".
std::string data_event(const files::Json& data);
std::string named_event(std::string_view name, const files::Json& data);

// An unguessable id: the prefix and 24 hexadecimal digits.
std::string new_id(std::string_view prefix);

}  // namespace fathom::server
