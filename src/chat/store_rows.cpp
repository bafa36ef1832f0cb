#include "chat/store_rows.h"

#include <unordered_map>

namespace fathom::chat {

namespace {

constexpr const char* kMessageColumns =
    "id, conversation_id, parent_id, role, content, reasoning, reasoning_seconds, status, error_code, error_message, "
    "model, usage, run_id, by_person, created_at, sources";

std::optional<RunError> error_of(const Rows& row, int first) {
  if (row.is_null(first)) return std::nullopt;
  return RunError{row.text(first), row.text(first + 1)};
}

Message message_of(const Rows& row) {
  return {.id = row.text(0),
          .conversation_id = row.text(1),
          .parent_id = row.optional_text(2),
          .role = row.text(3),
          .content = row.text(4),
          .reasoning = row.optional_text(5),
          .reasoning_seconds = row.optional_real(6),
          .status = row.text(7),
          .error = error_of(row, 8),
          .model = row.optional_text(10),
          .usage = row.optional_text(11),
          .run_id = row.optional_text(12),
          .by_person = row.integer(13) != 0,
          .created_at = row.integer(14),
          .sources = row.optional_text(15)};
}

constexpr const char* kFileColumns =
    "f.id, f.conversation_id, f.name, f.kind, f.bytes, f.tokens, f.excerpt, f.created_at";

File file_of(const Rows& row) {
  return {.id = row.text(0),
          .conversation_id = row.optional_text(1),
          .name = row.text(2),
          .kind = row.text(3),
          .bytes = row.integer(4),
          .tokens = row.integer(5),
          .excerpt = row.text(6),
          .created_at = row.integer(7)};
}

std::optional<std::string> code_of(const std::optional<RunError>& error) {
  return error ? std::optional(error->code) : std::nullopt;
}

std::optional<std::string> text_of(const std::optional<RunError>& error) {
  return error ? std::optional(error->message) : std::nullopt;
}

}  // namespace

Conversation conversation_of(const Rows& row, int first) {
  return {.id = row.text(first),
          .title = row.text(first + 1),
          .title_by = row.text(first + 2),
          .pinned = row.integer(first + 3) != 0,
          .leaf_id = row.optional_text(first + 4),
          .options = row.text(first + 5),
          .created_at = row.integer(first + 6),
          .updated_at = row.integer(first + 7),
          .deleted_at = row.optional_integer(first + 8),
          .revision = row.integer(first + 9),
          .run_id = row.optional_text(first + 10)};
}

std::optional<Conversation> find_conversation(Database& database, const std::string& id) {
  Rows row = database.query("SELECT " FATHOM_CONVERSATION_COLUMNS " FROM conversation WHERE id = ?", id);
  return row.next() ? std::optional(conversation_of(row)) : std::nullopt;
}

std::optional<Message> find_message(Database& database, const std::string& id) {
  static const std::string sql = fmt::format("SELECT {} FROM message WHERE id = ?", kMessageColumns);
  std::optional<Message> message;
  {
    Rows row = database.query(sql.c_str(), id);
    if (row.next()) message = message_of(row);
  }
  if (!message) return message;
  static const std::string files = fmt::format(
      "SELECT {} FROM message_file m JOIN file f ON f.id = m.file_id WHERE m.message_id = ? ORDER BY m.place",
      kFileColumns);
  for (Rows row = database.query(files.c_str(), id); row.next();) message->files.push_back(file_of(row));
  return message;
}

std::optional<File> find_file(Database& database, const std::string& id) {
  static const std::string sql = fmt::format(
      "SELECT {} FROM file f LEFT JOIN conversation c ON c.id = f.conversation_id WHERE f.id = ? AND f.whole AND "
      "c.deleted_at IS NULL",
      kFileColumns);
  Rows row = database.query(sql.c_str(), id);
  return row.next() ? std::optional(file_of(row)) : std::nullopt;
}

void purge_files(Database& database, std::int64_t before) {
  database.run(
      "DELETE FROM file WHERE conversation_id IS NULL AND created_at < ? AND NOT EXISTS "
      "(SELECT 1 FROM draft, json_each(draft.file_ids) AS named WHERE named.value = file.id)",
      before);
}

std::vector<Message> messages_of(Database& database, const std::string& conversation) {
  static const std::string sql =
      fmt::format("SELECT {} FROM message WHERE conversation_id = ? ORDER BY number", kMessageColumns);
  std::vector<Message> messages;
  for (Rows row = database.query(sql.c_str(), conversation); row.next();) messages.push_back(message_of(row));
  static const std::string files = fmt::format(
      "SELECT {}, m.message_id FROM file f JOIN message_file m ON m.file_id = f.id WHERE f.conversation_id = ? "
      "ORDER BY m.message_id, m.place",
      kFileColumns);
  std::unordered_map<std::string, std::vector<File>> attached;
  for (Rows row = database.query(files.c_str(), conversation); row.next();)
    attached[row.text(8)].push_back(file_of(row));
  if (attached.empty()) return messages;
  for (Message& message : messages) {
    if (const auto found = attached.find(message.id); found != attached.end()) message.files = found->second;
  }
  return messages;
}

std::optional<Run> find_run(Database& database, const std::string& id) {
  Rows row = database.query(
      "SELECT id, conversation_id, message_id, status, model, error_code, error_message, usage, reasoning_from, "
      "reasoning_to, content_from, content_to, thought, reasoning_tokens, tokens, created_at FROM run WHERE id = ?",
      id);
  if (!row.next()) return std::nullopt;
  return Run{.id = row.text(0),
             .conversation_id = row.text(1),
             .message_id = row.text(2),
             .status = row.text(3),
             .model = row.text(4),
             .error = error_of(row, 5),
             .usage = row.optional_text(7),
             .reasoning = {row.integer(8), row.integer(9)},
             .content = {row.integer(10), row.integer(11)},
             .thought = row.integer(12) != 0,
             .reasoning_tokens = row.integer(13),
             .tokens = row.integer(14),
             .created_at = row.integer(15)};
}

void insert(Database& database, const Conversation& c, const std::string& made_of) {
  database.run("INSERT INTO conversation(" FATHOM_CONVERSATION_COLUMNS
               ", made_of) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
               c.id, c.title, c.title_by, c.pinned, c.leaf_id, c.options, c.created_at, c.updated_at, c.deleted_at,
               c.revision, c.run_id, made_of);
}

void insert(Database& database, const Message& m) {
  static const std::string sql =
      fmt::format("INSERT INTO message({}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", kMessageColumns);
  database.run(sql.c_str(), m.id, m.conversation_id, m.parent_id, m.role, m.content, m.reasoning, m.reasoning_seconds,
               m.status, code_of(m.error), text_of(m.error), m.model, m.usage, m.run_id, m.by_person, m.created_at,
               m.sources);
  for (std::size_t i = 0; i < m.files.size(); ++i)
    database.run("INSERT INTO message_file(message_id, place, file_id) VALUES (?, ?, ?)", m.id,
                 static_cast<std::int64_t>(i), m.files[i].id);
}

void insert(Database& database, const Run& r, const std::string& made_of) {
  database.run(
      "INSERT INTO run(id, conversation_id, message_id, status, model, error_code, error_message, usage, "
      "reasoning_from, reasoning_to, content_from, content_to, thought, reasoning_tokens, tokens, made_of, created_at) "
      "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      r.id, r.conversation_id, r.message_id, r.status, r.model, code_of(r.error), text_of(r.error), r.usage,
      r.reasoning.from, r.reasoning.to, r.content.from, r.content.to, r.thought, r.reasoning_tokens, r.tokens, made_of,
      r.created_at);
}

std::unexpected<Refusal> no_such(std::string_view kind, const std::string& id) {
  return refuse(Problem::kNotFound, fmt::format("there is no {} {:?} here", kind, id));
}

Outcome<Conversation> live_conversation(Database& database, const std::string& id) {
  auto found = find_conversation(database, id);
  if (!found || found->deleted_at) return no_such("conversation", id);
  return std::move(*found);
}

}  // namespace fathom::chat
