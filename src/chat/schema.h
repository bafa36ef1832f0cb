// The tables of the chat app and how they came to be, step by step.
#pragma once

#include <span>
#include <string_view>

#include "files/sqlite.h"

namespace fathom::chat {

// Each as files::migrate runs it. A step that was released is never changed; another one follows it.
std::span<const std::string_view> schema_steps();

// A connection with the tokenizer that the search tables name.
base::Result<files::Database> open_connection(const std::string& path, files::Database::Mode mode);

}  // namespace fathom::chat
