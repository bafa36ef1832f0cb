// Files that come with questions: kept as passages, found by words.
#include <algorithm>

#include "chat/passages.h"
#include "chat/search_words.h"
#include "chat/store.h"
#include "chat/store_reader.h"
#include "chat/utf8_cut.h"

namespace fathom::chat {

namespace {

constexpr std::size_t kExcerptBytes = 400;
// So many passages go into one transaction: a file of ten megabytes must not keep an answer's text from the disk.
constexpr std::size_t kPassagesAtOnce = 100;

// Gives the row's number.
std::int64_t insert_file(Database& database, const NewFile& file, const std::optional<std::string>& conversation,
                         std::int64_t now) {
  Rows row = database.query(
      "INSERT INTO file(id, conversation_id, name, kind, bytes, tokens, excerpt, made_of, created_at) VALUES (?, ?, ?, "
      "?, ?, ?, ?, ?, ?) RETURNING number",
      file.id, conversation, file.name, file.kind, file.bytes, file.tokens, cut_utf8(file.text, kExcerptBytes),
      file.made_of, now);
  return row.next() ? row.integer(0) : 0;
}

void insert_passage(Database& database, std::int64_t file, std::string_view text, const Passage& passage) {
  database.run("INSERT INTO passage(file_number, from_byte, to_byte, first, last, text) VALUES (?, ?, ?, ?, ?, ?)",
               file, static_cast<std::int64_t>(passage.from), static_cast<std::int64_t>(passage.to), passage.first,
               passage.last, text.substr(passage.from, passage.to - passage.from));
}

FilePart part_of(const Rows& row) {
  return {row.integer(0), row.integer(1), row.integer(2), row.integer(3), row.text(4)};
}

std::int64_t number_of(Database& database, const std::string& id) {
  Rows row = database.query("SELECT number FROM file WHERE id = ?", id);
  return row.next() ? row.integer(0) : 0;
}

std::vector<FilePart> best_passages(Database& database, std::int64_t file, const std::string& words, int limit) {
  std::vector<FilePart> found;
  std::int64_t first = 0, last = 0;
  {
    Rows row = database.query("SELECT min(number), max(number) FROM passage WHERE file_number = ?", file);
    if (!row.next()) return found;
    first = row.integer(0);
    last = row.integer(1);
  }
  Rows row = database.query(
      "SELECT p.from_byte, p.to_byte, p.first, p.last, p.text FROM passage_search s JOIN passage p ON p.number = "
      "s.rowid WHERE passage_search MATCH ?1 AND s.rowid BETWEEN ?2 AND ?3 AND p.file_number = ?4 "
      "ORDER BY bm25(passage_search) LIMIT ?5",
      words, first, last, file, limit);
  while (row.next()) found.push_back(part_of(row));
  return found;
}

}  // namespace

void insert(Database& database, const NewFile& file, const std::optional<std::string>& conversation, std::int64_t now) {
  const std::int64_t number = insert_file(database, file, conversation, now);
  for (const Passage& passage : cut_into_passages(file.text, file.kind == "pdf"))
    insert_passage(database, number, file.text, passage);
  database.run("UPDATE file SET whole = 1 WHERE number = ?", number);
}

std::vector<NewFile> files_of(Database& database, const std::string& conversation) {
  std::vector<NewFile> files;
  for (Rows row = database.query("SELECT id, name, kind, bytes, tokens, made_of FROM file WHERE conversation_id = ? "
                                 "AND whole ORDER BY number",
                                 conversation);
       row.next();)
    files.push_back({.id = row.text(0),
                     .name = row.text(1),
                     .kind = row.text(2),
                     .bytes = row.integer(3),
                     .tokens = row.integer(4),
                     .made_of = row.text(5)});
  for (NewFile& file : files) {
    for (Rows row = database.query("SELECT text FROM passage WHERE file_number = ? ORDER BY number",
                                   number_of(database, file.id));
         row.next();)
      file.text += row.text_view(0);
  }
  return files;
}

Outcome<Made<File>> Store::keep_file(const NewFile& wanted) {
  std::int64_t number = 0;
  auto begun = writer_->write<Made<File>>([&, now = clock_()](Database& database) -> Outcome<Made<File>> {
    Rows row = database.query("SELECT made_of, whole FROM file WHERE id = ?", wanted.id);
    if (row.next()) {
      auto found = find_file(database, wanted.id);
      const bool same = row.text_view(0) == wanted.made_of;
      if (same && found) return Made<File>{std::move(*found), false};
      // What was being kept and never became whole may be sent again.
      if (!same || row.integer(1) != 0)
        return refuse(Problem::kIdTaken, fmt::format("another file has the id {:?}", wanted.id));
      database.run("DELETE FROM file WHERE id = ?", wanted.id);
    }
    number = insert_file(database, wanted, std::nullopt, now);
    return Made<File>{{}, true};
  });
  if (!begun || !begun->is_new) return begun;
  const auto passages = cut_into_passages(wanted.text, wanted.kind == "pdf");
  for (std::size_t at = 0; at < passages.size(); at += kPassagesAtOnce) {
    const auto kept = writer_->write<bool>([&](Database& database) -> Outcome<bool> {
      for (std::size_t i = at; i < std::min(at + kPassagesAtOnce, passages.size()); ++i)
        insert_passage(database, number, wanted.text, passages[i]);
      return true;
    });
    if (!kept) return std::unexpected(kept.error());
  }
  return writer_->write<Made<File>>([&](Database& database) -> Outcome<Made<File>> {
    database.run("UPDATE file SET whole = 1 WHERE number = ?", number);
    auto found = find_file(database, wanted.id);
    if (!found) return no_such("file", wanted.id);
    return Made<File>{std::move(*found), true};
  });
}

Outcome<File> Store::file(const std::string& id) const {
  Reader reader = read();
  auto found = find_file(*reader, id);
  return reader.give<File>(found ? Outcome<File>(std::move(*found)) : no_such("file", id));
}

Outcome<bool> Store::remove_file(const std::string& id) {
  return writer_->write<bool>([&](Database& database) -> Outcome<bool> {
    const auto found = find_file(database, id);
    if (!found) return false;
    if (found->conversation_id)
      return refuse(Problem::kInUse, "a question has this file: it goes with its conversation");
    return database.run("DELETE FROM file WHERE id = ?", id) > 0;
  });
}

Outcome<std::string> Store::file_text(const std::string& id, std::int64_t from, std::int64_t to) const {
  Reader reader = read();
  if (!find_file(*reader, id)) return reader.give<std::string>(no_such("file", id));
  std::string text;
  std::int64_t begin = -1;
  Rows row = reader->query(
      "SELECT from_byte, text FROM passage WHERE file_number = ? AND to_byte > ? AND from_byte < ? ORDER BY number",
      number_of(*reader, id), from, to);
  while (row.next()) {
    if (begin < 0) begin = row.integer(0);
    text += row.text_view(1);
  }
  text = cut_utf8(text, static_cast<std::size_t>(std::max<std::int64_t>(to - std::max<std::int64_t>(begin, 0), 0)));
  std::size_t skip = static_cast<std::size_t>(std::max<std::int64_t>(from - begin, 0));
  while (skip < text.size() && (static_cast<unsigned char>(text[skip]) & 0xC0) == 0x80) ++skip;
  return reader.give<std::string>(text.substr(std::min(skip, text.size())));
}

Outcome<std::vector<FilePart>> Store::passages(const std::string& id, const std::string& question, int limit) const {
  Reader reader = read();
  if (!find_file(*reader, id)) return reader.give<std::vector<FilePart>>(no_such("file", id));
  const std::int64_t file = number_of(*reader, id);
  const std::string words = any_word_of(question);
  std::vector<FilePart> found;
  if (!words.empty()) found = best_passages(*reader, file, words, limit);
  if (found.empty()) {
    for (Rows row = reader->query(
             "SELECT from_byte, to_byte, first, last, text FROM passage WHERE file_number = ? ORDER BY number LIMIT ?",
             file, limit);
         row.next();)
      found.push_back(part_of(row));
  }
  return reader.give<std::vector<FilePart>>(std::move(found));
}

}  // namespace fathom::chat
