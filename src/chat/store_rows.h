// Rows of the tables as records, and back: what the store's files share. Each works within a transaction or a reader's
// hands, and leaves errors to the connection.
#pragma once

#include "chat/outcome.h"
#include "chat/records.h"
#include "files/sqlite.h"

namespace fathom::chat {

using files::Database;
using files::Rows;

std::optional<Conversation> find_conversation(Database& database, const std::string& id);  // deleted ones too
std::optional<Message> find_message(Database& database, const std::string& id);
std::optional<Run> find_run(Database& database, const std::string& id);
std::vector<Message> messages_of(Database& database, const std::string& conversation);

// A file that is whole, and whose conversation, if it has one, was not deleted.
std::optional<File> find_file(Database& database, const std::string& id);

std::vector<NewFile> files_of(Database& database, const std::string& conversation);  // with their text
// All of a file at once.
void insert(Database& database, const NewFile& file, const std::optional<std::string>& conversation, std::int64_t now);
// Removes those that were given before `before` and that neither a question nor a draft has.
void purge_files(Database& database, std::int64_t before);

void insert(Database& database, const Conversation& conversation, const std::string& made_of);
void insert(Database& database, const Message& message);  // with its place among its files, which are there
void insert(Database& database, const Run& run, const std::string& made_of);

Conversation conversation_of(const Rows& row, int first = 0);
// The columns in the order that conversation_of reads.
#define FATHOM_CONVERSATION_COLUMNS \
  "id, title, title_by, pinned, leaf_id, options, created_at, updated_at, deleted_at, revision, run_id"

// Of one that is there and not deleted; kNotFound otherwise.
Outcome<Conversation> live_conversation(Database& database, const std::string& id);
std::unexpected<Refusal> no_such(std::string_view kind, const std::string& id);

}  // namespace fathom::chat
