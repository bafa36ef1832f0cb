// An export of another chat app, in pieces: what is taken holds together as the store expects.
#include <cstdint>
#include <cstdlib>
#include <set>

#include "chat/import_reader.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::size_t piece = std::size_t{1} + data[0];
  const std::string text(reinterpret_cast<const char*>(data) + 1, size - 1);
  std::size_t at = 0;
  const auto more = [&] {
    std::string next = text.substr(at, piece);
    at += next.size();
    return next;
  };
  const auto take = [](const fathom::chat::ImportedConversation& one) {
    std::set<std::string> ids;
    for (const auto& message : one.messages) {
      if (message.parent_id && !ids.contains(*message.parent_id)) std::abort();
      if (!ids.insert(message.id).second) std::abort();
      if (message.role != "user" && message.role != "assistant") std::abort();
      if (message.created_at < 0 || message.conversation_id != one.conversation.id) std::abort();
    }
    if (ids.empty() || (one.conversation.leaf_id && !ids.contains(*one.conversation.leaf_id))) std::abort();
    return true;
  };
  (void)fathom::chat::read_import({more, take, [](const std::string&) {}}, "");
  return 0;
}
