// Opening, connections, and what is done after a crash.
#include "chat/store.h"

#include "chat/schema.h"
#include "chat/store_reader.h"

namespace fathom::chat {

Store::Store(std::string path, Clock clock)
    : path_(std::move(path)), clock_(std::move(clock)), connections_(std::make_unique<Connections>()) {}

Store::~Store() = default;

base::Result<std::unique_ptr<Store>> Store::open(const std::string& path, Clock clock) {
  const bool in_memory = path.empty();
  std::unique_ptr<Store> store(new Store(in_memory ? Database::shared_memory() : path, std::move(clock)));
  auto database = open_connection(store->path_, Database::Mode::kWrite);
  if (!database) return std::unexpected(database.error());
  // Before anything else: a newer database is not to be touched.
  if (auto migrated = files::migrate(*database, schema_steps()); !migrated) return std::unexpected(migrated.error());
  if (!in_memory) {
    database->run("PRAGMA journal_mode = WAL");
    database->run("PRAGMA synchronous = FULL");
  }
  if (auto set = database->take_failure(); !set) return std::unexpected(set.error());
  store->writer_ = std::make_unique<Writer>(std::move(*database));
  if (auto recovered = store->recover(); !recovered) return std::unexpected(recovered.error());
  return store;
}

Store::Reader::Reader(Connections* connections, std::unique_ptr<Database> database)
    : connections_(connections), database_(std::move(database)) {
  database_->run("BEGIN");
}

Store::Reader::~Reader() {
  if (!database_ || connections_ == nullptr) return;
  (void)database_->take_failure();
  database_->run("COMMIT");
  if (!database_->take_failure()) return;  // in whatever state it is, nobody gets it again
  const std::lock_guard lock(connections_->mutex);
  connections_->idle.push_back(std::move(database_));
}

Store::Reader Store::read() const {
  {
    const std::lock_guard lock(connections_->mutex);
    if (!connections_->idle.empty()) {
      auto database = std::move(connections_->idle.back());
      connections_->idle.pop_back();
      return {connections_.get(), std::move(database)};
    }
  }
  auto opened = open_connection(path_, Database::Mode::kRead);
  if (opened) return {connections_.get(), std::make_unique<Database>(std::move(*opened))};
  // No file descriptor is left, most likely. Whoever reads is told by a connection that has failed from the start.
  auto nothing = Database::open(Database::shared_memory(), Database::Mode::kWrite);
  FATHOM_CHECK(nothing.has_value());
  Reader reader(nullptr, std::make_unique<Database>(std::move(*nothing)));
  reader->fail_with(opened.error().message);
  return reader;
}

// What runs in the database at the start was cut off by the end of the program before.
base::Result<void> Store::recover() {
  const std::int64_t now = clock_();
  auto outcome = writer_->write<bool>([now](Database& database) -> Outcome<bool> {
    std::vector<std::string> cut_off;
    for (Rows row = database.query("SELECT run_id FROM message WHERE status = 'running'"); row.next();)
      cut_off.push_back(row.text(0));
    for (const std::string& id : cut_off) {
      std::string reasoning, content;
      std::int64_t tokens = 0;
      for (Rows row =
               database.query("SELECT reasoning, content, tokens FROM run_piece WHERE run_id = ? ORDER BY number", id);
           row.next();) {
        reasoning += row.text_view(0);
        content += row.text_view(1);
        tokens = row.integer(2);
      }
      database.run(
          "UPDATE message SET status = 'interrupted', run_id = NULL, content = content || ?2, reasoning = CASE WHEN "
          "?3 = '' THEN reasoning ELSE coalesce(reasoning, '') || ?3 END WHERE run_id = ?1",
          id, content, reasoning);
      database.run(
          "UPDATE run SET status = 'interrupted', content_to = content_from + ?2, reasoning_to = reasoning_from + ?3, "
          "tokens = ?4 WHERE id = ?1",
          id, static_cast<std::int64_t>(content.size()), static_cast<std::int64_t>(reasoning.size()), tokens);
      database.run("DELETE FROM run_piece WHERE run_id = ?", id);
      database.run("UPDATE conversation SET run_id = NULL, revision = revision + 1 WHERE run_id = ?", id);
    }
    database.run("DELETE FROM conversation WHERE deleted_at < ?", now - kUndoMilliseconds);
    database.run("DELETE FROM file WHERE NOT whole");
    purge_files(database, now - kUndoMilliseconds);
    database.run("DELETE FROM draft WHERE text = '' AND file_ids = '[]' AND updated_at < ?", now - kUndoMilliseconds);
    return true;
  });
  if (!outcome) return base::fail("{}", outcome.error().message);
  return {};
}

}  // namespace fathom::chat
