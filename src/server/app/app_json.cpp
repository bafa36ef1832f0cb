#include "server/app/app_json.h"

#include "server/app/run_log.h"

namespace fathom::server::app {

Json stored_json(const std::string& text) {
  Json json = Json::parse(text, nullptr, false);
  return json.is_discarded() ? Json::object() : json;
}

Json settings_json(const std::string& stored) {
  Json settings = {{"language", "auto"},     {"theme", "auto"}, {"send_with", "enter"},
                   {"remote_images", false}, {"titles", true},  {"options", Json::object()}};
  settings.update(stored_json(stored));
  return settings;
}

Json conversation_json(const chat::Conversation& c, bool temporary) {
  return {{"id", c.id},
          {"title", c.title},
          {"title_by", c.title_by},
          {"pinned", c.pinned},
          {"temporary", temporary},
          {"leaf_id", or_null(c.leaf_id)},
          {"options", stored_json(c.options)},
          {"created_at", c.created_at},
          {"updated_at", c.updated_at},
          {"deleted_at", or_null(c.deleted_at)},
          {"revision", c.revision},
          {"run_id", or_null(c.run_id)}};
}

Json message_json(const chat::Message& m, std::int64_t run_position) {
  Json run = nullptr, files = Json::array();
  for (const chat::File& file : m.files) files.push_back(file_json(file));
  if (m.run_id) run = {{"id", *m.run_id}, {"position", run_position}};
  return {{"id", m.id},
          {"parent_id", or_null(m.parent_id)},
          {"role", m.role},
          {"content", m.content},
          {"reasoning", or_null(m.reasoning)},
          {"reasoning_seconds", or_null(m.reasoning_seconds)},
          {"status", m.status},
          {"error", error_json(m.error)},
          {"model", or_null(m.model)},
          {"usage", m.usage ? stored_json(*m.usage) : Json(nullptr)},
          {"run", std::move(run)},
          {"by_person", m.by_person},
          {"files", std::move(files)},
          {"sources", m.sources ? stored_json(*m.sources) : Json::array()},
          {"created_at", m.created_at}};
}

Json file_json(const chat::File& file) {
  return {{"id", file.id},     {"name", file.name},     {"bytes", file.bytes},
          {"kind", file.kind}, {"tokens", file.tokens}, {"excerpt", file.excerpt}};
}

Json draft_json(const chat::Draft& draft) {
  return {{"text", draft.text}, {"file_ids", stored_json(draft.file_ids)}, {"updated_at", draft.updated_at}};
}

Json preset_json(const chat::Preset& preset) {
  return {{"id", preset.id}, {"name", preset.name}, {"options", stored_json(preset.options)}};
}

Json marked_json(const chat::MarkedText& text) {
  Json pieces = Json::array();
  for (const chat::MarkedPiece& piece : text) pieces.push_back({{"text", piece.text}, {"hit", piece.hit}});
  return pieces;
}

}  // namespace fathom::server::app
