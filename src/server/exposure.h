// Whether a server may be reached from other machines: only with a key, and only where nobody on the way can read
// along.
#pragma once

#include <string>

#include "base/error.h"

namespace fathom::server {

struct Exposure {
  std::string host;  // what it listens on
  bool asks_for_key = false;
  bool encrypts = false;   // TLS of its own
  bool has_proxy = false;  // the configuration names a proxy that encrypts
  bool open = false;       // whoever starts it wants it open, for a network of a container's or a test's own
};

bool is_loopback(const std::string& host);

// Errors: what is missing, with the commands that would allow it.
base::Result<void> check_exposure(const Exposure& exposure);

}  // namespace fathom::server
