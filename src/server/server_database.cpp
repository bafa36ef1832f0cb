#include "server/server_database.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

namespace fathom::server {

namespace {

// Money is counted in billionths of the currency. A key is known by the hash of its secret alone.
constexpr std::string_view kSteps[] = {R"sql(
create table keys (
  id integer primary key,
  name text not null unique,
  hash text not null unique,       -- SHA-256 of the secret, in hexadecimal
  hint text not null,              -- how the secret begins and ends
  scope text not null,
  requests_per_minute integer not null,  -- 0: as many as it likes; so the next three
  tokens_per_minute integer not null,
  concurrent integer not null,
  budget integer not null,
  created_at integer not null,     -- milliseconds since 1970
  revoked_at integer
);
create table usage (
  day text not null,               -- 2026-11-24, in UTC
  key integer not null,            -- 0: asked for without one
  model text not null,
  requests integer not null,
  cache_hit_tokens integer not null,
  cache_miss_tokens integer not null,
  output_tokens integer not null,  -- reasoning included
  reasoning_tokens integer not null,
  seconds real not null,
  money integer not null,
  primary key (day, key, model)
) without rowid;
create index usage_of_key on usage (key);
)sql"};

}  // namespace

base::Result<std::shared_ptr<ServerDatabase>> ServerDatabase::open(const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path().string();
  auto lock = files::FolderLock::try_lock(folder.empty() ? "." : folder, files::FolderLock::Mode::kShared);
  if (!lock) return std::unexpected(lock.error());
  if (!*lock) return base::fail("{} is being restored: try again when that is done", path);
  // SQLite would make it as open as the umask lets it.
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0) return base::fail("{}: cannot be opened: {}", path, std::generic_category().message(errno));
  ::close(file);
  auto database = files::Database::open(path, files::Database::Mode::kWrite);
  if (!database) return std::unexpected(database.error());
  if (auto ready = files::migrate(*database, kSteps); !ready) return std::unexpected(ready.error());
  // A write-ahead log needs no further file for a write: usage is written also when no descriptor is left.
  database->run("PRAGMA journal_mode = WAL");
  database->run("PRAGMA synchronous = FULL");
  if (auto set = database->take_failure(); !set) return std::unexpected(set.error());
  return std::shared_ptr<ServerDatabase>(new ServerDatabase(std::move(**lock), std::move(*database)));
}

std::int64_t ServerDatabase::schema_version() {
  return static_cast<std::int64_t>(std::size(kSteps));
}

}  // namespace fathom::server
