// Truth, equality and order as Python has them.
#include "tokens/jinja/value.h"

#include <algorithm>

namespace fathom::tokens::jinja {

std::optional<std::int64_t> Value::integer() const {
  if (const auto* b = get<bool>()) return *b ? 1 : 0;
  if (const auto* i = get<std::int64_t>()) return *i;
  return std::nullopt;
}

std::optional<double> Value::number() const {
  if (const auto* d = get<double>()) return *d;
  if (const auto i = integer()) return static_cast<double>(*i);
  return std::nullopt;
}

const Value* Dict::find(std::string_view key) const {
  for (const auto& [k, v] : entries) {
    if (const Text* text = k.text(); text != nullptr && text->bytes == key) return &v;
  }
  return nullptr;
}

const Value* Dict::find_value(const Value& key) const {
  if (const Text* text = key.text()) return find(std::string_view(text->bytes));
  for (const auto& [k, v] : entries) {
    if (equal(k, key)) return &v;
  }
  return nullptr;
}

void Dict::set(const Value& key, Value value) {
  if (const Value* old = find_value(key)) {
    *const_cast<Value*>(old) = std::move(value);
  } else {
    entries.emplace_back(key, std::move(value));
  }
}

const Value* Scope::find(std::string_view name) const {
  for (const Scope* scope = this; scope != nullptr; scope = scope->parent) {
    for (const auto& [n, v] : scope->names) {
      if (n == name) return &v;
    }
  }
  return nullptr;
}

void Scope::set(std::string_view name, Value value) {
  for (auto& [n, v] : names) {
    if (n == name) {
      v = std::move(value);
      return;
    }
  }
  names.emplace_back(name, std::move(value));
}

std::string_view type_name(const Value& value) {
  constexpr std::string_view names[] = {"undefined", "NoneType", "bool", "int",  "float",
                                        "str",       "list",     "dict", "loop", "function"};
  return names[value.is.index()];
}

bool truthy(const Value& value) {
  if (value.undefined() || value.none()) return false;
  if (const auto number = value.number()) return *number != 0;
  if (const Text* text = value.text()) return !text->empty();
  if (const List* list = value.list()) return !list->items.empty();
  if (const Dict* dict = value.dict()) return dict->is_namespace || !dict->entries.empty();
  return true;
}

namespace {

// One comparison of two values, however they are nested.
struct Comparison {
  int left = kMostCompared;

  bool equal(const Value& a, const Value& b, int depth) {
    if (depth > kDeepestValue || --left < 0) return false;
    if (a.integer() && b.integer()) return *a.integer() == *b.integer();
    if (a.number() && b.number()) return *a.number() == *b.number();
    if (a.is.index() != b.is.index()) return false;
    if (a.undefined() || a.none()) return true;
    if (const Text* text = a.text()) return text->bytes == b.text()->bytes;
    if (const List* list = a.list()) {
      if (list == b.list()) return true;
      const auto same = [&](const Value& x, const Value& y) { return equal(x, y, depth + 1); };
      return list->tuple == b.list()->tuple && std::ranges::equal(list->items, b.list()->items, same);
    }
    if (a.dict() != nullptr) return a.dict() == b.dict() || equal(*a.dict(), *b.dict(), depth);
    if (const auto* loop = a.get<Loop*>()) return *loop == *b.get<Loop*>();
    return *a.get<Callable*>() == *b.get<Callable*>();
  }

  bool equal(const Dict& a, const Dict& b, int depth) {
    if (a.is_namespace || a.entries.size() != b.entries.size()) return false;
    return std::ranges::all_of(a.entries, [&](const auto& entry) {
      const Value* other = b.find_value(entry.first);
      return other != nullptr && equal(entry.second, *other, depth + 1);
    });
  }

  std::optional<int> compare(const Value& a, const Value& b, int depth) {
    const auto order = [](const auto& x, const auto& y) { return x < y ? -1 : y < x ? 1 : 0; };
    if (depth > kDeepestValue || --left < 0) return std::nullopt;
    if (a.integer() && b.integer()) return order(*a.integer(), *b.integer());
    if (a.number() && b.number()) return order(*a.number(), *b.number());
    if (a.text() != nullptr && b.text() != nullptr) return order(a.text()->bytes, b.text()->bytes);
    if (a.list() == nullptr || b.list() == nullptr) return std::nullopt;
    const auto& x = a.list()->items;
    const auto& y = b.list()->items;
    for (std::size_t i = 0; i < std::min(x.size(), y.size()); ++i) {
      if (!equal(x[i], y[i], depth + 1)) return compare(x[i], y[i], depth + 1);
    }
    return order(x.size(), y.size());
  }
};

}  // namespace

bool equal(const Value& a, const Value& b) {
  return Comparison().equal(a, b, 0);
}
std::optional<int> compare(const Value& a, const Value& b) {
  return Comparison().compare(a, b, 0);
}

Value from_json(const files::Json& json, Heap& heap, int depth) {
  if (depth > kDeepestValue) return None{};
  switch (json.type()) {
    case files::Json::value_t::boolean:
      return json.get<bool>();
    case files::Json::value_t::number_integer:
      return json.get<std::int64_t>();
    case files::Json::value_t::number_unsigned: {
      const auto number = json.get<std::uint64_t>();
      if (number > INT64_MAX) return static_cast<double>(number);
      return static_cast<std::int64_t>(number);
    }
    case files::Json::value_t::number_float:
      return json.get<double>();
    case files::Json::value_t::string:
      return Text(json.get_ref<const std::string&>(), false);
    case files::Json::value_t::array: {
      List* list = heap.list({});
      for (const auto& item : json) list->items.push_back(from_json(item, heap, depth + 1));
      return list;
    }
    case files::Json::value_t::object: {
      Dict* dict = heap.dict();
      for (const auto& [key, item] : json.items()) {
        dict->entries.emplace_back(Text(key, false), from_json(item, heap, depth + 1));
      }
      return dict;
    }
    default:
      return None{};
  }
}

}  // namespace fathom::tokens::jinja
