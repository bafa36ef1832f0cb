// The store of models by hand, for hub_test.py: hub_pull pull|resolve|rm NAME, hub_pull list. As `fathom pull` and its
// like, but impatient: a broken connection is tried again after milliseconds, a silent one given up after two seconds.
#include <csignal>
#include <cstdio>
#include <cstring>
#include <stop_token>
#include <string_view>
#include <thread>

#include "files/model_store.h"

namespace {

using fathom::files::HubAccess;
using fathom::files::ModelStore;
using fathom::files::PullProgress;

std::stop_source stop;

void show(const PullProgress& progress) {
  constexpr const char* kPhases[] = {"connecting", "waiting", "checking", "fetching", "done"};
  std::fprintf(stderr, "%s %.*s %llu/%llu\n", kPhases[static_cast<int>(progress.phase)],
               static_cast<int>(progress.file.size()), progress.file.data(),
               static_cast<unsigned long long>(progress.done), static_cast<unsigned long long>(progress.total));
}

int failed(const fathom::base::Error& error) {
  std::fprintf(stderr, "error: %s\n", error.message.c_str());
  return 1;
}

int pull(const ModelStore& store, const char* model) {
  auto access = HubAccess::from_environment();
  if (!access) return failed(access.error());
  access->attempts = 5;
  access->first_pause_ms = 10;
  access->stall_seconds = 2;
  const auto path = store.pull(model, {.access = *access, .progress = show, .stop = stop.get_token()});
  if (!path) return failed(path.error());
  std::puts(path->c_str());
  return 0;
}

}  // namespace

int main(int count, char** words) {
  const std::string_view command = count > 1 ? words[1] : "";
  const auto store = ModelStore::from_environment();
  if (!store) return failed(store.error());
  if (command == "list") {
    for (const auto& model : store->list()) std::printf("%s\t%s\n", model.name.c_str(), model.holder.c_str());
    return 0;
  }
  if (count != 3) return 2;
  // A thread takes the signal, so that nothing runs in a handler.
  sigset_t interrupt;
  sigemptyset(&interrupt);
  sigaddset(&interrupt, SIGINT);
  pthread_sigmask(SIG_BLOCK, &interrupt, nullptr);
  std::thread([interrupt] {
    int signal = 0;
    sigwait(&interrupt, &signal);
    stop.request_stop();
  }).detach();
  if (command == "pull") return pull(*store, words[2]);
  if (command == "resolve") {
    const auto path = store->resolve(words[2]);
    if (!path) return failed(path.error());
    std::puts(path->c_str());
    return 0;
  }
  const auto removed = store->remove(words[2]);
  return removed ? 0 : failed(removed.error());
}
