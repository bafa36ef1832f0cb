// Imports: exports of other chat apps, in pieces.
#include "server/app/app_json.h"
#include "server/app/app_routes.h"

namespace fathom::server::app {

Reply continue_import(App& app, const Call& call) {
  constexpr auto kMost = static_cast<std::int64_t>(chat::kMostImportBytes);
  const auto from = call.query_integer("from", 0, kMost, 0);
  if (!from) return error_reply(from.error());
  const auto last = call.query_boolean("last", true);
  if (!last) return error_reply(last.error());
  if (!equal_ignoring_case(call.request().header("content-type"), "application/octet-stream"))
    return error_reply(bad_request("", "expected the file's bytes, with Content-Type application/octet-stream"));
  const auto run = app.import_run(call.value(0), *from == 0);
  if (!run) return error_reply(run.error());
  return (*run)->offer(static_cast<std::uint64_t>(*from), call.request().body, *last);
}

Reply get_import(App& app, const Call& call) {
  const auto run = app.import_run(call.value(0), false);
  if (!run) return error_reply(run.error());
  return json_response(200, (*run)->json());
}

}  // namespace fathom::server::app
