// pull, list, rm: the models that this machine holds.
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <stop_token>
#include <thread>

#include "apps/commands.h"
#include "files/model_store.h"

namespace fathom::apps {

using base::Result;
using files::ModelStore;
using files::PullProgress;

namespace {

std::string size_text(double bytes) {
  for (const char* unit : {"B", "kB", "MB", "GB"}) {
    if (bytes < 1000) return fmt::format("{:.{}f} {}", bytes, bytes < 10 && *unit != 'B' ? 1 : 0, unit);
    bytes /= 1000;
  }
  return fmt::format("{:.2f} TB", bytes);
}

std::string time_text(double seconds) {
  const auto s = static_cast<long>(seconds);
  return s < 3600 ? fmt::format("{}:{:02}", s / 60, s % 60)
                  : fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60);
}

// One line that is written over: bar, bytes, speed, time left.
void show_bar(const PullProgress& p) {
  constexpr int kBar = 24;
  const double share = p.total > 0 ? static_cast<double>(p.done) / static_cast<double>(p.total) : 0;
  const int full = static_cast<int>(share * kBar);
  std::string line;
  switch (p.phase) {
    case PullProgress::Phase::kConnecting:
      line = fmt::format("connecting to {} ...", p.file);
      break;
    case PullProgress::Phase::kWaiting:
      line = "waiting for another program that pulls this model";
      break;
    case PullProgress::Phase::kChecking:
      line = fmt::format("checking {}", p.file);
      break;
    case PullProgress::Phase::kDone:
      line = fmt::format("{} here", size_text(static_cast<double>(p.total)));
      break;
    case PullProgress::Phase::kFetching:
      line = fmt::format("[{}{}] {:3.0f} %  {} of {}", std::string(static_cast<std::size_t>(full), '#'),
                         std::string(static_cast<std::size_t>(kBar - full), '.'), share * 100,
                         size_text(static_cast<double>(p.done)), size_text(static_cast<double>(p.total)));
      if (p.bytes_per_second > 0)
        line += fmt::format("  {}/s  {} left", size_text(p.bytes_per_second), time_text(p.seconds_left));
  }
  fmt::print(stderr, "\r\033[K{}{}", line, p.phase == PullProgress::Phase::kDone ? "\n" : "");
  std::fflush(stderr);
}

// Without a terminal: a line now and then, for logs.
class Lines {
 public:
  void operator()(const PullProgress& p) {
    const int tenth = p.total > 0 ? static_cast<int>(10 * p.done / p.total) : 0;
    if (p.phase == last_phase_ && (p.phase != PullProgress::Phase::kFetching || tenth == last_tenth_)) return;
    last_phase_ = p.phase;
    last_tenth_ = tenth;
    if (p.phase == PullProgress::Phase::kFetching)
      fmt::print(stderr, "{} of {}\n", size_text(static_cast<double>(p.done)), size_text(static_cast<double>(p.total)));
    if (p.phase == PullProgress::Phase::kWaiting)
      fmt::print(stderr, "waiting for another program that pulls this model\n");
  }

 private:
  PullProgress::Phase last_phase_ = PullProgress::Phase::kDone;
  int last_tenth_ = -1;
};

// Ctrl-C asks to stop: a thread takes the signal, so that nothing runs in a handler.
class StopOnInterrupt {
 public:
  StopOnInterrupt() {
    sigemptyset(&signals_);
    sigaddset(&signals_, SIGINT);
    sigaddset(&signals_, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
    waiter_ = std::jthread([this](std::stop_token done) {
      const timespec tick{.tv_sec = 0, .tv_nsec = 100'000'000};
      while (!done.stop_requested())
        if (sigtimedwait(&signals_, nullptr, &tick) > 0) stop_.request_stop();
    });
  }
  std::stop_token token() const { return stop_.get_token(); }

 private:
  sigset_t signals_;
  std::stop_source stop_;
  std::jthread waiter_;
};

}  // namespace

Status pull(const StoreFlags& flags) {
  auto store = ModelStore::from_environment();
  if (!store) return std::unexpected(store.error());
  auto access = files::HubAccess::from_environment();
  if (!access) return std::unexpected(access.error());
  const StopOnInterrupt interrupt;
  Lines lines;
  const bool terminal = isatty(STDERR_FILENO) != 0;
  auto path = store->pull(flags.model, {.access = *access,
                                        .progress = [&](const PullProgress& p) { terminal ? show_bar(p) : lines(p); },
                                        .stop = interrupt.token()});
  if (!path) {
    if (terminal) fmt::print(stderr, "\r\033[K");  // the message takes the bar's place
    return std::unexpected(path.error());
  }
  fmt::print("{}\n", *path);
  return {};
}

Status list(const ListFlags& flags) {
  auto store = ModelStore::from_environment();
  if (!store) return std::unexpected(store.error());
  const auto models = store->list();
  if (flags.json) {
    files::Json rows = files::Json::array();
    for (const auto& m : models)
      rows.push_back({{"name", m.name}, {"path", m.path}, {"bytes", m.bytes}, {"holder", m.holder}});
    fmt::print("{}\n", rows.dump(2, ' ', false, files::Json::error_handler_t::replace));
    return {};
  }
  std::size_t width = 4;
  for (const auto& m : models) width = std::max(width, m.name.size());
  if (!models.empty()) fmt::print("{:{}}  {:>9}  held by\n", "name", width, "size");
  for (const auto& m : models)
    fmt::print("{:{}}  {:>9}  {}\n", m.name, width, size_text(static_cast<double>(m.bytes)), m.holder);
  if (models.empty()) fmt::print("no models yet; those with a name, for `fathom pull NAME`:\n");
  if (!models.empty() && !flags.all) return {};
  if (!models.empty()) fmt::print("\nto be had with `fathom pull NAME`:\n");
  for (const auto& e : files::catalog())
    fmt::print("  {:24} {:>9}, {:>9} of memory, {}: {}\n", e.name, size_text(static_cast<double>(e.bytes)),
               size_text(static_cast<double>(e.memory)), e.licence, e.about);
  return {};
}

Status remove(const StoreFlags& flags) {
  auto store = ModelStore::from_environment();
  if (!store) return std::unexpected(store.error());
  auto freed = store->remove(flags.model);
  if (!freed) return std::unexpected(freed.error());
  fmt::print("removed {}: {} freed\n", flags.model, size_text(static_cast<double>(*freed)));
  return {};
}

}  // namespace fathom::apps
