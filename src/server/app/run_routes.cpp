// Runs: begun, followed, stopped.
#include <charconv>

#include "server/app/app_json.h"
#include "server/app/app_routes.h"
#include "server/app/strict_fields.h"

namespace fathom::server::app {

namespace {

// All that is left of a log, at once.
class WholeLog final : public EventStream {
 public:
  explicit WholeLog(std::string events) : events_(std::move(events)) {}
  void set_wake(std::function<void()>) override {}
  Events read() override { return {std::move(events_), true}; }

 private:
  std::string events_;
};

}  // namespace

Reply start_run(App& app, const Call& call) {
  const auto body = read_object(call.request());
  if (!body) return error_reply(body.error());
  auto wish = read_wish(*body, kMessageBytes);
  if (!wish) return error_reply(wish.error());
  const auto started = app.start(std::move(*wish), call.wait());
  if (!started) return error_reply(started.error());
  return json_response(started->second ? 201 : 200, started->first);
}

Reply check_run(App& app, const Call& call) {
  const auto body = read_object(call.request());
  if (!body) return error_reply(body.error());
  const auto wish = read_wish(*body, kMessageBytes);
  if (!wish) return error_reply(wish.error());
  const auto fit = app.check(*wish, call.wait());
  if (!fit) return error_reply(fit.error());
  return json_response(200, *fit);
}

Reply get_run(App& app, const Call& call) {
  const auto run = app.show_run(call.value(0));
  if (!run) return error_reply(run.error());
  return json_response(200, *run);
}

Reply watch_run(App& app, const Call& call) {
  const std::string text = call.position();
  std::int64_t position = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), position);
  if (!text.empty() && (error != std::errc{} || end != text.data() + text.size() || position < 0))
    return error_reply(bad_request("from", "expected the id of an event of this run"));
  if (const auto run = app.live(call.value(0))) return LiveRun::watch(run, position);
  const auto ended = app.ended_run(call.value(0));
  if (!ended) return error_reply(ended.error());
  return std::make_unique<WholeLog>(ended->second.events_after(position));
}

Reply stop_run(App& app, const Call& call) {
  if (const auto run = app.live(call.value(0))) {
    run->stop(LiveRun::Why::kPerson);
    return LiveRun::wait_for_end(run);
  }
  return get_run(app, call);
}

}  // namespace fathom::server::app
