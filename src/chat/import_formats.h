// One conversation of an export, as its app writes it, to our records.
#pragma once

#include "chat/import_reader.h"
#include "files/json.h"

namespace fathom::chat {

// Which app's it is follows from its fields. Errors, one line: none that is known, or without messages.
base::Result<ImportedConversation> imported_conversation(const files::Json& json, const std::string& whose);

// ---- for its parts alone
// Fathom's own, as GET /app/export writes it (import_fathom.cpp).
base::Result<ImportedConversation> imported_from_fathom(const files::Json& json);
// Of "2025-04-29T11:59:11.635000+08:00"; 0 where it is none.
std::int64_t milliseconds_of_date(std::string_view text);
// The text, integer, … of a field; nothing where it is absent or of another kind.
const files::Json* field(const files::Json& object, std::string_view name);
std::string text_field(const files::Json& object, std::string_view name);

}  // namespace fathom::chat
