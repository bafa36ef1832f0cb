// serve: the HTTP interface and the chat page until a signal asks it to stop.
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <thread>

#include "apps/chat_data.h"
#include "apps/commands.h"
#include "apps/running_server.h"
#include "apps/served_models.h"
#include "engine/disk_cache.h"
#include "files/places.h"
#include "server/server.h"

namespace fathom::apps {

namespace {

// The folder that was asked for must do; without the usual one the server still serves.
base::Result<std::shared_ptr<engine::DiskCache>> disk_cache(const ServeFlags& flags) {
  if (flags.cache_disk == 0) return nullptr;
  if (!flags.cache_folder.empty()) return engine::DiskCache::open(flags.cache_folder, flags.cache_disk);
  const auto places = files::Places::from_environment();
  if (!places) return std::unexpected(places.error());
  auto cache = engine::DiskCache::open(places->data + "/cache", flags.cache_disk);
  if (cache) return cache;
  fmt::print(stderr, "fathom: {}; conversations are kept in memory alone\n", cache.error().message);
  return nullptr;
}

// A hub whose address is wrong is said by `fathom pull`; the server then fetches nothing.
server::app::ModelPlaces model_places() {
  server::app::ModelPlaces places;
  if (auto store = files::ModelStore::from_environment()) places.store = std::move(*store);
  if (auto hub = files::HubAccess::from_environment()) places.hub = std::move(*hub);
  return places;
}

// A port in use may be that of this person's other server.
Status with_neighbour(const base::Error& error, int port) {
  const auto other = RunningServer::find();
  if (!other || !other->url().ends_with(fmt::format(":{}", port))) return std::unexpected(error);
  return base::fail("fathom serves at {} already: use that, stop it first, or choose another port with --port (0: any)",
                    other->url());
}

// Who asks twice does not want to wait for answers to end. What was promised to clients is on disk.
void end_at_once_at_second(const sigset_t& signals) {
  std::thread([signals] {
    int signal = 0;
    sigwait(&signals, &signal);
    std::_Exit(128 + signal);
  }).detach();
}

}  // namespace

Status serve(const ServeFlags& flags) {
  // Signals are taken by one waiting thread; every other thread, those of the engine and server too, leaves them be.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);  // a file that may not grow is an error of whoever writes it

  auto log = server::RequestLog::open(flags.log);
  if (!log) return std::unexpected(log.error());
  auto sources = served_models(flags);
  if (!sources) return std::unexpected(sources.error());
  auto database = open_server_database();
  if (!database) return std::unexpected(database.error());
  std::optional<ChatData> data;
  if (!flags.no_chat) {
    auto opened = ChatData::open(flags.chat_data);
    if (!opened) return std::unexpected(opened.error());
    data.emplace(std::move(*opened));
  }
  auto record = ServerRecord::take();
  if (!record) return std::unexpected(record.error());
  auto disk = disk_cache(flags);
  if (!disk) return std::unexpected(disk.error());
  const std::size_t others = sources->size() - 1;
  auto options = pool_options(flags, *disk);
  if (!options) return std::unexpected(options.error());
  auto models = std::make_shared<server::ModelPool>(std::move(*options), std::move(*sources));
  // The first one is loaded before the server says that it serves.
  auto asked = models->ask("");
  auto first = asked->use ? server::ApiResult<server::ModelUse>(asked->use) : asked->ticket->wait();
  if (!first) return base::fail("{}", first.error().message);
  const std::string name = (*first)->name();
  const int context = (*first)->context_length();
  first = server::ModelUse();
  asked->ticket.reset();
  auto server = server::Server::start({.host = flags.host,
                                       .port = flags.port,
                                       .allowed_origins = flags.allowed_origins,
                                       .api_key = flags.api_key,
                                       .local_key = *record ? (*record)->secret() : "",
                                       .database = std::move(*database),
                                       .prices = flags.prices,
                                       .log = std::move(*log),
                                       .disk = std::move(*disk),
                                       .proxy = flags.proxy,
                                       .tls_certificate = flags.tls_certificate,
                                       .tls_key = flags.tls_key,
                                       .open = flags.open,
                                       .chat = data ? data->store() : nullptr,
                                       .data_folder = data ? data->folder() : "",
                                       .model_places = model_places(),
                                       .page = server::embedded_page(),
                                       .write_limit = std::chrono::seconds(flags.write_limit),
                                       .drain_limit = std::chrono::milliseconds(std::llround(flags.drain * 1e3))},
                                      models);
  if (!server) return with_neighbour(server.error(), flags.port);
  if (data) data->write_address((*server)->url());
  if (*record)
    if (auto written = (*record)->write((*server)->url()); !written) return std::unexpected(written.error());
  const std::string more = others == 0 ? "" : fmt::format(" and {} more", others);
  fmt::print("fathom serves {}{} at {} (context {}); Ctrl-C stops it\n", name, more, (*server)->url(), context);
  std::fflush(stdout);
  int signal = 0;
  sigwait(&signals, &signal);
  end_at_once_at_second(signals);
  (*server)->stop();
  return {};
}

}  // namespace fathom::apps
