// A row of a table of built-in functions, and how a call's arguments find their parameters.
#pragma once

#include <array>
#include <span>
#include <string_view>

#include "tokens/jinja/builtins.h"

namespace fathom::tokens::jinja {

constexpr std::size_t kMostParameters = 5;
using Slots = std::array<Value, kMostParameters>;  // undefined where the caller gave nothing

struct Builtin {
  std::string_view name;
  std::string_view parameters;  // names with spaces between, in order; "*": any number, read from `all`
  Value (*call)(Machine& machine, const Value& self, const Slots& slots, const Arguments& all);
};

const Builtin* find_builtin(std::span<const Builtin> table, std::string_view name);

// Calls with the arguments bound; an error names the function and the argument that does not fit.
Value call_builtin(Machine& machine, const Builtin& builtin, const Value& self, const Arguments& arguments);

// Slots as the types that most functions want.
std::int64_t integer_or(Machine& machine, const Value& slot, std::int64_t absent);
bool truth_or(const Value& slot, bool absent);
// A string's bytes; nullptr where undefined or none. Anything else is an error.
const Text* text_or_null(Machine& machine, const Value& slot);
// Text of any value, as str() gives it.
Text str_of(Machine& machine, const Value& value);

}  // namespace fathom::tokens::jinja
