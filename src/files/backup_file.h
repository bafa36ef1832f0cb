// A backup: databases one behind the other, after a line of JSON that names them with their sizes and digests. What
// they hold is not known here.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "files/mapped_file.h"

namespace fathom::files {

struct BackupPart {
  std::string name;
  std::int64_t schema = 0;  // the database's user_version
  std::uint64_t bytes = 0;
  std::string sha256;
};

struct BackupSource {
  std::string name;
  std::int64_t schema = 0;
  std::string path;  // of a database that nobody writes to
};

// The file appears when it is whole. Errors: a source that cannot be read, a disk that is full.
base::Result<void> write_backup(const std::string& path, std::span<const BackupSource> sources);

class BackupFile {
 public:
  // Errors: no backup, one of a later form, one that is cut off.
  static base::Result<BackupFile> open(const std::string& path);

  const std::vector<BackupPart>& parts() const { return parts_; }
  const std::string& made_at() const { return made_at_; }  // "2026-11-24T10:30:00Z"
  // Writes one part of parts() to a file of its own. Errors: bytes that are not those that were backed up; a full disk.
  base::Result<void> extract(const BackupPart& part, const std::string& to) const;

 private:
  std::string path_, made_at_;
  MappedFile file_;
  std::vector<BackupPart> parts_;
  std::size_t first_byte_ = 0;  // of the first part
};

}  // namespace fathom::files
