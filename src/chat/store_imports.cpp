// Conversations of other apps, taken in. What was taken in before is known by its ids.
#include <algorithm>
#include <unordered_set>

#include "chat/store.h"
#include "chat/store_reader.h"

namespace fathom::chat {

namespace {

// Why nothing of it can be taken; empty: all is well.
std::string in_the_way(Database& database, const ImportedConversation& imported) {
  for (const Message& message : imported.messages) {
    const auto found = find_message(database, message.id);
    if (found && found->conversation_id != imported.conversation.id)
      return "a message of it is in another conversation";
  }
  return "";
}

// Files that are not there yet. One whose id another conversation has stays away.
void insert_files(Database& database, const ImportedConversation& imported, std::int64_t now) {
  for (const NewFile& file : imported.files) {
    Rows row = database.query("SELECT 1 FROM file WHERE id = ?", file.id);
    if (!row.next()) insert(database, file, imported.conversation.id, now);
  }
}

// Gives how many were new.
std::int64_t insert_messages(Database& database, const ImportedConversation& imported) {
  std::unordered_set<std::string> there;
  for (Rows row = database.query("SELECT id FROM message WHERE conversation_id = ?", imported.conversation.id);
       row.next();)
    there.insert(row.text(0));
  std::int64_t added = 0;
  for (Message message : imported.messages) {
    if (!there.insert(message.id).second) continue;
    std::erase_if(message.files, [&](const File& file) {
      const auto found = find_file(database, file.id);
      return !found || found->conversation_id != imported.conversation.id;
    });
    insert(database, message);
    ++added;
  }
  return added;
}

}  // namespace

Outcome<TakenIn> Store::take_in(const std::vector<ImportedConversation>& imported) {
  return writer_->write<TakenIn>([&, now = clock_()](Database& database) -> Outcome<TakenIn> {
    TakenIn taken;
    for (const ImportedConversation& one : imported) {
      const auto found = find_conversation(database, one.conversation.id);
      const auto skip = [&](std::string_view why) {
        taken.skipped.push_back(fmt::format("{:?}: {}", one.conversation.title, why));
      };
      if (found && found->run_id) {
        skip("an answer is being made in it");
        continue;
      }
      if (const std::string why = in_the_way(database, one); !why.empty()) {
        skip(why);
        continue;
      }
      if (!found) insert(database, one.conversation, "import");
      if (found && found->deleted_at)
        database.run("UPDATE conversation SET deleted_at = NULL, revision = revision + 1 WHERE id = ?",
                     one.conversation.id);
      insert_files(database, one, now);
      const std::int64_t added = insert_messages(database, one);
      taken.messages += added;
      if (added > 0 || (found && found->deleted_at)) ++taken.conversations;
      if (found && added > 0)
        database.run(
            "UPDATE conversation SET leaf_id = coalesce(?2, leaf_id), updated_at = max(updated_at, ?3), revision = "
            "revision + 1 WHERE id = ?1",
            one.conversation.id, one.conversation.leaf_id, one.conversation.updated_at);
    }
    return taken;
  });
}

}  // namespace fathom::chat
