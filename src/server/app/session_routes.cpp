// What the page needs to start: session, settings, presets, and the stream of changes.
#include <algorithm>

#include "chat/file_text.h"
#include "server/app/app_json.h"
#include "server/app/app_routes.h"
#include "server/app/strict_fields.h"

namespace fathom::server::app {

namespace {

Reply settings_reply(const chat::Outcome<std::string>& stored) {
  if (!stored) return error_reply(from_refusal(stored.error()));
  return json_response(200, settings_json(*stored));
}

void one_of(StrictFields& fields, const char* name, std::initializer_list<std::string_view> known) {
  const auto text = fields.text(name);
  if (text && std::ranges::find(known, *text) == known.end())
    fields.refuse(name, fmt::format("expected one of {}, or null", fmt::join(known, ", ")));
}

}  // namespace

Reply get_session(App& app, const Call&) {
  auto settings = app.settings();
  if (!settings) return error_reply(settings.error());
  const Json features = {{"files", true},
                         {"web_search", false},
                         {"downloads", app.library().can_fetch()},
                         {"imports", true},
                         {"usage", app.ledger() != nullptr},
                         {"people", false},
                         {"keys", app.keys() != nullptr}};
  return json_response(200, {{"version", app.version()},
                             {"person", nullptr},
                             {"csrf_token", nullptr},
                             {"features", features},
                             {"limits", {{"message_bytes", kMessageBytes}, {"file_bytes", chat::kMostFileBytes}}},
                             {"settings", std::move(*settings)}});
}

Reply watch_changes(App& app, const Call& call) {
  return app.changes().watch(call.position());
}

Reply get_settings(App& app, const Call&) {
  return settings_reply(app.kept().settings());
}

Reply change_settings(App& app, const Call& call) {
  const auto body = read_object(call.request());
  if (!body) return error_reply(body.error());
  StrictFields fields(*body, {"language", "theme", "send_with", "remote_images", "titles", "options"});
  one_of(fields, "language", {"auto", "ko", "en", "zh"});
  one_of(fields, "theme", {"auto", "light", "dark"});
  one_of(fields, "send_with", {"enter", "mod_enter"});
  fields.boolean("remote_images");
  fields.boolean("titles");
  if (const Json* options = fields.object("options")) {
    const auto checked = check_options(*options);
    if (!checked) return error_reply(checked.error());
  }
  if (const auto wrong = fields.wrong()) return error_reply(*wrong);
  const auto stored = app.kept().change_settings(json_text(*body));
  if (stored) app.changes().publish({{"type", "settings"}, {"settings", settings_json(*stored)}});
  return settings_reply(stored);
}

Reply list_presets(App& app, const Call&) {
  const auto presets = app.kept().presets();
  if (!presets) return error_reply(from_refusal(presets.error()));
  Json list = Json::array();
  for (const chat::Preset& preset : *presets) list.push_back(preset_json(preset));
  return json_response(200, {{"presets", std::move(list)}});
}

Reply keep_preset(App& app, const Call& call) {
  const auto body = read_object(call.request());
  if (!body) return error_reply(body.error());
  StrictFields fields(*body, {"name", "options"});
  chat::Preset preset{.id = call.value(0), .name = fields.required_text("name", 400)};
  const Json* options = fields.object("options");
  if (options == nullptr) fields.refuse("options", "is missing");
  if (const auto wrong = fields.wrong()) return error_reply(*wrong);
  const auto checked = check_options(*options);
  if (!checked) return error_reply(checked.error());
  preset.options = json_text(merged({&*checked}));
  const auto kept = app.kept().keep_preset(preset);
  if (!kept) return error_reply(from_refusal(kept.error()));
  app.changes().publish({{"type", "presets"}});
  return json_response(200, preset_json(*kept));
}

Reply remove_preset(App& app, const Call& call) {
  const auto removed = app.kept().remove_preset(call.value(0));
  if (!removed) return error_reply(from_refusal(removed.error()));
  if (*removed) app.changes().publish({{"type", "presets"}});
  return Response{.status = 204};
}

}  // namespace fathom::server::app
