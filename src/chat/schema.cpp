#include "chat/schema.h"

#include "chat/search_tokenizer.h"

namespace fathom::chat {

namespace {

// Messages are numbered in the order in which they are made, parents before children. While a message is running its
// text lies in run_piece, appended as it comes; the end of the run puts it into the message.
constexpr std::string_view kFirst = R"sql(
CREATE TABLE conversation(
  number INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  title TEXT NOT NULL,
  title_by TEXT NOT NULL CHECK(title_by IN ('question', 'model', 'person')),
  pinned INTEGER NOT NULL DEFAULT 0,
  leaf_id TEXT,
  options TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  deleted_at INTEGER,
  revision INTEGER NOT NULL DEFAULT 1,
  run_id TEXT,
  made_of TEXT NOT NULL
) STRICT;
CREATE INDEX conversation_list ON conversation(pinned, updated_at, id) WHERE deleted_at IS NULL;
CREATE INDEX conversation_deleted ON conversation(deleted_at, id) WHERE deleted_at IS NOT NULL;

CREATE TABLE message(
  number INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  conversation_id TEXT NOT NULL REFERENCES conversation(id) ON DELETE CASCADE,
  parent_id TEXT REFERENCES message(id) ON DELETE CASCADE,
  role TEXT NOT NULL CHECK(role IN ('user', 'assistant')),
  content TEXT NOT NULL,
  reasoning TEXT,
  reasoning_seconds REAL,
  status TEXT NOT NULL CHECK(status IN ('done', 'running', 'stopped', 'length', 'interrupted', 'failed')),
  error_code TEXT,
  error_message TEXT,
  model TEXT,
  usage TEXT,
  run_id TEXT,
  by_person INTEGER NOT NULL,
  created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX message_conversation ON message(conversation_id, number);
CREATE INDEX message_parent ON message(parent_id);
CREATE INDEX message_running ON message(status) WHERE status = 'running';

CREATE TABLE run(
  id TEXT PRIMARY KEY,
  conversation_id TEXT NOT NULL REFERENCES conversation(id) ON DELETE CASCADE,
  message_id TEXT NOT NULL REFERENCES message(id) ON DELETE CASCADE,
  status TEXT NOT NULL CHECK(status IN ('done', 'running', 'stopped', 'length', 'interrupted', 'failed')),
  model TEXT NOT NULL,
  error_code TEXT,
  error_message TEXT,
  usage TEXT,
  reasoning_from INTEGER NOT NULL,
  reasoning_to INTEGER NOT NULL,
  content_from INTEGER NOT NULL,
  content_to INTEGER NOT NULL,
  thought INTEGER NOT NULL DEFAULT 0,
  reasoning_tokens INTEGER NOT NULL DEFAULT 0,
  tokens INTEGER NOT NULL DEFAULT 0,
  made_of TEXT NOT NULL,
  created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX run_conversation ON run(conversation_id);
CREATE INDEX run_message ON run(message_id);

CREATE TABLE run_piece(
  number INTEGER PRIMARY KEY,
  run_id TEXT NOT NULL REFERENCES run(id) ON DELETE CASCADE,
  reasoning TEXT NOT NULL,
  content TEXT NOT NULL,
  tokens INTEGER NOT NULL
) STRICT;
CREATE INDEX run_piece_run ON run_piece(run_id);

CREATE TABLE draft(
  key TEXT PRIMARY KEY,
  text TEXT NOT NULL,
  file_ids TEXT NOT NULL,
  updated_at INTEGER NOT NULL
) STRICT;
CREATE TABLE setting(name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE preset(id TEXT PRIMARY KEY, name TEXT NOT NULL, options TEXT NOT NULL) STRICT;
)sql";

// A message is in the index while it is not running: its text is only then what the table says.
constexpr std::string_view kSearch = R"sql(
CREATE VIRTUAL TABLE message_search USING fts5(content, content='message', content_rowid='number', tokenize='letters',
  prefix='3');
CREATE VIRTUAL TABLE title_search USING fts5(title, content='conversation', content_rowid='number', tokenize='letters',
  prefix='3');

CREATE TRIGGER message_comes AFTER INSERT ON message WHEN new.status <> 'running' BEGIN
  INSERT INTO message_search(rowid, content) VALUES (new.number, new.content);
END;
CREATE TRIGGER message_stops AFTER UPDATE ON message WHEN old.status = 'running' AND new.status <> 'running' BEGIN
  INSERT INTO message_search(rowid, content) VALUES (new.number, new.content);
END;
CREATE TRIGGER message_goes_on AFTER UPDATE ON message WHEN old.status <> 'running' AND new.status = 'running' BEGIN
  INSERT INTO message_search(message_search, rowid, content) VALUES ('delete', old.number, old.content);
END;
CREATE TRIGGER message_goes AFTER DELETE ON message WHEN old.status <> 'running' BEGIN
  INSERT INTO message_search(message_search, rowid, content) VALUES ('delete', old.number, old.content);
END;
CREATE TRIGGER title_comes AFTER INSERT ON conversation BEGIN
  INSERT INTO title_search(rowid, title) VALUES (new.number, new.title);
END;
CREATE TRIGGER title_changes AFTER UPDATE OF title ON conversation BEGIN
  INSERT INTO title_search(title_search, rowid, title) VALUES ('delete', old.number, old.title);
  INSERT INTO title_search(rowid, title) VALUES (new.number, new.title);
END;
CREATE TRIGGER title_goes AFTER DELETE ON conversation BEGIN
  INSERT INTO title_search(title_search, rowid, title) VALUES ('delete', old.number, old.title);
END;
INSERT INTO title_search(rowid, title) SELECT number, title FROM conversation;
INSERT INTO message_search(rowid, content) SELECT number, content FROM message WHERE status <> 'running';
)sql";

// A file's text lies in passages, which follow one another in the order of their numbers. Until it is `whole` it is not
// there for anybody.
constexpr std::string_view kFiles = R"sql(
CREATE TABLE file(
  number INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  conversation_id TEXT REFERENCES conversation(id) ON DELETE CASCADE,
  name TEXT NOT NULL,
  kind TEXT NOT NULL CHECK(kind IN ('text', 'markdown', 'code', 'csv', 'pdf')),
  bytes INTEGER NOT NULL,
  tokens INTEGER NOT NULL,
  excerpt TEXT NOT NULL,
  made_of TEXT NOT NULL,
  whole INTEGER NOT NULL DEFAULT 0,
  created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX file_conversation ON file(conversation_id);
CREATE TABLE passage(
  number INTEGER PRIMARY KEY,
  file_number INTEGER NOT NULL REFERENCES file(number) ON DELETE CASCADE,
  from_byte INTEGER NOT NULL,
  to_byte INTEGER NOT NULL,
  first INTEGER NOT NULL,
  last INTEGER NOT NULL,
  text TEXT NOT NULL
) STRICT;
CREATE INDEX passage_file ON passage(file_number, number);
CREATE TABLE message_file(
  message_id TEXT NOT NULL REFERENCES message(id) ON DELETE CASCADE,
  place INTEGER NOT NULL,
  file_id TEXT NOT NULL REFERENCES file(id) ON DELETE CASCADE,
  PRIMARY KEY(message_id, place)
) STRICT, WITHOUT ROWID;
CREATE INDEX message_file_file ON message_file(file_id);
ALTER TABLE message ADD COLUMN sources TEXT;

CREATE VIRTUAL TABLE passage_search USING fts5(text, content='passage', content_rowid='number', tokenize='letters');
CREATE TRIGGER passage_comes AFTER INSERT ON passage BEGIN
  INSERT INTO passage_search(rowid, text) VALUES (new.number, new.text);
END;
CREATE TRIGGER passage_goes AFTER DELETE ON passage BEGIN
  INSERT INTO passage_search(passage_search, rowid, text) VALUES ('delete', old.number, old.text);
END;
)sql";

constexpr std::string_view kSteps[] = {kFirst, kSearch, kFiles};

}  // namespace

std::span<const std::string_view> schema_steps() {
  return kSteps;
}

base::Result<files::Database> open_connection(const std::string& path, files::Database::Mode mode) {
  auto database = files::Database::open(path, mode);
  if (!database) return database;
  if (auto registered = register_search_tokenizer(*database); !registered) return std::unexpected(registered.error());
  return database;
}

}  // namespace fathom::chat
