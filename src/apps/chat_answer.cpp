#include "apps/chat_answer.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <termios.h>
#include <unistd.h>

#include <chrono>
#include <mutex>
#include <system_error>
#include <utility>
#include <vector>

namespace fathom::apps {

using base::Result;
using engine::AnswerDelta;
using engine::FinishReason;

namespace {

using Clock = std::chrono::steady_clock;

double since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// How often a wait without text is told.
constexpr int kTellMilliseconds = 1000;

// What another thread leaves for this one; readable when there is something.
class Mailbox {
 public:
  Mailbox() : fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
  Mailbox(const Mailbox&) = delete;
  Mailbox& operator=(const Mailbox&) = delete;
  ~Mailbox() { close(fd_); }

  void put(const AnswerDelta& delta) {
    const std::scoped_lock lock(mutex_);
    deltas_.push_back(delta);
    eventfd_write(fd_, 1);
  }
  std::vector<AnswerDelta> take() {
    const std::scoped_lock lock(mutex_);
    eventfd_t ignored = 0;
    eventfd_read(fd_, &ignored);
    return std::exchange(deltas_, {});
  }
  int fd() const { return fd_; }

 private:
  int fd_;
  std::mutex mutex_;
  std::vector<AnswerDelta> deltas_;
};

// Keys that are pressed while an answer is written do not show; the next prompt gets them. Ctrl-C still signals.
class EchoOff {
 public:
  EchoOff() : active_(tcgetattr(STDIN_FILENO, &before_) == 0) { off(); }
  EchoOff(const EchoOff&) = delete;
  EchoOff& operator=(const EchoOff&) = delete;
  ~EchoOff() { on(); }

  void off() {
    termios quiet = before_;
    quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO | ICANON);
    if (active_) tcsetattr(STDIN_FILENO, TCSADRAIN, &quiet);
  }
  void on() {
    if (active_) tcsetattr(STDIN_FILENO, TCSADRAIN, &before_);
  }

 private:
  termios before_{};
  bool active_;
};

class AnswerLoop {
 public:
  AnswerLoop(ChatModel& model, StreamPrinter& printer, Signals* signals)
      : model_(model), printer_(printer), signals_(signals) {
    if (signals != nullptr) echo_.emplace();
  }

  ChatAnswer run(Mailbox& mailbox, Clock::time_point start) {
    start_ = start;
    while (answer_.finish == FinishReason::kNone) {
      pollfd waits[] = {{.fd = mailbox.fd(), .events = POLLIN, .revents = 0},
                        {.fd = signals_ != nullptr ? signals_->fd() : -1, .events = POLLIN, .revents = 0}};
      poll(waits, 2, kTellMilliseconds);
      if (signals_ != nullptr)
        while (const auto signal = signals_->next()) handle(*signal);
      for (const AnswerDelta& delta : mailbox.take()) show(delta);
      if (!answer_.has_text() && answer_.finish == FinishReason::kNone) printer_.wait(since(start_));
    }
    printer_.end();
    return std::move(answer_);
  }

 private:
  void show(const AnswerDelta& delta) {
    const bool first = !answer_.has_text();
    answer_.reasoning += delta.reasoning;
    answer_.content += delta.content;
    if (first && answer_.has_text()) answer_.first_seconds = since(start_);
    if (!delta.reasoning.empty()) printer_.reasoning(delta.reasoning, since(start_) - answer_.first_seconds);
    if (!delta.content.empty()) printer_.content(delta.content);
    answer_.statistics = delta.statistics;
    answer_.finish = delta.finish;
    answer_.error = delta.error;
  }

  void handle(Signals::Kind signal) {
    switch (signal) {
      case Signals::Kind::kInterrupt:
        answer_.leave = std::exchange(stopping_, true);
        model_.cancel();
        break;
      case Signals::Kind::kEnd:
        answer_.leave = true;
        model_.cancel();
        break;
      case Signals::Kind::kResize:
        printer_.resize(Terminal::of(stdout));
        break;
      case Signals::Kind::kSuspend:
        echo_->on();
        suspend();
        echo_->off();
        break;
    }
  }

  ChatModel& model_;
  StreamPrinter& printer_;
  Signals* signals_;
  std::optional<EchoOff> echo_;
  ChatAnswer answer_;
  Clock::time_point start_;
  bool stopping_ = false;
};

}  // namespace

Result<ChatAnswer> stream_answer(ChatModel& model, ChatQuestion question, StreamPrinter& printer, Signals* signals) {
  // The sink may be let go of after the last delta was taken here, so it keeps the mailbox alive.
  const auto mailbox = std::make_shared<Mailbox>();
  if (mailbox->fd() < 0) return base::fail("no event to wait for: {}", std::generic_category().message(errno));
  AnswerLoop loop(model, printer, signals);
  const auto start = Clock::now();
  auto begun = model.start(std::move(question), [mailbox](const AnswerDelta& delta) { mailbox->put(delta); });
  if (!begun) return std::unexpected(begun.error());
  return loop.run(*mailbox, start);
}

}  // namespace fathom::apps
