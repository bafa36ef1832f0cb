// The wrapper over SQLite's C interface: the only file that calls it, but for tokenizers, which bring their own.
#include "files/sqlite.h"

#include <sqlite3.h>

#include <atomic>

namespace fathom::files {

namespace {

constexpr int kBusyMilliseconds = 5000;

std::string_view column_text(sqlite3_stmt* statement, int column) {
  const auto* bytes = reinterpret_cast<const char*>(sqlite3_column_text(statement, column));
  const int size = sqlite3_column_bytes(statement, column);
  return bytes == nullptr ? std::string_view() : std::string_view(bytes, static_cast<std::size_t>(size));
}

}  // namespace

// ---- rows

Rows::Rows(Rows&& other) noexcept
    : database_(other.database_), statement_(std::exchange(other.statement_, nullptr)), cached_(other.cached_) {}

Rows::~Rows() {
  if (statement_ == nullptr) return;
  sqlite3_reset(statement_);
  sqlite3_clear_bindings(statement_);
  if (!cached_) sqlite3_finalize(statement_);
}

bool Rows::next() {
  if (statement_ == nullptr || database_->failed()) return false;
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code != SQLITE_DONE) database_->keep_failure();
  return false;
}

bool Rows::is_null(int column) const {
  return statement_ == nullptr || sqlite3_column_type(statement_, column) == SQLITE_NULL;
}

std::int64_t Rows::integer(int column) const {
  return statement_ == nullptr ? 0 : sqlite3_column_int64(statement_, column);
}

double Rows::real(int column) const {
  return statement_ == nullptr ? 0 : sqlite3_column_double(statement_, column);
}

std::string_view Rows::text_view(int column) const {
  return statement_ == nullptr ? std::string_view() : column_text(statement_, column);
}

std::string Rows::text(int column) const {
  return std::string(text_view(column));
}

std::optional<std::string> Rows::optional_text(int column) const {
  return is_null(column) ? std::nullopt : std::optional(text(column));
}

std::optional<double> Rows::optional_real(int column) const {
  return is_null(column) ? std::nullopt : std::optional(real(column));
}

std::optional<std::int64_t> Rows::optional_integer(int column) const {
  return is_null(column) ? std::nullopt : std::optional(integer(column));
}

void Rows::bind(int place, std::string_view value) {
  const char* bytes = value.data() == nullptr ? "" : value.data();  // a null pointer would be NULL
  if (sqlite3_bind_text64(statement_, place, bytes, value.size(), SQLITE_TRANSIENT, SQLITE_UTF8) != SQLITE_OK)
    database_->keep_failure();
}

void Rows::bind(int place, std::int64_t value) {
  if (sqlite3_bind_int64(statement_, place, value) != SQLITE_OK) database_->keep_failure();
}

void Rows::bind(int place, double value) {
  if (sqlite3_bind_double(statement_, place, value) != SQLITE_OK) database_->keep_failure();
}

void Rows::bind(int place, std::nullptr_t) {
  if (sqlite3_bind_null(statement_, place) != SQLITE_OK) database_->keep_failure();
}

// ---- connections

base::Result<Database> Database::open(const std::string& path, Mode mode) {
  int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_URI | SQLITE_OPEN_EXRESCODE;
  flags |= mode == Mode::kWrite ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY;
  // Memory that is shared has no file that could be opened for reading alone.
  if (path.starts_with("file:")) flags = (flags & ~SQLITE_OPEN_READONLY) | SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
  sqlite3* handle = nullptr;
  const int code = sqlite3_open_v2(path.c_str(), &handle, flags, nullptr);
  Database database(handle, path);  // closes also what could not be opened
  if (code != SQLITE_OK)
    return base::fail("{}: cannot be opened as a database: {}", path,
                      handle == nullptr ? "no memory" : sqlite3_errmsg(handle));
  sqlite3_busy_timeout(handle, kBusyMilliseconds);
  database.run("PRAGMA foreign_keys = ON");
  if (auto failed = database.take_failure(); !failed) return std::unexpected(failed.error());
  return database;
}

std::string Database::shared_memory() {
  static std::atomic<int> count{0};
  return fmt::format("file:/fathom-{}?vfs=memdb", ++count);
}

Database::Database(Database&& other) noexcept
    : handle_(std::exchange(other.handle_, nullptr)),
      path_(std::move(other.path_)),
      failure_(std::move(other.failure_)),
      prepared_(std::exchange(other.prepared_, {})) {}

