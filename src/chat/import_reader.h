// Exports of other chat apps, read as they come: ChatGPT's and DeepSeek's conversations.json, and fathom's own.
// Untrusted bytes in, one conversation at a time out; no more than one is held in memory.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/error.h"
#include "chat/records.h"

namespace fathom::chat {

inline constexpr std::uint64_t kMostImportBytes = std::uint64_t{1} << 30;

struct ImportedConversation {
  std::string source;  // "chatgpt", "deepseek" or "fathom"
  Conversation conversation;
  std::vector<Message> messages;  // parents before children
  std::vector<NewFile> files;
};

struct ImportPort {
  std::function<std::string()> more;               // further bytes of the file; "" at its end. May wait
  std::function<bool(ImportedConversation)> take;  // false: stop
  std::function<void(std::string)> skipped;        // what was left out and why, a line
};

// Reads all of a file. `whose` is mixed into the ids that conversations of other apps get, so that the same file gives
// the same ids to the same person each time. Errors, one line: no JSON (what came before was taken), not an export.
base::Result<void> read_import(const ImportPort& port, const std::string& whose);

}  // namespace fathom::chat
