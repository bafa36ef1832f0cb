// Signals as bytes of a pipe, so that one thread can wait for them together with keys and with an answer's text:
// Ctrl-C, a new size of the terminal, Ctrl-Z, and the wishes to end. What they mean is for who reads them.
#pragma once

#include <array>
#include <csignal>
#include <optional>

#include "base/error.h"

namespace fathom::apps {

class Signals {
 public:
  enum class Kind { kInterrupt, kResize, kSuspend, kEnd };

  // Takes over SIGINT, SIGWINCH, SIGTSTP, SIGTERM and SIGHUP until destroyed. One at a time.
  static base::Result<Signals> take_over();
  Signals(Signals&& other) noexcept;
  Signals& operator=(Signals&&) = delete;
  ~Signals();

  int fd() const { return pipe_[0]; }  // readable when one has come
  std::optional<Kind> next();          // without waiting

 private:
  static constexpr std::array kTaken{SIGINT, SIGWINCH, SIGTSTP, SIGTERM, SIGHUP};

  Signals() = default;

  int pipe_[2] = {-1, -1};
  std::array<struct sigaction, kTaken.size()> before_{};
};

// Stops this process as Ctrl-Z does; returns when it is continued.
void suspend();

}  // namespace fathom::apps
