// Models: what can answer, what can be fetched, and the machine that they have to fit on.
#include <unistd.h>

#include <filesystem>

#include "base/machine.h"
#include "server/app/app_json.h"
#include "server/app/app_routes.h"
#include "server/app/strict_fields.h"

namespace fathom::server::app {

namespace {

Json machine_json(const std::string& folder) {
  const auto page = static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  const auto pages = static_cast<std::uint64_t>(sysconf(_SC_PHYS_PAGES));
  std::error_code error;
  const auto disk = std::filesystem::space(folder, error);
  return {{"memory_bytes", page * pages},
          {"memory_free_bytes", base::usable_memory()},
          {"disk_free_bytes", error ? 0 : disk.available},
          {"cores", base::usable_threads()}};
}

Reply model_reply(int status, AppResult<Json> model) {
  if (!model) return error_reply(model.error());
  return json_response(status, *model);
}

}  // namespace

Reply list_app_models(App& app, const Call& call) {
  const auto probe = call.query_boolean("probe_hub", false);
  if (!probe) return error_reply(probe.error());
  const std::string hub = app.library().hub_state(*probe);
  return json_response(200, {{"models", app.library().list()}, {"machine", machine_json(app.folder())}, {"hub", hub}});
}

Reply load_model(App& app, const Call& call) {
  return model_reply(202, app.library().load(call.value(0)));
}

Reply change_download(App& app, const Call& call) {
  const auto body = read_object(call.request());
  if (!body) return error_reply(body.error());
  StrictFields fields(*body, {"state"});
  const std::string state = fields.required_text("state", 20);
  if (!fields.wrong() && state != "running" && state != "paused") fields.refuse("state", "expected running or paused");
  if (const auto wrong = fields.wrong()) return error_reply(*wrong);
  return model_reply(202, state == "running" ? app.library().fetch(call.value(0)) : app.library().pause(call.value(0)));
}

Reply cancel_download(App& app, const Call& call) {
  return model_reply(200, app.library().cancel(call.value(0)));
}

}  // namespace fathom::server::app
