// Records of the store in the contract's words.
#pragma once

#include "chat/records.h"
#include "server/app/call.h"

namespace fathom::server::app {

Json stored_json(const std::string& text);  // of the database, whose JSON is our own
Json settings_json(const std::string& stored);
Json conversation_json(const chat::Conversation& conversation, bool temporary);
Json message_json(const chat::Message& message, std::int64_t run_position);
Json file_json(const chat::File& file);
Json draft_json(const chat::Draft& draft);
Json preset_json(const chat::Preset& preset);
Json marked_json(const chat::MarkedText& text);

template <class T>
Json or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

}  // namespace fathom::server::app
