// ps, unload: what the running server has loaded.
#include <algorithm>
#include <chrono>
#include <ctime>
#include <thread>

#include "apps/commands.h"
#include "apps/running_server.h"
#include "apps/terminal.h"
#include "files/size_text.h"

namespace fathom::apps {

using base::fail;
using base::Result;
using files::Json;

namespace {

constexpr std::chrono::milliseconds kAskEvery{100};
constexpr std::chrono::seconds kUnloadLimit{30};

Result<RunningServer> running_server() {
  auto server = RunningServer::find();
  if (!server) return fail("no server runs here: `fathom serve` starts one");
  return std::move(*server);
}

Result<Json> loaded(const RunningServer& server) {
  auto reply = server.get("/api/ps");
  if (!reply) return reply;
  if (!reply->contains("models") || !(*reply)["models"].is_array())
    return fail("{}: not a fathom server", server.url());
  return (*reply)["models"];
}

// "in 12 min" of "2026-11-24T10:00:00Z".
std::string leaves_text(const std::string& time) {
  std::tm parts{};
  if (strptime(time.c_str(), "%Y-%m-%dT%H:%M:%SZ", &parts) == nullptr || parts.tm_year > 8000) return "stays";
  const std::int64_t left = std::max<std::int64_t>(timegm(&parts) - std::time(nullptr), 0);
  if (left < 90) return fmt::format("in {} s", left);
  return left < 5400 ? fmt::format("in {} min", (left + 30) / 60) : fmt::format("in {} h", (left + 1800) / 3600);
}

bool is_loaded(const Json& models, const std::string& name) {
  return std::ranges::any_of(models, [&](const Json& m) { return text_at(m, "name") == name; });
}

Status unload_one(const RunningServer& server, const std::string& name) {
  auto reply = server.post("/api/generate", {{"model", name}, {"keep_alive", 0}});
  if (!reply) return std::unexpected(reply.error());
  const std::string known = text_at(*reply, "model");
  for (const auto end = std::chrono::steady_clock::now() + kUnloadLimit; std::chrono::steady_clock::now() < end;) {
    const auto models = loaded(server);
    if (!models) return std::unexpected(models.error());
    if (!is_loaded(*models, known)) {
      fmt::print("unloaded {}\n", printable(known));
      return {};
    }
    std::this_thread::sleep_for(kAskEvery);
  }
  fmt::print("{} is unloaded when its answers end\n", printable(known));
  return {};
}

}  // namespace

Status list_loaded(const LoadedFlags& flags) {
  const auto server = running_server();
  if (!server) return std::unexpected(server.error());
  const auto models = loaded(*server);
  if (!models) return std::unexpected(models.error());
  if (flags.json) {
    fmt::print("{}\n", models->dump(2));
    return {};
  }
  fmt::print("the server at {}{}\n", server->url(), models->empty() ? " has no model loaded" : "");
  std::size_t width = 4;
  for (const Json& m : *models) width = std::max(width, text_at(m, "name").size());
  if (!models->empty()) fmt::print("{:{}}  {:>9}  {:>9}  {:>7}  leaves\n", "name", width, "size", "memory", "answers");
  for (const Json& m : *models)
    fmt::print("{:{}}  {:>9}  {:>9}  {:>7}  {}\n", printable(text_at(m, "name")), width,
               files::size_text(static_cast<std::uint64_t>(number_at(m, "size"))),
               files::size_text(static_cast<std::uint64_t>(number_at(m, "memory"))), number_at(m, "running"),
               leaves_text(text_at(m, "expires_at")));
  return {};
}

Status unload(const LoadedFlags& flags) {
  const auto server = running_server();
  if (!server) return std::unexpected(server.error());
  if (!flags.model.empty()) return unload_one(*server, flags.model);
  const auto models = loaded(*server);
  if (!models) return std::unexpected(models.error());
  if (models->empty()) fmt::print("no model is loaded\n");
  for (const Json& model : *models)
    if (auto gone = unload_one(*server, text_at(model, "name")); !gone) return gone;
  return {};
}

}  // namespace fathom::apps
