// Search over titles and messages.
#include <unordered_map>

#include "chat/search_words.h"
#include "chat/store.h"
#include "chat/store_reader.h"

namespace fathom::chat {

namespace {

constexpr std::size_t kSnippetBytes = 320;  // some 160 characters of CJK or of Latin, whichever are more
// Of a word that stands nearly everywhere, and in few conversations, no more places are looked at.
constexpr int kMostPlaces = 10'000;

std::vector<Hit> title_hits(Database& database, const SearchQuery& query, int limit) {
  std::vector<Hit> hits;
  Rows row = database.query(
      "SELECT c.id, c.title, c.updated_at FROM title_search s JOIN conversation c ON c.number = s.rowid "
      "WHERE title_search MATCH ? AND c.deleted_at IS NULL ORDER BY c.updated_at DESC LIMIT ?",
      query.expression(), limit);
  while (row.next())
    hits.push_back(
        {.conversation_id = row.text(0), .title = query.mark(row.text_view(1), kMaxTitle), .at = row.integer(2)});
  return hits;
}

}  // namespace

// By time, since SQLite walks its lists in that order and stops: a rank would need every place of a word first.
Outcome<std::vector<Hit>> Store::search(const std::string& text, int limit) const {
  const SearchQuery query(text);
  if (query.empty()) return std::vector<Hit>{};
  Reader reader = read();
  const auto wanted = static_cast<std::size_t>(limit);
  std::vector<Hit> hits = title_hits(*reader, query, limit);
  std::unordered_map<std::string, std::size_t> seen;
  for (std::size_t i = 0; i < hits.size(); ++i) seen[hits[i].conversation_id] = i;
  Rows row = reader->query(
      "SELECT m.conversation_id, m.id, m.created_at FROM message_search s JOIN message m ON m.number = s.rowid "
      "JOIN conversation c ON c.id = m.conversation_id "
      "WHERE message_search MATCH ? AND c.deleted_at IS NULL ORDER BY s.rowid DESC LIMIT ?",
      query.expression(), kMostPlaces);
  while (hits.size() < wanted && row.next()) {
    const auto [at, is_new] = seen.try_emplace(row.text(0), hits.size());
    if (is_new) {
      hits.push_back({.conversation_id = at->first, .message_id = row.text(1), .at = row.integer(2)});
    } else if (Hit& hit = hits[at->second]; !hit.message_id) {
      hit.message_id = row.text(1);  // a title's hit shows where in the conversation, too
    }
  }
  for (Hit& hit : hits) {
    if (hit.title.empty()) {
      const auto conversation = find_conversation(*reader, hit.conversation_id);
      if (conversation) hit.title = query.mark(conversation->title, kMaxTitle);
    }
    const auto message = hit.message_id ? find_message(*reader, *hit.message_id) : std::nullopt;
    if (message) hit.snippet = query.mark(message->content, kSnippetBytes);
  }
  return reader.give<std::vector<Hit>>(std::move(hits));
}

}  // namespace fathom::chat
