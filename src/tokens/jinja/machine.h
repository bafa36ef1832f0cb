// The state of one rendering: what was allocated, what it may still cost, and the first error. Errors stick: after one,
// every operation gives undefined and the interpreter stops at its next step.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "tokens/jinja/value.h"

namespace fathom::tokens::jinja {

// What one rendering may cost. A chat of a thousand messages takes about 10^5 steps and a few times its own length.
struct Limits {
  std::int64_t steps = 20'000'000;             // evaluated nodes
  std::int64_t bytes = std::int64_t{1} << 30;  // of all strings and lists made on the way
  int depth = 500;                             // nested nodes, macros included
};

// A file's words as they may stand in a message: short, on one line, without what a terminal would act on.
std::string one_line(std::string_view text);

class Machine {
 public:
  explicit Machine(const Limits& limits) : limits_(limits) {}

  Heap heap;

  // Records the error, unless one stands already; its place is the line now evaluated.
  Value fail(std::string message) {
    if (error_.empty()) error_ = one_line(fmt::format("chat template: line {}: {}", line_, message));
    return {};
  }
  // What a template says by raise_exception.
  Value refuse(std::string message) {
    if (error_.empty()) error_ = one_line(fmt::format("the chat template says: {}", message));
    return {};
  }
  bool failed() const { return !error_.empty(); }
  const std::string& error() const { return error_; }

  // Counts work; false, with an error, once the budget is spent.
  bool spend(std::size_t bytes) {
    used_bytes_ += static_cast<std::int64_t>(bytes);
    if (used_bytes_ > limits_.bytes) fail("rendering makes too much text");
    return !failed();
  }
  bool step(int line) {
    line_ = line;
    if (++steps_ > limits_.steps) fail("rendering takes too many steps");
    return !failed();
  }
  Value make(Text text) {
    spend(text.size());
    return text;
  }
  Value make(std::vector<Value> items) {
    spend(items.size() * sizeof(Value));
    return heap.list(std::move(items));
  }
  Value make_tuple(std::vector<Value> items) {
    Value list = make(std::move(items));
    list.list()->tuple = true;
    return list;
  }

  // Nested evaluation, to be left again by leave().
  bool enter() {
    if (++depth_ > limits_.depth) fail("nested too deeply (a macro that calls itself?)");
    return !failed();
  }
  void leave() { --depth_; }

 private:
  const Limits limits_;
  std::int64_t steps_ = 0, used_bytes_ = 0;
  int depth_ = 0;
  int line_ = 0;
  std::string error_;
};

}  // namespace fathom::tokens::jinja
