// What was pulled into a folder of the store and from where: fathom.json beside the files. Written before the first
// byte is fetched, so that a file that has its name was checked against the digest that stands here.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "base/error.h"

namespace fathom::files {

struct PullRecord {
  std::string name;        // as a person types it
  std::string repository;  // owner/repo
  std::string commit;
  std::map<std::string, std::string> digests;  // by file name

  static constexpr const char* kFileName = "fathom.json";
};

// Nothing where there is none that can be read.
std::optional<PullRecord> read_record(const std::string& folder);
base::Result<void> write_record(const std::string& folder, const PullRecord& record);

}  // namespace fathom::files
