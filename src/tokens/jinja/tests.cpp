// What `is` asks.
#include <fmt/format.h>

#include <array>

#include "tokens/jinja/binding.h"
#include "tokens/jinja/builtins.h"

namespace fathom::tokens::jinja {
namespace {

template <class T>
bool is_a(const Value& value) {
  return value.get<T>() != nullptr;
}

bool is_namespace(const Value& value) {
  return value.dict() != nullptr && value.dict()->is_namespace;
}

bool iterable(const Value& v) {
  return v.undefined() || v.text() != nullptr || v.list() != nullptr || (v.dict() != nullptr && !is_namespace(v));
}

Value compare_test(Machine& m, std::string_view op, const Value& self, const Slots& slots) {
  return compare_by(m, op, self, slots[0]);
}

Value test_divisible(Machine& m, const Value& self, const Slots& slots, const Arguments&) {
  const Value rest = binary(m, "%", self, slots[0]);
  return rest.number().value_or(1) == 0;
}

Value parity(Machine& m, const Value& self, std::int64_t wanted) {
  const Value rest = binary(m, "%", self, std::int64_t{2});
  return rest.number().value_or(-1) == static_cast<double>(wanted);
}

// str.isupper and str.islower: some letter has a case, and none the other.
Value case_test(Machine& m, const Value& self, Text (*change)(const Text&), Text (*other)(const Text&)) {
  const Text text = str_of(m, self);
  return change(text).bytes == text.bytes && other(text).bytes != text.bytes;
}

constexpr std::array kTests = std::to_array<Builtin>({
    {"defined", "", [](Machine&, const Value& v, const Slots&, const Arguments&) -> Value { return !v.undefined(); }},
    {"undefined", "", [](Machine&, const Value& v, const Slots&, const Arguments&) -> Value { return v.undefined(); }},
    {"none", "", [](Machine&, const Value& v, const Slots&, const Arguments&) -> Value { return v.none(); }},
    {"boolean", "", [](Machine&, const Value& v, const Slots&, const Arguments&) -> Value { return is_a<bool>(v); }},
    {"true", "",
     [](Machine&, const Value& v, const Slots&, const Arguments&) -> Value { return is_a<bool>(v) && truthy(v); }},
    {"false", "",
     [](Machine&, const Value& v, const Slots&, const Arguments&) -> Value { return is_a<bool>(v) && !truthy(v); }},
    {"integer", "",
     [](Machine&, const Value& v, const Slots&, const Arguments&) -> Value { return is_a<std::int64_t>(v); }},
    {"float", "", [](Machine&, const Value& v, const Slots&, const Arguments&) -> Value { return is_a<double>(v); }},
    {"number", "",
     [](Machine&, const Value& v, const Slots&, const Arguments&) -> Value { return v.number().has_value(); }},
    {"string", "",
     [](Machine&, const Value& v, const Slots&, const Arguments&) -> Value { return v.text() != nullptr; }},
    {"mapping", "",
     [](Machine&, const Value& v, const Slots&, const Arguments&) -> Value {
       return v.dict() != nullptr && !is_namespace(v);
     }},
    {"sequence", "", [](Machine&, const Value& v, const Slots&, const Arguments&) -> Value { return iterable(v); }},
    {"iterable", "", [](Machine&, const Value& v, const Slots&, const Arguments&) -> Value { return iterable(v); }},
    {"callable", "",
     [](Machine&, const Value& v, const Slots&, const Arguments&) -> Value { return is_a<Callable*>(v); }},
    {"escaped", "", [](Machine&, const Value&, const Slots&, const Arguments&) -> Value { return false; }},
    {"lower", "",
     [](Machine& m, const Value& v, const Slots&, const Arguments&) -> Value { return case_test(m, v, lower, upper); }},
    {"upper", "",
     [](Machine& m, const Value& v, const Slots&, const Arguments&) -> Value { return case_test(m, v, upper, lower); }},
    {"odd", "", [](Machine& m, const Value& v, const Slots&, const Arguments&) -> Value { return parity(m, v, 1); }},
    {"even", "", [](Machine& m, const Value& v, const Slots&, const Arguments&) -> Value { return parity(m, v, 0); }},
    {"divisibleby", "num", test_divisible},
    {"in", "seq",
     [](Machine& m, const Value& v, const Slots& s, const Arguments&) -> Value { return contains(m, s[0], v); }},
    {"sameas", "other",
     [](Machine&, const Value& v, const Slots& s,
        const Arguments&) -> Value { return v.is.index() == s[0].is.index() && equal(v, s[0]); }},
    {"eq", "b",
     [](Machine& m, const Value& v, const Slots& s, const Arguments&) { return compare_test(m, "==", v, s); }},
    {"equalto", "b",
     [](Machine& m, const Value& v, const Slots& s, const Arguments&) { return compare_test(m, "==", v, s); }},
    {"==", "b",
     [](Machine& m, const Value& v, const Slots& s, const Arguments&) { return compare_test(m, "==", v, s); }},
    {"ne", "b",
     [](Machine& m, const Value& v, const Slots& s, const Arguments&) { return compare_test(m, "!=", v, s); }},
    {"!=", "b",
     [](Machine& m, const Value& v, const Slots& s, const Arguments&) { return compare_test(m, "!=", v, s); }},
    {"lt", "b",
     [](Machine& m, const Value& v, const Slots& s, const Arguments&) { return compare_test(m, "<", v, s); }},
    {"lessthan", "b",
     [](Machine& m, const Value& v, const Slots& s, const Arguments&) { return compare_test(m, "<", v, s); }},
    {"<", "b", [](Machine& m, const Value& v, const Slots& s, const Arguments&) { return compare_test(m, "<", v, s); }},
    {"le", "b",
     [](Machine& m, const Value& v, const Slots& s, const Arguments&) { return compare_test(m, "<=", v, s); }},
    {"<=", "b",
     [](Machine& m, const Value& v, const Slots& s, const Arguments&) { return compare_test(m, "<=", v, s); }},
    {"gt", "b",
     [](Machine& m, const Value& v, const Slots& s, const Arguments&) { return compare_test(m, ">", v, s); }},
    {"greaterthan", "b",
     [](Machine& m, const Value& v, const Slots& s, const Arguments&) { return compare_test(m, ">", v, s); }},
    {">", "b", [](Machine& m, const Value& v, const Slots& s, const Arguments&) { return compare_test(m, ">", v, s); }},
    {"ge", "b",
     [](Machine& m, const Value& v, const Slots& s, const Arguments&) { return compare_test(m, ">=", v, s); }},
    {">=", "b",
     [](Machine& m, const Value& v, const Slots& s, const Arguments&) { return compare_test(m, ">=", v, s); }},
});

}  // namespace

bool is_test(std::string_view name) {
  return find_builtin(kTests, name) != nullptr;
}

bool apply_test(Machine& machine, std::string_view name, const Value& input, const Arguments& arguments) {
  const Builtin* test = find_builtin(kTests, name);
  if (test == nullptr) {
    machine.fail(fmt::format("the test 'is {}' is not supported", name));
    return false;
  }
  return truthy(call_builtin(machine, *test, input, arguments));
}

}  // namespace fathom::tokens::jinja
