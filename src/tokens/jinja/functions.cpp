// Functions that a template may call by name.
#include <fmt/format.h>

#include <array>
#include <ctime>

#include "tokens/jinja/binding.h"
#include "tokens/jinja/builtins.h"

namespace fathom::tokens::jinja {
namespace {

constexpr std::int64_t kLongestRange = 100'000;

Value function_range(Machine& m, const Value&, const Slots& slots, const Arguments&) {
  const bool one = slots[1].undefined();
  const std::int64_t start = one ? 0 : integer_or(m, slots[0], 0);
  const std::int64_t stop = integer_or(m, slots[one ? 0 : 1], 0);
  const std::int64_t step = integer_or(m, slots[2], 1);
  if (step == 0) return m.fail("range with a step of 0");
  std::vector<Value> items;
  for (std::int64_t i = start; step > 0 ? i < stop : i > stop;) {
    if (static_cast<std::int64_t>(items.size()) == kLongestRange) return m.fail("a range is too long");
    items.emplace_back(i);
    if (__builtin_add_overflow(i, step, &i)) break;
  }
  return m.make(std::move(items));
}

Dict* dict_from(Machine& m, const Arguments& all) {
  Dict* dict = m.heap.dict();
  for (const Value& from : all.positional) {
    if (from.dict() == nullptr) {
      m.fail(fmt::format("a dictionary is made from another, not from {}", type_name(from)));
      break;
    }
    m.spend(from.dict()->entries.size() * sizeof(Value));
    for (const auto& [key, value] : from.dict()->entries) dict->set(key, value);
  }
  for (const auto& [name, value] : all.named) dict->set(Text(name, true), value);
  return dict;
}

Value function_dict(Machine& m, const Value&, const Slots&, const Arguments& all) {
  return dict_from(m, all);
}

Value function_namespace(Machine& m, const Value&, const Slots&, const Arguments& all) {
  Dict* dict = dict_from(m, all);
  dict->is_namespace = true;
  return dict;
}

Value function_raise(Machine& m, const Value&, const Slots& slots, const Arguments&) {
  return m.refuse(str_of(m, slots[0]).bytes);
}

Value function_now(Machine& m, const Value&, const Slots& slots, const Arguments&) {
  const Text* format = text_or_null(m, slots[0]);
  if (format == nullptr || format->size() > 100) return m.fail("strftime_now needs a format of at most 100 bytes");
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  std::array<char, 1024> buffer{};
  const std::size_t size = std::strftime(buffer.data(), buffer.size(), format->bytes.c_str(), &local);
  return m.make(Text(std::string_view(buffer.data(), size), true));
}

constexpr std::array kFunctions = std::to_array<Builtin>({
    {"dict", "*", function_dict},
    {"namespace", "*", function_namespace},
    {"raise_exception", "message", function_raise},
    {"range", "start stop step", function_range},
    {"strftime_now", "format", function_now},
});

}  // namespace

bool is_function(std::string_view name) {
  return find_builtin(kFunctions, name) != nullptr;
}

Value call_function(Machine& machine, std::string_view name, const Arguments& arguments) {
  const Builtin* function = find_builtin(kFunctions, name);
  if (function == nullptr) return machine.fail(fmt::format("the function '{}' is not supported", name));
  return call_builtin(machine, *function, {}, arguments);
}

}  // namespace fathom::tokens::jinja
