// Filters, tests, methods and functions of the language, and how values are taken apart.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tokens/jinja/machine.h"
#include "tokens/jinja/value.h"

namespace fathom::tokens::jinja {

struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

bool is_filter(std::string_view name);
bool is_test(std::string_view name);
bool is_function(std::string_view name);
bool is_method(const Value& self, std::string_view name);

Value apply_filter(Machine& machine, std::string_view name, const Value& input, const Arguments& arguments);
bool apply_test(Machine& machine, std::string_view name, const Value& input, const Arguments& arguments);
Value call_function(Machine& machine, std::string_view name, const Arguments& arguments);
Value call_method(Machine& machine, std::string_view name, const Value& self, const Arguments& arguments);

// a.name and a[key]; undefined where there is no such thing.
Value attribute_of(Machine& machine, const Value& of, std::string_view name);
Value item_of(Machine& machine, const Value& of, const Value& key);
// a[start:stop:step], absent bounds undefined.
Value slice_of(Machine& machine, const Value& of, const Value& start, const Value& stop, const Value& step);

// What a for walks over: items, keys, characters. An error for what Python cannot iterate.
std::vector<Value> items_of(Machine& machine, const Value& of);

Value binary(Machine& machine, std::string_view op, const Value& left, const Value& right);
bool contains(Machine& machine, const Value& container, const Value& item);
// == != < <= > >= in, not in
bool compare_by(Machine& machine, std::string_view op, const Value& left, const Value& right);
// Python's "..." % values.
Value format_by_percent(Machine& machine, const Text& format, const std::vector<Value>& values);

}  // namespace fathom::tokens::jinja
