// serve: the HTTP interface and the chat page until a signal asks it to stop.
#include <csignal>
#include <thread>

#include "apps/commands.h"
#include "server/server.h"

namespace fathom::apps {

Status serve(const ServeFlags& flags) {
  // Signals are taken by one waiting thread; every other thread, those of the engine and server too, leaves them be.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);

  auto model = open_model(flags);
  if (!model) return std::unexpected(model.error());
  const int context = (*model)->context_length();
  auto server = server::Server::start(
      {.host = flags.host, .port = flags.port, .api_key = flags.api_key, .page = server::embedded_page()},
      {std::shared_ptr<engine::LoadedModel>(std::move(*model))});
  if (!server) return std::unexpected(server.error());
  fmt::print("fathom serves {} at {} (context {}); Ctrl-C stops it\n", flags.model, (*server)->url(), context);
  std::fflush(stdout);
  int signal = 0;
  sigwait(&signals, &signal);
  (*server)->stop();
  return {};
}

}  // namespace fathom::apps
