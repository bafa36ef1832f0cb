// SQLite as this program uses it: a connection, statements whose rows are read in a loop, transactions, and a schema
// that grows by numbered steps. What the tables mean is for whoever opens them.
//
// Errors stick: the first one of a connection is kept, what follows does nothing and gives empty values, and whoever
// began the work asks once at its end (take_failure). So a transaction reads as its statements.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"

struct sqlite3;
struct sqlite3_stmt;

namespace fathom::files {

class Database;

// The rows of one statement. The database must outlive it.
class Rows {
 public:
  Rows(Rows&& other) noexcept;
  Rows& operator=(Rows&&) = delete;
  ~Rows();

  bool next();  // to the first row, then the next; false: no more, or an error, which the database keeps
  bool is_null(int column) const;
  std::int64_t integer(int column) const;
  double real(int column) const;
  std::string text(int column) const;
  std::string_view text_view(int column) const;  // until next()
  std::optional<std::string> optional_text(int column) const;
  std::optional<double> optional_real(int column) const;
  std::optional<std::int64_t> optional_integer(int column) const;

 private:
  friend class Database;
  Rows(Database& database, sqlite3_stmt* statement, bool cached)
      : database_(&database), statement_(statement), cached_(cached) {}
  void bind(int place, std::string_view value);
  void bind(int place, const std::string& value) { bind(place, std::string_view(value)); }
  void bind(int place, const char* value) { bind(place, std::string_view(value)); }
  void bind(int place, std::int64_t value);
  void bind(int place, int value) { bind(place, static_cast<std::int64_t>(value)); }
  void bind(int place, bool value) { bind(place, static_cast<std::int64_t>(value)); }
  void bind(int place, double value);
  void bind(int place, std::nullptr_t);
  template <class T>
  void bind(int place, const std::optional<T>& value) {
    if (value) {
      bind(place, *value);
    } else {
      bind(place, nullptr);
    }
  }

  Database* database_;
  sqlite3_stmt* statement_;  // nullptr after a failure
  bool cached_;
};

// One connection; used by one thread at a time.
class Database {
 public:
  enum class Mode { kWrite, kRead };
  // A file, made where it is not there (kWrite), or, for connections of this process alone, shared_memory(). Waits up
  // to five seconds for another connection's lock. Foreign keys hold. Errors: what SQLite says of the file.
  static base::Result<Database> open(const std::string& path, Mode mode);
  // A name for a database in memory that several connections of this process may open; gone with the last of them.
  static std::string shared_memory();

  Database(Database&& other) noexcept;
  Database& operator=(Database&&) = delete;
  ~Database();

  // `sql` is one statement and a literal (its address finds it prepared the next time); `values` take the place of its
  // question marks in order.
  template <class... Values>
  Rows query(const char* sql, const Values&... values) {
    Rows rows = prepare(sql);
    int place = 0;
    if (rows.statement_ != nullptr) (rows.bind(++place, values), ...);
    return rows;
  }
  // The same to its end; gives how many rows it changed.
  template <class... Values>
  std::int64_t run(const char* sql, const Values&... values) {
    Rows rows = query(sql, values...);
    while (rows.next()) {
    }
    return failed() ? 0 : changes();
  }
  void run_all(std::string_view script);  // statements without values or results

  bool failed() const { return failure_.has_value(); }
  base::Result<void> take_failure();  // the first failure since the last call
  void fail_with(std::string message);
  const std::string& path() const { return path_; }
  sqlite3* handle() { return handle_; }

 private:
  friend class Rows;
  Database(sqlite3* handle, std::string path) : handle_(handle), path_(std::move(path)) {}
  Rows prepare(const char* sql);
  std::int64_t changes() const;
  void keep_failure();

  sqlite3* handle_ = nullptr;
  std::string path_;
  std::optional<base::Error> failure_;
  std::map<const char*, sqlite3_stmt*> prepared_;  // by the address of their text
};

// Undone where it is not committed.
class Transaction {
 public:
  explicit Transaction(Database& database);
  ~Transaction();
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  void commit();

 private:
  Database& database_;
  bool open_;
};

// Copies all of a database, as it is at one moment, to a file that is not there yet; others may write meanwhile.
base::Result<void> copy_database(Database& from, const std::string& to);

// How many steps of its schema a database has (user_version).
base::Result<std::int64_t> schema_version(Database& database);
// Errors: a database of more steps than are known.
base::Result<void> check_schema(Database& database, std::int64_t known);

// Brings a database to the last step: user_version counts those it has, each further one is a script run in a
// transaction of its own. Errors: a database of more steps than are known here, which is left as it is.
base::Result<void> migrate(Database& database, std::span<const std::string_view> steps);

}  // namespace fathom::files
