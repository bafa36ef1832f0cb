// Drafts, settings and presets.
#include "chat/store.h"
#include "chat/store_reader.h"

namespace fathom::chat {

namespace {

Draft find_draft(Database& database, const std::string& key) {
  Rows row = database.query("SELECT text, file_ids, updated_at FROM draft WHERE key = ?", key);
  return row.next() ? Draft{row.text(0), row.text(1), row.integer(2)} : Draft{};
}

std::string find_settings(Database& database) {
  Rows row = database.query("SELECT value FROM setting WHERE name = 'person'");
  return row.next() ? row.text(0) : "{}";
}

}  // namespace

Outcome<Draft> Store::draft(const std::string& key) const {
  Reader reader = read();
  return reader.give<Draft>(find_draft(*reader, key));
}

Outcome<Draft> Store::keep_draft(const std::string& key, const Draft& draft) {
  return writer_->write<Draft>([&](Database& database) -> Outcome<Draft> {
    const Draft kept = find_draft(database, key);
    const bool same = kept.text == draft.text && kept.file_ids == draft.file_ids;
    if (kept.updated_at > draft.updated_at || (same && kept.updated_at == draft.updated_at)) return kept;
    // An empty one stays as a mark of when: an older text that comes late must not return. It goes with time.
    database.run("INSERT OR REPLACE INTO draft(key, text, file_ids, updated_at) VALUES (?, ?, ?, ?)", key, draft.text,
                 draft.file_ids, draft.updated_at);
    database.run("UPDATE conversation SET revision = revision + 1 WHERE id = ?", key);
    return draft;
  });
}

Outcome<std::string> Store::settings() const {
  Reader reader = read();
  return reader.give<std::string>(find_settings(*reader));
}

Outcome<std::string> Store::change_settings(const std::string& patch) {
  return writer_->write<std::string>([&](Database& database) -> Outcome<std::string> {
    database.run(
        "INSERT INTO setting(name, value) VALUES ('person', json_patch('{}', ?1)) "
        "ON CONFLICT(name) DO UPDATE SET value = json_patch(value, ?1)",
        patch);
    return find_settings(database);
  });
}

Outcome<std::vector<Preset>> Store::presets() const {
  Reader reader = read();
  std::vector<Preset> found;
  for (Rows row = reader->query("SELECT id, name, options FROM preset ORDER BY name COLLATE NOCASE, id"); row.next();)
    found.push_back({row.text(0), row.text(1), row.text(2)});
  return reader.give<std::vector<Preset>>(std::move(found));
}

Outcome<Preset> Store::keep_preset(const Preset& preset) {
  return writer_->write<Preset>([&](Database& database) -> Outcome<Preset> {
    database.run("INSERT OR REPLACE INTO preset(id, name, options) VALUES (?, ?, ?)", preset.id, preset.name,
                 preset.options);
    return preset;
  });
}

Outcome<bool> Store::remove_preset(const std::string& id) {
  return writer_->write<bool>(
      [&](Database& database) -> Outcome<bool> { return database.run("DELETE FROM preset WHERE id = ?", id) > 0; });
}

}  // namespace fathom::chat
