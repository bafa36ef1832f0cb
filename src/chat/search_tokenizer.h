// The tokenizer "letters" of the search tables: search_words' units as FTS5 wants them.
#pragma once

#include "files/sqlite.h"

namespace fathom::chat {

base::Result<void> register_search_tokenizer(files::Database& database);

}  // namespace fathom::chat
