// Lines from a person at a terminal: editing keys, history kept in a file, pasted text of many lines as one input, wide
// characters. libedit does the editing; keys and signals are waited for together. What a line means is not known here.
#pragma once

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "apps/terminal_signals.h"
#include "base/error.h"

namespace fathom::apps {

class LineEditor {
 public:
  struct Options {
    std::FILE* out = nullptr;           // a terminal
    std::string history_file;           // empty: none is kept
    std::vector<std::string> commands;  // words that Tab completes at the beginning of a line
    bool styled = false;
  };
  // `signals` must outlive the editor. The locale must be UTF-8 (use_utf8_locale). Errors: libedit cannot start here.
  static base::Result<std::unique_ptr<LineEditor>> open(Options options, Signals& signals);
  virtual ~LineEditor() = default;

  enum class End { kLine, kInterrupted, kLeave };
  struct Input {
    End end = End::kLeave;
    std::string text;  // without the newline that ended it; what had been typed, where it was interrupted
  };
  // Waits for a line, Ctrl-C, or the end of input. `remember` puts a line into the history.
  virtual Input read(const std::string& prompt, bool remember) = 0;
};

}  // namespace fathom::apps
