// serve: the HTTP interface and the chat page until a signal asks it to stop.
#include <csignal>
#include <thread>

#include "apps/chat_data.h"
#include "apps/commands.h"
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
  auto prices = read_price_list(flags.config);
  if (!prices) return std::unexpected(prices.error());
  auto database = open_server_database();
  if (!database) return std::unexpected(database.error());
  std::optional<ChatData> data;
  if (!flags.no_chat) {
    auto opened = ChatData::open(flags.chat_data);
    if (!opened) return std::unexpected(opened.error());
    data.emplace(std::move(*opened));
  }
  auto disk = disk_cache(flags);
  if (!disk) return std::unexpected(disk.error());
  auto model = open_model(
      flags,
      {.disk = *disk, .share_prefixes = flags.share_prefixes, .queue_limit = std::chrono::seconds(flags.queue_limit)});
  if (!model) return std::unexpected(model.error());
  const int context = (*model)->context_length();
  auto server = server::Server::start({.host = flags.host,
                                       .port = flags.port,
                                       .allowed_origins = flags.allowed_origins,
                                       .api_key = flags.api_key,
                                       .database = std::move(*database),
                                       .prices = std::move(*prices),
                                       .log = std::move(*log),
                                       .disk = std::move(*disk),
                                       .proxy = flags.proxy,
                                       .tls_certificate = flags.tls_certificate,
                                       .tls_key = flags.tls_key,
                                       .open = flags.open,
                                       .chat = data ? data->store() : nullptr,
                                       .data_folder = data ? data->folder() : "",
                                       .page = server::embedded_page(),
                                       .write_limit = std::chrono::seconds(flags.write_limit)},
                                      {std::shared_ptr<engine::LoadedModel>(std::move(*model))});
  if (!server) return std::unexpected(server.error());
  if (data) data->write_address((*server)->url());
  fmt::print("fathom serves {} at {} (context {}); Ctrl-C stops it\n", flags.model, (*server)->url(), context);
  std::fflush(stdout);
  int signal = 0;
  sigwait(&signals, &signal);
  (*server)->stop();
  return {};
}

}  // namespace fathom::apps
