// Files of the hub into a folder of this machine: each resumed where a broken download stopped, checked against the
// digest that the hub records, and given its name only then. What other programs hold already is linked, not fetched.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "base/error.h"
#include "files/hub.h"

namespace fathom::files {

struct PullProgress {
  enum class Phase { kConnecting, kWaiting, kChecking, kFetching, kDone };
  Phase phase = Phase::kFetching;     // waiting: for another program that pulls the same model
  std::string_view file;              // while connecting: the hub's address
  std::uint64_t done = 0, total = 0;  // bytes of all files
  double bytes_per_second = 0;        // over the last seconds; 0 while unknown
  double seconds_left = 0;            // 0 while unknown
};

struct Download {
  HubAccess access;
  HubName name;
  std::string shown_name;  // what the folder's record says a person types for this model
  std::string commit;
  std::vector<HubFile> files;
  std::string folder;  // made if it is not there; files come to lie in it by their last name, beside a PullRecord
  // A path where a file of this digest and name may lie already on this machine, or empty. What it names is checked.
  std::function<std::string(const HubFile&)> find_here;
  std::function<void(const PullProgress&)> progress;  // called at most ten times a second
  std::stop_token stop;
};

// Errors: refused by the hub, no room on the disk (known before anything is fetched), a digest that stays wrong, a
// connection that stays broken, stopped. What was fetched of an unfinished file is kept for the next try.
base::Result<void> download(const Download& request);

}  // namespace fathom::files
