// backup and restore: keys, usage and conversations to one file and back. A backup is made beside a running server; a
// restore wants nobody else there, checks everything first and keeps what it replaces.
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "apps/chat_data.h"
#include "apps/commands.h"
#include "chat/schema.h"
#include "files/backup_file.h"
#include "files/folder_lock.h"
#include "files/places.h"

namespace fathom::apps {

using base::fail;
using base::Result;
using files::Database;

namespace {

struct Kept {
  std::string name, path;
  std::int64_t known = 0;  // schema steps
  Result<Database> (*open)(const std::string&, Database::Mode);
};

struct Folders {
  std::string data, chat;

  std::vector<Kept> databases() const {
    return {{"server.db", data + "/server.db", server::ServerDatabase::schema_version(), Database::open},
            {"chat.db", ChatData::database_in(chat), static_cast<std::int64_t>(chat::schema_steps().size()),
             chat::open_connection}};
  }
};

Result<Folders> folders_of(const BackupFlags& flags) {
  const auto places = files::Places::from_environment();
  if (!places) return std::unexpected(places.error());
  return Folders{.data = places->data, .chat = flags.chat_data.empty() ? places->data + "/chat" : flags.chat_data};
}

bool is_there(const std::string& path) {
  std::error_code error;
  return std::filesystem::exists(path, error);
}

// A file that is removed at the end, whatever that is.
class TemporaryFile {
 public:
  explicit TemporaryFile(std::string path) : path_(std::move(path)) { ::unlink(path_.c_str()); }
  ~TemporaryFile() {
    if (!path_.empty()) ::unlink(path_.c_str());
  }
  TemporaryFile(TemporaryFile&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  TemporaryFile& operator=(TemporaryFile&&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// The version of a database that this program knows and SQLite finds sound.
Result<std::int64_t> checked_version(const Kept& kept, const std::string& path) {
  auto database = kept.open(path, Database::Mode::kRead);
  if (!database) return std::unexpected(database.error());
  if (auto known = files::check_schema(*database, kept.known); !known) return std::unexpected(known.error());
  const auto version = files::schema_version(*database);
  std::string said;
  for (files::Rows row = database->query("PRAGMA integrity_check(1)"); row.next();) said = row.text(0);
  if (auto done = database->take_failure(); !done) return std::unexpected(done.error());
  if (said != "ok") return fail("{}: damaged: {}", path, said);
  return version;
}

// A copy of a database as it is at one moment, made while others may write to it.
Result<files::BackupSource> copy_of(const Kept& kept, const std::string& to) {
  auto database = kept.open(kept.path, Database::Mode::kRead);
  if (!database) return std::unexpected(database.error());
  if (auto known = files::check_schema(*database, kept.known); !known) return std::unexpected(known.error());
  if (auto copied = files::copy_database(*database, to); !copied) return std::unexpected(copied.error());
  const auto version = checked_version(kept, to);
  if (!version) return std::unexpected(version.error());
  return files::BackupSource{.name = kept.name, .schema = *version, .path = to};
}

// A damaged database may be, one of a newer version may not.
Result<void> may_be_replaced(const Kept& kept) {
  if (!is_there(kept.path)) return {};
  auto now = kept.open(kept.path, Database::Mode::kRead);
  if (!now) return {};
  const auto version = files::schema_version(*now);
  return version && *version > kept.known ? files::check_schema(*now, kept.known) : Result<void>();
}

// What is there goes aside under another name, with what SQLite keeps beside it; then the new one takes its place.
std::string aside(const std::string& path) {
  return path + ".before-restore";
}
Result<void> replace(const std::string& path, const std::string& by) {
  for (const char* end : {"", "-wal", "-shm"}) ::unlink((aside(path) + end).c_str());
  std::error_code error;
  for (const char* end : {"-wal", "-shm", ""}) {
    if (is_there(path + end)) std::filesystem::rename(path + end, aside(path) + end, error);
    if (error) return fail("{}: cannot be moved aside: {}", path + end, error.message());
  }
  std::filesystem::rename(by, path, error);
  if (error) return fail("{}: cannot be put in place, what was there is {}: {}", path, aside(path), error.message());
  return {};
}

Result<files::FolderLock> lock_alone(const std::string& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return fail("{}: cannot be made: {}", folder, error.message());
  auto lock = files::FolderLock::try_lock(folder);
  if (!lock) return std::unexpected(lock.error());
  if (!*lock) return fail("another fathom uses {}: stop it before what is kept there is replaced", folder);
  return std::move(**lock);
}

}  // namespace

Status backup(const BackupFlags& flags) {
  ::umask(0077);  // conversations and keys are for their owner's eyes
  const auto folders = folders_of(flags);
  if (!folders) return std::unexpected(folders.error());
  if (is_there(flags.file)) return fail("{}: is there already: choose another name", flags.file);
  std::vector<TemporaryFile> copies;
  std::vector<files::BackupSource> sources;
  std::string names;
  for (const Kept& kept : folders->databases()) {
    if (!is_there(kept.path)) continue;
    copies.emplace_back(flags.file + "." + kept.name + ".part");
    auto source = copy_of(kept, copies.back().path());
    if (!source) return std::unexpected(source.error());
    sources.push_back(std::move(*source));
    names += (names.empty() ? "" : ", ") + kept.name;
  }
  if (sources.empty()) return fail("nothing is kept in {} yet", folders->data);
  if (auto written = files::write_backup(flags.file, sources); !written) return written;
  fmt::print("{}: {}\n", flags.file, names);
  return {};
}

Status restore(const BackupFlags& flags) {
  ::umask(0077);
  const auto folders = folders_of(flags);
  if (!folders) return std::unexpected(folders.error());
  const auto backup = files::BackupFile::open(flags.file);
  if (!backup) return std::unexpected(backup.error());
  const auto data_lock = lock_alone(folders->data);
  if (!data_lock) return std::unexpected(data_lock.error());
  const auto chat_lock = lock_alone(folders->chat);
  if (!chat_lock) return std::unexpected(chat_lock.error());

  const std::vector<Kept> databases = folders->databases();
  std::vector<std::pair<const Kept*, TemporaryFile>> ready;
  for (const files::BackupPart& part : backup->parts()) {
    const auto kept = std::ranges::find(databases, part.name, &Kept::name);
    if (kept == databases.end())
      return fail("{}: holds {:?}, which this version of the program does not know", flags.file, part.name);
    if (auto replaceable = may_be_replaced(*kept); !replaceable) return replaceable;
    ready.emplace_back(&*kept, TemporaryFile(kept->path + ".restoring"));
    const std::string& path = ready.back().second.path();
    if (auto extracted = backup->extract(part, path); !extracted) return extracted;
    if (const auto version = checked_version(*kept, path); !version) return std::unexpected(version.error());
  }
  for (const auto& [kept, file] : ready) {
    if (auto replaced = replace(kept->path, file.path()); !replaced) return replaced;
    fmt::print("{}: as of {}{}\n", kept->path, backup->made_at(),
               is_there(aside(kept->path)) ? "; what was there is " + aside(kept->path) : "");
  }
  return {};
}

}  // namespace fathom::apps
