// The server's log: a line for each request, and whatever else it has to say, as text or as JSON lines.
#pragma once

#include <memory>
#include <string>

#include "base/error.h"
#include "server/http.h"

namespace spdlog {
class logger;
}

namespace fathom::server {

struct LogOptions {
  bool json = false;
  std::string file;      // appended to; "": standard error
  bool prompts = false;  // requests' bodies too
  bool quiet = false;    // nothing of what went as it should; a request that the server failed is told
};

class RequestLog {
 public:
  // From now on everything that the program logs goes there. Errors: a file that cannot be opened.
  static base::Result<std::shared_ptr<RequestLog>> open(const LogOptions& options);

  bool wants_prompts() const { return prompts_; }
  // Of a request that is over, by its record.
  void write(const Request& request) const;

 private:
  RequestLog(std::shared_ptr<spdlog::logger> logger, const LogOptions& options);

  std::shared_ptr<spdlog::logger> logger_;
  bool json_, prompts_;
};

}  // namespace fathom::server
