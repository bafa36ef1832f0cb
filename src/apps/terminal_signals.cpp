#include "apps/terminal_signals.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <system_error>
#include <utility>

namespace fathom::apps {
namespace {

std::atomic<int> write_end = -1;
static_assert(std::atomic<int>::is_always_lock_free);

void pass_on(int signal) {
  const int saved = errno;
  const auto byte = static_cast<unsigned char>(signal);
  // A full pipe holds enough signals; nothing can be done about other errors here.
  [[maybe_unused]] const auto written = ::write(write_end.load(), &byte, 1);
  errno = saved;
}

}  // namespace

base::Result<Signals> Signals::take_over() {
  Signals s;
  if (pipe2(s.pipe_, O_CLOEXEC | O_NONBLOCK) != 0)
    return base::fail("no pipe for signals: {}", std::generic_category().message(errno));
  write_end = s.pipe_[1];
  struct sigaction action{};
  action.sa_handler = pass_on;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  for (std::size_t i = 0; i < kTaken.size(); ++i) sigaction(kTaken[i], &action, &s.before_[i]);
  return s;
}

Signals::Signals(Signals&& other) noexcept
    : pipe_{std::exchange(other.pipe_[0], -1), std::exchange(other.pipe_[1], -1)}, before_(other.before_) {}

Signals::~Signals() {
  if (pipe_[0] < 0) return;
  for (std::size_t i = 0; i < kTaken.size(); ++i) sigaction(kTaken[i], &before_[i], nullptr);
  write_end = -1;
  close(pipe_[0]);
  close(pipe_[1]);
}

std::optional<Signals::Kind> Signals::next() {
  unsigned char byte = 0;
  if (read(pipe_[0], &byte, 1) != 1) return std::nullopt;
  switch (byte) {
    case SIGINT:
      return Kind::kInterrupt;
    case SIGWINCH:
      return Kind::kResize;
    case SIGTSTP:
      return Kind::kSuspend;
    default:
      return Kind::kEnd;
  }
}

void suspend() {
  raise(SIGSTOP);
}

}  // namespace fathom::apps
