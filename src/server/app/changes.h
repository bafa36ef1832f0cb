// GET /app/events: what changed, told to every tab that listens. The last changes are kept, so that a line that broke
// for a moment goes on where it was.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <mutex>

#include "server/app/call.h"

namespace fathom::server::app {

class Changes {
 public:
  Changes();

  // `change` has the `type` that the contract gives it.
  void publish(const Json& change);
  // From a position that an earlier stream gave; one that is no longer held, or of an earlier server, starts with
  // `reset`; "": with what happens next.
  std::unique_ptr<EventStream> watch(const std::string& position);
  void close();  // ends all streams

 private:
  class Stream;
  struct State;
  std::shared_ptr<State> state_;  // shared with the streams
};

}  // namespace fathom::server::app