Database::~Database() {
  for (const auto& [sql, statement] : prepared_) sqlite3_finalize(statement);
  sqlite3_close_v2(handle_);
}

Rows Database::prepare(const char* sql) {
  if (failed()) return {*this, nullptr, false};
  const auto found = prepared_.find(sql);
  if (found != prepared_.end() && sqlite3_stmt_busy(found->second) == 0) return {*this, found->second, true};
  sqlite3_stmt* statement = nullptr;
  const bool keep = found == prepared_.end();
  const int code = sqlite3_prepare_v3(handle_, sql, -1, keep ? SQLITE_PREPARE_PERSISTENT : 0, &statement, nullptr);
  if (code != SQLITE_OK) {
    keep_failure();
    return {*this, nullptr, false};
  }
  if (keep) prepared_[sql] = statement;
  return {*this, statement, keep};
}

void Database::run_all(std::string_view script) {
  if (failed()) return;
  if (sqlite3_exec(handle_, std::string(script).c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) keep_failure();
}

std::int64_t Database::changes() const {
  return sqlite3_changes64(handle_);
}

void Database::keep_failure() {
  fail_with(sqlite3_errmsg(handle_));
}

void Database::fail_with(std::string message) {
  if (!failure_) failure_ = base::Error{fmt::format("{}: {}", path_, message)};
}

base::Result<void> Database::take_failure() {
  auto failure = std::exchange(failure_, std::nullopt);
  if (failure) return std::unexpected(std::move(*failure));
  return {};
}

// ---- transactions

Transaction::Transaction(Database& database) : database_(database) {
  database_.run("BEGIN IMMEDIATE");
  open_ = !database_.failed();
}

Transaction::~Transaction() {
  if (!open_) return;
  // Also after a failure, which is to stay the one that is kept.
  if (sqlite3_get_autocommit(database_.handle()) == 0)
    sqlite3_exec(database_.handle(), "ROLLBACK", nullptr, nullptr, nullptr);
}

void Transaction::commit() {
  if (!open_ || database_.failed()) return;
  database_.run("COMMIT");
  if (!database_.failed()) open_ = false;
}

base::Result<void> copy_database(Database& from, const std::string& to) {
  auto target = Database::open(to, Database::Mode::kWrite);
  if (!target) return std::unexpected(target.error());
  sqlite3_backup* backup = sqlite3_backup_init(target->handle(), "main", from.handle(), "main");
  if (backup == nullptr) return base::fail("{}: {}", to, sqlite3_errmsg(target->handle()));
  // All at once: in parts it would begin anew with every write of another connection.
  const int code = sqlite3_backup_step(backup, -1);
  sqlite3_backup_finish(backup);
  if (code != SQLITE_DONE) return base::fail("{}: cannot be copied to {}: {}", from.path(), to, sqlite3_errstr(code));
  target->run("PRAGMA journal_mode = DELETE");  // one file, whatever the original keeps beside it
  return target->take_failure();
}

base::Result<std::int64_t> schema_version(Database& database) {
  Rows row = database.query("PRAGMA user_version");
  const std::int64_t version = row.next() ? row.integer(0) : 0;
  if (auto done = database.take_failure(); !done) return std::unexpected(done.error());
  return version;
}

base::Result<void> check_schema(Database& database, std::int64_t known) {
  const auto found = schema_version(database);
  if (!found) return std::unexpected(found.error());
  if (*found >= 0 && *found <= known) return {};
  return base::fail(
      "{}: written by a newer version of this program (its schema is {}, this version knows up to {}): use that "
      "version, or move the file away",
      database.path(), *found, known);
}

base::Result<void> migrate(Database& database, std::span<const std::string_view> steps) {
  const auto known = static_cast<std::int64_t>(steps.size());
  if (auto good = check_schema(database, known); !good) return good;
  const auto found = schema_version(database);
  if (!found) return std::unexpected(found.error());
  for (std::int64_t step = *found; step < known; ++step) {
    Transaction transaction(database);
    database.run_all(steps[static_cast<std::size_t>(step)]);
    database.run_all(fmt::format("PRAGMA user_version = {}", step + 1));
    transaction.commit();
    if (auto failed = database.take_failure(); !failed) return failed;
  }
  return {};
}

}  // namespace fathom::files
