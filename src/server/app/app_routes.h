// The operations of web/api/app.yaml, one function each, by subject.
#pragma once

#include <span>

#include "server/app/app.h"

namespace fathom::server::app {

struct AppRoute {
  std::string_view method;
  std::string_view path;  // "{...}" stands for one part of a path
  Reply (*answer)(App&, const Call&);
};
std::span<const AppRoute> app_routes();

// ---- session_routes.cpp
Reply get_session(App& app, const Call& call);
Reply watch_changes(App& app, const Call& call);
Reply get_settings(App& app, const Call& call);
Reply change_settings(App& app, const Call& call);
Reply list_presets(App& app, const Call& call);
Reply keep_preset(App& app, const Call& call);
Reply remove_preset(App& app, const Call& call);

// ---- conversation_routes.cpp
Reply list_conversations(App& app, const Call& call);
Reply create_conversation(App& app, const Call& call);
Reply delete_all_conversations(App& app, const Call& call);
Reply get_conversation(App& app, const Call& call);
Reply change_conversation(App& app, const Call& call);
Reply delete_conversation(App& app, const Call& call);
Reply restore_conversation(App& app, const Call& call);
Reply make_title(App& app, const Call& call);
Reply add_message(App& app, const Call& call);
Reply get_draft(App& app, const Call& call);
Reply keep_draft(App& app, const Call& call);
Reply search(App& app, const Call& call);

// ---- run_routes.cpp
Reply start_run(App& app, const Call& call);
Reply check_run(App& app, const Call& call);
Reply get_run(App& app, const Call& call);
Reply watch_run(App& app, const Call& call);
Reply stop_run(App& app, const Call& call);

// ---- usage_routes.cpp
Reply get_usage(App& app, const Call& call);
Reply list_keys(App& app, const Call& call);
Reply add_key(App& app, const Call& call);
Reply limit_key(App& app, const Call& call);
Reply revoke_key(App& app, const Call& call);

// ---- file_routes.cpp
Reply put_file(App& app, const Call& call);
Reply get_file(App& app, const Call& call);
Reply get_file_text(App& app, const Call& call);
Reply remove_file(App& app, const Call& call);

// ---- import_routes.cpp
Reply continue_import(App& app, const Call& call);
Reply get_import(App& app, const Call& call);

// ---- model_routes.cpp
Reply list_app_models(App& app, const Call& call);
Reply load_model(App& app, const Call& call);
Reply change_download(App& app, const Call& call);
Reply cancel_download(App& app, const Call& call);

// ---- export_routes.cpp
Reply export_conversation(App& app, const Call& call);
Reply export_all(App& app, const Call& call);

}  // namespace fathom::server::app
