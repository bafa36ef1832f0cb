#include "apps/chat_printer.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace fathom::apps {
namespace {

// A prompt that is read faster needs no words.
constexpr double kQuietSeconds = 1.0;

std::string_view without_first_newlines(std::string_view text) {
  return text.substr(std::min(text.find_first_not_of("\r\n"), text.size()));
}

}  // namespace

void StreamPrinter::wait(double seconds) {
  if (!terminal_.live || thinking_ || answering_ || seconds < kQuietSeconds) return;
  rows_.show({}, {styled(fmt::format("reading, {:.0f} s", seconds), kDim, terminal_.styled)});
}

void StreamPrinter::reasoning(std::string_view text, double seconds) {
  thought_seconds_ = seconds;
  if (!thinking_) text = without_first_newlines(text);
  if (text.empty()) return;
  thinking_ = true;
  if (!terminal_.live) {
    std::fwrite(text.data(), 1, text.size(), stderr);
    return;
  }
  thought_ += printable(text);
  const std::size_t whole = thought_.rfind('\n') + 1;  // lines that are finished
  std::vector<std::string> done;
  if (whole > 0) done = thought_rows(std::string_view(thought_).substr(0, whole - 1));
  thought_.erase(0, whole);
  rows_.show(done, thought_.empty() ? std::vector<std::string>() : thought_rows(thought_));
}

void StreamPrinter::end_reasoning() {
  if (!std::exchange(thinking_, false)) return;
  if (!terminal_.live) {
    std::fputs("\n", stderr);
    return;
  }
  std::vector<std::string> done;
  if (!thought_.empty()) done = thought_rows(thought_);
  thought_.clear();
  done.push_back(styled(fmt::format("(thought for {:.1f} s)", thought_seconds_), kDim, terminal_.styled));
  done.emplace_back();
  rows_.show(done, {});
}

void StreamPrinter::content(std::string_view text) {
  if (!answering_) text = without_first_newlines(text);
  if (text.empty()) return;
  end_reasoning();
  answering_ = true;
  if (!terminal_.live) {
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
    ends_line_ = text.ends_with('\n');
    return;
  }
  markdown_.push(text);
  show_content();
}

void StreamPrinter::show_content() {
  std::vector<std::string> live = markdown_.live();
  // Rows that scroll out of the screen cannot be written again.
  const bool tall = live.size() + 1 >= static_cast<std::size_t>(terminal_.rows);
  rows_.show(markdown_.take_done(), std::move(live));
  if (tall) markdown_.keep_plain();
}

void StreamPrinter::end() {
  end_reasoning();
  if (!terminal_.live) {
    if (!ends_line_) std::fputc('\n', stdout);
    std::fflush(stdout);
    return;
  }
  markdown_.finish();
  rows_.show(markdown_.take_done(), {});
}

void StreamPrinter::resize(const Terminal& terminal) {
  if (!terminal_.live) return;
  terminal_.columns = terminal.columns;
  terminal_.rows = terminal.rows;
  rows_.clear(terminal_.columns);
  markdown_.resize(terminal_.columns);
  if (answering_)
    show_content();
  else if (!thought_.empty())
    rows_.show({}, thought_rows(thought_));
}

std::vector<std::string> StreamPrinter::thought_rows(std::string_view text) const {
  const Span span{std::string(text), terminal_.styled ? kDim : kPlain};
  const std::string before = terminal_.styled ? "" : "│ ";  // something must tell a thought from an answer
  return wrap({&span, 1}, {terminal_.columns - 1, before, before, terminal_.styled});
}

}  // namespace fathom::apps
