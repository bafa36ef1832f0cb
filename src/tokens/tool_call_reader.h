// Takes the calls of tools out of an answer's text as it comes: what is markup never reaches the content, and a call's
// arguments go out piece by piece. It reads what the grammar of the same syntax lets through; text that only begins
// like a call is given back as it stands, nothing is repaired.
#pragma once

#include <string>
#include <vector>

#include "tokens/tool_syntax.h"

namespace fathom::tokens {

// The first piece of a call has its name, the others are parts of its arguments.
struct ToolCallPiece {
  int index = 0;
  std::string name;
  std::string arguments;
};

class ToolCallReader {
 public:
  explicit ToolCallReader(ToolSyntax syntax) : markup_(&tool_markup(syntax)) {}

  struct Text {
    std::string content;
    std::vector<ToolCallPiece> calls;
  };
  Text push(std::string_view text);  // UTF-8, with the names of the syntax's control tokens in it
  Text flush();                      // what was held back, at the end of the answer
  int calls() const { return calls_; }

 private:
  enum class State { kContent, kCallBegin, kName, kArguments, kCallEnd, kBetween, kAfter };

  bool step(Text& out, bool last);
  bool read_content(Text& out, bool last);
  bool read_between(bool last);
  bool read_name(Text& out);
  bool read_arguments(Text& out);
  bool expect(std::string_view wanted, State next, Text& out);
  void give_back(Text& out);

  const ToolMarkup* markup_;
  State state_ = State::kContent;
  std::string pending_;
  std::string taken_;      // markup of the call under way, should it turn out to be none
  bool any_text_ = false;  // content other than white space has gone out
  int calls_ = 0;          // whose names have gone out
  int depth_ = 0;          // of brackets in the arguments
  bool in_string_ = false, escaped_ = false;
};

}  // namespace fathom::tokens
