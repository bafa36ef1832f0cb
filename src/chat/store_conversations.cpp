// Conversations: the list, changes, deletion with its undo, and messages that a person wrote.
#include <charconv>

#include "chat/store.h"
#include "chat/store_reader.h"
#include "chat/utf8_cut.h"

namespace fathom::chat {

namespace {

// Where a page ends: its last conversation's place in the order.
struct Place {
  std::int64_t pinned = 1, time = INT64_MAX;
  std::string id = "~";  // behind every id
};

std::string cursor(const Conversation& last, bool deleted) {
  return fmt::format("{}.{}.{}", last.pinned && !deleted ? 1 : 0, deleted ? *last.deleted_at : last.updated_at,
                     last.id);
}

std::optional<Place> place_of(std::string_view cursor) {
  Place place;
  if (cursor.empty()) return place;
  if (cursor.size() < 4 || cursor[1] != '.' || (cursor[0] != '0' && cursor[0] != '1')) return std::nullopt;
  place.pinned = cursor[0] - '0';
  const char* end = cursor.data() + cursor.size();
  const auto [after, error] = std::from_chars(cursor.data() + 2, end, place.time);
  if (error != std::errc{} || after == end || *after != '.') return std::nullopt;
  place.id = std::string(after + 1, end);
  return place;
}

Rows list(Database& database, int limit, const Place& after, bool deleted) {
  if (deleted) {
    return database.query("SELECT " FATHOM_CONVERSATION_COLUMNS
                          " FROM conversation WHERE deleted_at IS NOT NULL AND (deleted_at, id) < (?, ?) "
                          "ORDER BY deleted_at DESC, id DESC LIMIT ?",
                          after.time, after.id, limit);
  }
  return database.query("SELECT " FATHOM_CONVERSATION_COLUMNS
                        " FROM conversation WHERE deleted_at IS NULL AND (pinned, updated_at, id) < (?, ?, ?) "
                        "ORDER BY pinned DESC, updated_at DESC, id DESC LIMIT ?",
                        after.pinned, after.time, after.id, limit);
}

Outcome<Message> add_message(Database& database, const NewMessage& wanted, bool by_person, std::int64_t now) {
  Message message{.id = wanted.id,
                  .conversation_id = wanted.conversation_id,
                  .parent_id = wanted.parent_id,
                  .role = wanted.role,
                  .content = wanted.content,
                  .by_person = by_person,
                  .created_at = now};
  insert(database, message);
  database.run("UPDATE conversation SET leaf_id = ?2, updated_at = ?3, revision = revision + 1 WHERE id = ?1",
               wanted.conversation_id, wanted.id, now);
  return message;
}

}  // namespace

Outcome<ConversationPage> Store::conversations(int limit, const std::string& after, bool deleted) const {
  const auto place = place_of(after);
  if (!place) return refuse(Problem::kBadRequest, "after: not what an earlier page gave as next");
  Reader reader = read();
  ConversationPage page;
  for (Rows row = list(*reader, limit + 1, *place, deleted); row.next();)
    page.conversations.push_back(conversation_of(row));
  if (page.conversations.size() > static_cast<std::size_t>(limit)) {
    page.conversations.pop_back();
    page.next = cursor(page.conversations.back(), deleted);
  }
  return reader.give<ConversationPage>(std::move(page));
}

Outcome<Conversation> Store::conversation(const std::string& id) const {
  Reader reader = read();
  return reader.give(live_conversation(*reader, id));
}

Outcome<Thread> Store::thread(const std::string& id) const {
  Reader reader = read();
  auto found = live_conversation(*reader, id);
  if (!found) return reader.give<Thread>(std::unexpected(found.error()));
  Thread thread{.conversation = std::move(*found), .messages = messages_of(*reader, id)};
  Rows row = reader->query(
      "SELECT text, file_ids, updated_at FROM draft WHERE key = ? AND NOT (text = '' AND file_ids = '[]')", id);
  if (row.next()) thread.draft = Draft{row.text(0), row.text(1), row.integer(2)};
  return reader.give<Thread>(std::move(thread));
}

Outcome<Made<Conversation>> Store::create(const NewConversation& wanted) {
  return writer_->write<Made<Conversation>>([&, now = clock_()](Database& database) -> Outcome<Made<Conversation>> {
    if (auto found = find_conversation(database, wanted.id)) {
      Rows row = database.query("SELECT made_of FROM conversation WHERE id = ?", wanted.id);
      if (!row.next() || row.text_view(0) != wanted.made_of || found->deleted_at)
        return refuse(Problem::kIdTaken, fmt::format("another conversation has the id {:?}", wanted.id));
      return Made<Conversation>{std::move(*found), false};
    }
    Conversation made{.id = wanted.id,
                      .title = wanted.title,
                      .title_by = wanted.title_by,
                      .options = wanted.options,
                      .created_at = now,
                      .updated_at = now};
    insert(database, made, wanted.made_of);
    return Made<Conversation>{std::move(made), true};
  });
}

Outcome<Conversation> Store::change(const std::string& id, const ConversationPatch& patch) {
  return writer_->write<Conversation>([&](Database& database) -> Outcome<Conversation> {
    auto found = live_conversation(database, id);
    if (!found) return found;
    if (patch.leaf_id) {
      const auto leaf = find_message(database, *patch.leaf_id);
      if (!leaf || leaf->conversation_id != id) return no_such("message", *patch.leaf_id);
    }
    if (patch.title)
      database.run("UPDATE conversation SET title = ?2, title_by = 'person' WHERE id = ?1", id, *patch.title);
    if (patch.pinned) database.run("UPDATE conversation SET pinned = ?2 WHERE id = ?1", id, *patch.pinned);
    if (patch.leaf_id) database.run("UPDATE conversation SET leaf_id = ?2 WHERE id = ?1", id, *patch.leaf_id);
    if (patch.options)
      database.run("UPDATE conversation SET options = json_patch(options, ?2) WHERE id = ?1", id, *patch.options);
    database.run("UPDATE conversation SET revision = revision + 1 WHERE id = ?", id);
    return live_conversation(database, id);
  });
}

Outcome<Conversation> Store::name(const std::string& id, const std::string& title) {
  return writer_->write<Conversation>([&](Database& database) -> Outcome<Conversation> {
    database.run(
        "UPDATE conversation SET title = ?2, title_by = 'model', revision = revision + 1 WHERE id = ?1 AND title_by <> "
        "'person' AND deleted_at IS NULL",
        id, cut_utf8(title, kMaxTitle));
    return live_conversation(database, id);
  });
}

Outcome<Deleted> Store::remove(const std::string& id, bool purge) {
  return writer_->write<Deleted>([&, now = clock_()](Database& database) -> Outcome<Deleted> {
    const auto found = find_conversation(database, id);
    if (!found) return no_such("conversation", id);
    if (purge) {
      database.run("DELETE FROM draft WHERE key = ?", id);
      database.run("DELETE FROM conversation WHERE id = ?", id);
      return Deleted{{id}, std::nullopt};
    }
    const std::int64_t at = found->deleted_at.value_or(now);  // twice is as once
    database.run(
        "UPDATE conversation SET deleted_at = ?2, revision = revision + 1 WHERE id = ?1 AND deleted_at IS NULL", id,
        at);
    return Deleted{{id}, at + kUndoMilliseconds};
  });
}

Outcome<Deleted> Store::remove_all() {
  return writer_->write<Deleted>([&, now = clock_()](Database& database) -> Outcome<Deleted> {
    Deleted deleted{.purge_at = now + kUndoMilliseconds};
    for (Rows row = database.query("SELECT id FROM conversation WHERE deleted_at IS NULL"); row.next();)
      deleted.ids.push_back(row.text(0));
    database.run("UPDATE conversation SET deleted_at = ?, revision = revision + 1 WHERE deleted_at IS NULL", now);
    return deleted;
  });
}

Outcome<Conversation> Store::restore(const std::string& id) {
  return writer_->write<Conversation>([&](Database& database) -> Outcome<Conversation> {
    database.run(
        "UPDATE conversation SET deleted_at = NULL, revision = revision + 1 WHERE id = ? AND deleted_at IS NOT NULL",
        id);
    return live_conversation(database, id);
  });
}

Outcome<Made<Message>> Store::add(const NewMessage& wanted, bool by_person) {
  return writer_->write<Made<Message>>([&, now = clock_()](Database& database) -> Outcome<Made<Message>> {
    const auto conversation = live_conversation(database, wanted.conversation_id);
    if (!conversation) return std::unexpected(conversation.error());
    if (auto found = find_message(database, wanted.id)) {
      const bool same = found->conversation_id == wanted.conversation_id && found->parent_id == wanted.parent_id &&
                        found->role == wanted.role && found->content == wanted.content;
      if (!same) return refuse(Problem::kIdTaken, fmt::format("another message has the id {:?}", wanted.id));
      return Made<Message>{std::move(*found), false};
    }
    if (conversation->run_id)
      return refuse(Problem::kRunInProgress, "an answer is being made in this conversation", *conversation->run_id);
    if (wanted.parent_id) {
      const auto parent = find_message(database, *wanted.parent_id);
      if (!parent || parent->conversation_id != wanted.conversation_id) return no_such("message", *wanted.parent_id);
    }
    auto added = add_message(database, wanted, by_person, now);
    return Made<Message>{std::move(*added), true};
  });
}

Outcome<Conversation> Store::adopt(const Store& from, const std::string& id) {
  std::vector<std::pair<Run, std::string>> runs;
  std::vector<NewFile> files;
  std::string made_of;
  auto thread = from.thread(id);
  if (!thread) return std::unexpected(thread.error());
  if (thread->conversation.run_id)
    return refuse(Problem::kRunInProgress, "an answer is being made in this conversation",
                  *thread->conversation.run_id);
  {
    Reader reader = from.read();
    for (Rows row = reader->query("SELECT id, made_of FROM run WHERE conversation_id = ? ORDER BY rowid", id);
         row.next();)
      if (auto run = find_run(*reader, row.text(0))) runs.emplace_back(std::move(*run), row.text(1));
    Rows row = reader->query("SELECT made_of FROM conversation WHERE id = ?", id);
    if (row.next()) made_of = row.text(0);
    files = files_of(*reader, id);
    if (auto read = reader.give<bool>(true); !read) return std::unexpected(read.error());
  }
  return writer_->write<Conversation>([&](Database& database) -> Outcome<Conversation> {
    if (find_conversation(database, id))
      return refuse(Problem::kIdTaken, fmt::format("another conversation has the id {:?}", id));
    Conversation kept = thread->conversation;
    ++kept.revision;
    insert(database, kept, made_of);
    for (const NewFile& file : files) insert(database, file, id, kept.updated_at);
    for (const Message& message : thread->messages) insert(database, message);
    for (const auto& [run, made] : runs) insert(database, run, made);
    return kept;
  });
}

Outcome<std::vector<std::string>> Store::purge_deleted(std::int64_t before) {
  return writer_->write<std::vector<std::string>>([&](Database& database) -> Outcome<std::vector<std::string>> {
    std::vector<std::string> gone;
    for (Rows row = database.query("DELETE FROM conversation WHERE deleted_at < ? RETURNING id", before); row.next();)
      gone.push_back(row.text(0));
    for (const std::string& id : gone) database.run("DELETE FROM draft WHERE key = ?", id);
    purge_files(database, before);
    return gone;
  });
}

Outcome<std::vector<std::string>> Store::purge_unused(std::int64_t before) {
  return writer_->write<std::vector<std::string>>([&](Database& database) -> Outcome<std::vector<std::string>> {
    std::vector<std::string> gone;
    for (Rows row =
             database.query("DELETE FROM conversation WHERE updated_at < ? AND run_id IS NULL RETURNING id", before);
         row.next();)
      gone.push_back(row.text(0));
    purge_files(database, before);
    return gone;
  });
}

}  // namespace fathom::chat
