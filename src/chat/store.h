// The chat app's data: conversations as trees of messages, runs, files, drafts, settings, presets, search. Everything
// may be called from any thread; what changes something returns when it is on disk. HTTP and models are not known here.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "chat/import_reader.h"
#include "chat/outcome.h"
#include "chat/records.h"
#include "files/sqlite.h"

namespace fathom::chat {

class Writer;

using Clock = std::function<std::int64_t()>;  // milliseconds since 1970 UTC

inline constexpr std::int64_t kUndoMilliseconds = 24 * 3600 * 1000;  // so long a deletion can be undone
inline constexpr std::size_t kMaxTitle = 200;                        // bytes

class Store {
 public:
  // Opens or makes the database, brings it up to date, and ends what was running when the last program died. An empty
  // path: in memory, gone with the store. Errors: no database, or one of a newer version (which stays as it is).
  static base::Result<std::unique_ptr<Store>> open(const std::string& path, Clock clock = base::unix_milliseconds);
  ~Store();

  // ---- conversations
  Outcome<ConversationPage> conversations(int limit, const std::string& after, bool deleted) const;
  Outcome<Conversation> conversation(const std::string& id) const;  // kNotFound also of a deleted one
  Outcome<Thread> thread(const std::string& id) const;
  Outcome<Made<Conversation>> create(const NewConversation& wanted);
  Outcome<Conversation> change(const std::string& id, const ConversationPatch& patch);
  // A title that the model gives; nothing changes where a person gave one.
  Outcome<Conversation> name(const std::string& id, const std::string& title);
  Outcome<Deleted> remove(const std::string& id, bool purge);
  Outcome<Deleted> remove_all();
  Outcome<Conversation> restore(const std::string& id);
  Outcome<Made<Message>> add(const NewMessage& wanted, bool by_person = true);
  // Takes a conversation over from another store, where it stays.
  Outcome<Conversation> adopt(const Store& from, const std::string& id);
  // Deletes for good what was deleted before `before`; from a temporary store whatever was last used before.
  Outcome<std::vector<std::string>> purge_deleted(std::int64_t before);
  Outcome<std::vector<std::string>> purge_unused(std::int64_t before);

  // ---- runs
  Outcome<Made<Run>> start(const NewRun& wanted);
  // What came; on disk within a tenth of a second.
  void append(const std::string& run, std::string reasoning, std::string content, std::int64_t tokens);
  Outcome<Conversation> end(const EndedRun& ended);
  Outcome<Run> run(const std::string& id) const;
  Outcome<Message> message(const std::string& id) const;

  // ---- files
  // Keeps a file with its text, to be attached to a question within a day unless a draft names it.
  Outcome<Made<File>> keep_file(const NewFile& wanted);
  Outcome<File> file(const std::string& id) const;
  Outcome<bool> remove_file(const std::string& id);  // kInUse: a question has it
  // Its text from one byte to another, whole characters.
  Outcome<std::string> file_text(const std::string& id, std::int64_t from, std::int64_t to) const;
  // The passages that hold most of the words of `question`, the best first; without a question, or where none has any
  // of them, those that the file begins with.
  Outcome<std::vector<FilePart>> passages(const std::string& id, const std::string& question, int limit) const;

  // Conversations of an export, all of them in one transaction. Of those that are there already what is new is added;
  // a deleted one comes back.
  Outcome<TakenIn> take_in(const std::vector<ImportedConversation>& imported);

  // ---- the rest
  Outcome<Draft> draft(const std::string& key) const;  // an empty one where there is none
  // What is kept now: an older one than that which is kept changes nothing, an empty one removes it. For a conversation
  // that is there its revision grows.
  Outcome<Draft> keep_draft(const std::string& key, const Draft& draft);
  Outcome<std::string> settings() const;                           // JSON, {} at first
  Outcome<std::string> change_settings(const std::string& patch);  // a JSON merge patch
  Outcome<std::vector<Preset>> presets() const;                    // by name
  Outcome<Preset> keep_preset(const Preset& preset);
  Outcome<bool> remove_preset(const std::string& id);
  // Conversations whose title, or one of whose messages, holds all words of `query`, each once: those with a title that
  // does first, then by the message, the newest first.
  Outcome<std::vector<Hit>> search(const std::string& query, int limit) const;

 private:
  explicit Store(std::string path, Clock clock);
  class Reader;  // a connection to read with, borrowed
  Reader read() const;
  base::Result<void> recover();

  const std::string path_;
  const Clock clock_;
  struct Connections;
  std::unique_ptr<Connections> connections_;
  std::unique_ptr<Writer> writer_;
};

}  // namespace fathom::chat
