// Values of the template language, with Python's meaning. Lists, dictionaries and scopes live in a Heap that is freed
// as a whole after rendering, so that cycles neither leak nor recurse.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "files/json.h"
#include "tokens/jinja/text.h"

namespace fathom::tokens::jinja {

struct List;
struct Dict;
struct Loop;
struct Callable;
struct Undefined {
  std::string name;  // for messages
};
struct None {};

struct Value {
  std::variant<Undefined, None, bool, std::int64_t, double, TextPtr, List*, Dict*, Loop*, Callable*> is;

  Value() = default;
  template <class T>
    requires(!std::is_same_v<std::remove_cvref_t<T>, Value>)
  Value(T&& value) : is(std::forward<T>(value)) {}  // NOLINT(google-explicit-constructor): a value of any kind
  Value(Text text) : is(std::make_shared<const Text>(std::move(text))) {}  // NOLINT(google-explicit-constructor)

  template <class T>
  const T* get() const {
    return std::get_if<T>(&is);
  }
  bool undefined() const { return get<Undefined>() != nullptr; }
  bool none() const { return get<None>() != nullptr; }
  const Text* text() const {
    const auto* p = get<TextPtr>();
    return p == nullptr ? nullptr : p->get();
  }
  List* list() const { return pointer<List>(); }
  Dict* dict() const { return pointer<Dict>(); }
  // An integer or a boolean, which Python counts as one.
  std::optional<std::int64_t> integer() const;
  std::optional<double> number() const;

 private:
  template <class T>
  T* pointer() const {
    const auto* p = get<T*>();
    return p == nullptr ? nullptr : *p;
  }
};

struct List {
  std::vector<Value> items;
  bool tuple = false;  // written with parentheses, and never equal to a list
};

struct Dict {
  std::vector<std::pair<Value, Value>> entries;
  bool is_namespace = false;

  const Value* find(std::string_view key) const;
  const Value* find_value(const Value& key) const;
  void set(const Value& key, Value value);
};

// What `loop` is inside a for.
struct Loop {
  const std::vector<Value>* items = nullptr;
  std::size_t index = 0;
  std::optional<Value> last_seen;  // of loop.changed
};

struct Macro;
struct Scope;

// A function: of the template (macro), of the language, or a method with the value it belongs to.
struct Callable {
  const Macro* macro = nullptr;
  Scope* scope = nullptr;  // where the macro was defined
  std::string name;        // of a function or method
  std::optional<Value> self;
};

struct Scope {
  Scope* parent = nullptr;
  std::vector<std::pair<std::string_view, Value>> names;

  const Value* find(std::string_view name) const;
  void set(std::string_view name, Value value);
};

struct Heap {
  std::deque<List> lists;
  std::deque<Dict> dicts;
  std::deque<Loop> loops;
  std::deque<Callable> callables;
  std::deque<Scope> scopes;

  List* list(std::vector<Value> items) { return &lists.emplace_back(std::move(items)); }
  Dict* dict() { return &dicts.emplace_back(); }
  Scope* scope(Scope* parent) { return &scopes.emplace_back(parent); }
};

// "str", "int", "list", ... as Python names the type, for messages.
std::string_view type_name(const Value& value);
bool truthy(const Value& value);
// False also where the values are nested too deeply or are too many to look at.
bool equal(const Value& a, const Value& b);
// -1, 0, 1 as a is before, equal to or after b; nothing where Python refuses to compare.
std::optional<int> compare(const Value& a, const Value& b);

// Lists may hold themselves, and the same list many times, so every walk is bounded.
constexpr int kDeepestValue = 200;
constexpr int kMostCompared = 1'000'000;
constexpr std::size_t kLongestText = std::size_t{64} << 20;

// A JSON value from a request: all its strings are untrusted.
Value from_json(const files::Json& json, Heap& heap, int depth = 0);

// What Python's str() and repr() give. What is nested deeper than kDeepestValue, or beyond kLongestText, comes out as
// "...".
void append_str(Text& out, const Value& value);
void append_repr(Text& out, const Value& value, int depth = 0);
std::string python_float(double value);

struct JsonStyle {
  std::optional<std::string> indent;  // of one level; absent: one line
  std::string item_separator = ", ", key_separator = ": ";
  bool sort_keys = false;
  bool ascii_only = false;
};
// json.dumps. Returns what cannot be written ("undefined", "function"), or "" when all could.
std::string append_json(Text& out, const Value& value, const JsonStyle& style, int depth = 0);

}  // namespace fathom::tokens::jinja
