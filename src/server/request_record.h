// What one request was and what came of it: written by whoever learns it on the request's way, one after the other, and
// read at its end by the log and the metrics. It holds no secret and, unless it is asked for, no prompt.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "server/usage_ledger.h"

namespace fathom::server {

struct RequestRecord {
  std::string id;  // the answer's X-Request-Id
  std::chrono::steady_clock::time_point begun = std::chrono::steady_clock::now();
  std::string_view route = "none";      // the row of the table, not what the client wrote
  std::string_view dialect = "fathom";  // whose clients the route is for
  std::string key;                      // its name; "": none, or that of the command line
  std::string model;                    // "": nothing was asked of one
  int status = 0;
  std::string error;                                  // the code of what went wrong, also in the middle of a stream
  bool complete = false;                              // the answer went out to its end
  UsageCounts used;                                   // of all its runs
  double queue_seconds = 0, first_token_seconds = 0;  // of the run that waited longest; from its coming on
  std::string body;                                   // what was asked, where prompts are logged

  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count(); }
};

}  // namespace fathom::server
