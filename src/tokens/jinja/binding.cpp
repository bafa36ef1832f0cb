// Python's rules for the simple case: positional arguments first, then by name, none twice.
#include "tokens/jinja/binding.h"

#include <fmt/format.h>

#include <algorithm>

namespace fathom::tokens::jinja {
namespace {

std::size_t split_names(std::string_view names, std::array<std::string_view, kMostParameters>& out) {
  std::size_t count = 0;
  while (!names.empty()) {
    const std::size_t space = std::min(names.find(' '), names.size());
    out[count++] = names.substr(0, space);
    names.remove_prefix(std::min(space + 1, names.size()));
  }
  return count;
}

}  // namespace

const Builtin* find_builtin(std::span<const Builtin> table, std::string_view name) {
  const auto it = std::ranges::find(table, name, &Builtin::name);
  return it == table.end() ? nullptr : &*it;
}

Value call_builtin(Machine& machine, const Builtin& builtin, const Value& self, const Arguments& arguments) {
  Slots slots;
  if (builtin.parameters == "*") return builtin.call(machine, self, slots, arguments);
  std::array<std::string_view, kMostParameters> names;
  const std::size_t count = split_names(builtin.parameters, names);
  if (arguments.positional.size() > count) {
    return machine.fail(fmt::format("{}() takes at most {} arguments, {} were given", builtin.name, count,
                                    arguments.positional.size()));
  }
  std::ranges::copy(arguments.positional, slots.begin());
  for (const auto& [name, value] : arguments.named) {
    const auto it = std::find(names.begin(), names.begin() + count, name);
    const auto index = static_cast<std::size_t>(it - names.begin());
    if (index == count || index < arguments.positional.size()) {
      return machine.fail(fmt::format("{}() has no argument '{}' to take here", builtin.name, name));
    }
    slots[index] = value;
  }
  return builtin.call(machine, self, slots, arguments);
}

std::int64_t integer_or(Machine& machine, const Value& slot, std::int64_t absent) {
  if (slot.undefined() || slot.none()) return absent;
  if (const auto i = slot.integer()) return *i;
  machine.fail(fmt::format("expected an integer, found {}", type_name(slot)));
  return absent;
}

bool truth_or(const Value& slot, bool absent) {
  return slot.undefined() ? absent : truthy(slot);
}

const Text* text_or_null(Machine& machine, const Value& slot) {
  if (slot.undefined() || slot.none()) return nullptr;
  if (const Text* text = slot.text()) return text;
  machine.fail(fmt::format("expected a string, found {}", type_name(slot)));
  return nullptr;
}

Text str_of(Machine& machine, const Value& value) {
  Text out;
  append_str(out, value);
  machine.spend(out.size());
  return out;
}

}  // namespace fathom::tokens::jinja
