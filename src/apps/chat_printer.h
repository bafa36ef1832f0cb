// An answer on its way to the screen, or into a file or pipe: thoughts dimmed and timed, Markdown block by block as it
// is finished. To anything but a terminal the answer goes as it is, and thoughts go to standard error.
#pragma once

#include <cstdio>
#include <optional>
#include <string>
#include <string_view>

#include "apps/markdown_stream.h"
#include "apps/terminal.h"
#include "apps/terminal_rows.h"

namespace fathom::apps {

class StreamPrinter {
 public:
  explicit StreamPrinter(const Terminal& terminal)
      : terminal_(terminal), rows_(stdout), markdown_({.columns = terminal.columns, .styled = terminal.styled}) {}

  // Nothing has come for so long.
  void wait(double seconds);
  // `seconds`: since the thought began.
  void reasoning(std::string_view text, double seconds);
  void content(std::string_view text);
  void end();
  void resize(const Terminal& terminal);  // the terminal has another size now

 private:
  void end_reasoning();
  void show_content();
  std::vector<std::string> thought_rows(std::string_view text) const;

  Terminal terminal_;
  LiveRows rows_;
  MarkdownStream markdown_;
  std::string thought_;  // its last line
  double thought_seconds_ = 0;
  bool thinking_ = false, answering_ = false;
  bool ends_line_ = true;  // what was printed plainly ends with a newline
};

}  // namespace fathom::apps
