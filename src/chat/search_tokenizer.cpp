// A text gives every letter, and each pair at the place of its first letter. A query gives pairs where there are two
// letters or more: a phrase of pairs is found exactly where the letters stand in a row, by short lists.
#include "chat/search_tokenizer.h"

#include <sqlite3.h>

#include "chat/search_words.h"

namespace fathom::chat {

namespace {

using TakeToken = int (*)(void*, int, const char*, int, int, int);

class TokenGiver {
 public:
  TokenGiver(TakeToken take, void* context) : take_(take), context_(context) {}

  bool give(const std::string& text, std::size_t begin, std::size_t end, bool same_place = false) {
    code_ = take_(context_, same_place ? FTS5_TOKEN_COLOCATED : 0, text.data(), static_cast<int>(text.size()),
                  static_cast<int>(begin), static_cast<int>(end));
    return code_ == SQLITE_OK;
  }
  int code() const { return code_; }

 private:
  TakeToken take_;
  void* context_;
  int code_ = SQLITE_OK;
};

int tokenize(Fts5Tokenizer*, void* context, int flags, const char* text, int size, TakeToken take) {
  try {
    const auto units = search_units(std::string_view(text, static_cast<std::size_t>(size)));
    const bool query = (flags & FTS5_TOKENIZE_QUERY) != 0;
    TokenGiver giver(take, context);
    for (std::size_t i = 0; i < units.size(); ++i) {
      const SearchUnit& unit = units[i];
      const bool pair = i + 1 < units.size() && units[i + 1].joined;
      const bool alone = !unit.joined && !pair;
      if ((!query || alone) && !giver.give(unit.text, unit.begin, unit.end)) return giver.code();
      if (pair && !giver.give(unit.text + units[i + 1].text, unit.begin, units[i + 1].end, !query)) return giver.code();
    }
    return SQLITE_OK;
  } catch (const std::exception&) {
    return SQLITE_NOMEM;
  }
}

int create(void*, const char**, int, Fts5Tokenizer** out) {
  static char nothing = 0;  // it has no state, but a null pointer would be a failure
  *out = reinterpret_cast<Fts5Tokenizer*>(&nothing);
  return SQLITE_OK;
}

void destroy(Fts5Tokenizer*) {}

}  // namespace

base::Result<void> register_search_tokenizer(files::Database& database) {
  fts5_api* api = nullptr;
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v2(database.handle(), "SELECT fts5(?1)", -1, &statement, nullptr) == SQLITE_OK) {
    sqlite3_bind_pointer(statement, 1, static_cast<void*>(&api), "fts5_api_ptr", nullptr);
    sqlite3_step(statement);
  }
  sqlite3_finalize(statement);
  if (api == nullptr) return base::fail("this system's SQLite has no full-text search (FTS5)");
  fts5_tokenizer tokenizer{create, destroy, tokenize};
  if (api->xCreateTokenizer(api, "letters", nullptr, &tokenizer, nullptr) != SQLITE_OK)
    return base::fail("{}: the search tokenizer could not be registered", database.path());
  return {};
}

}  // namespace fathom::chat
