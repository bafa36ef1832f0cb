// Methods of strings, lists, dictionaries and `loop`, as Python and Jinja have them.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "tokens/jinja/binding.h"
#include "tokens/jinja/builtins.h"
#include "tokens/unicode.h"
#include "tokens/utf8.h"

namespace fathom::tokens::jinja {
namespace {

const std::string* bytes_or_null(Machine& m, const Value& slot) {
  const Text* text = text_or_null(m, slot);
  return text == nullptr ? nullptr : &text->bytes;
}

Value texts(Machine& m, std::vector<Text> parts) {
  std::vector<Value> items;
  for (Text& part : parts) items.push_back(m.make(std::move(part)));
  return m.make(std::move(items));
}

Value split_by(Machine& m, const Value& self, const Slots& slots, decltype(&split) how) {
  const std::string* separator = bytes_or_null(m, slots[0]);
  if (separator != nullptr && separator->empty()) return m.fail("split by an empty separator");
  if (!m.spend(self.text()->size() * sizeof(Text))) return {};  // at worst a part for each byte
  return texts(m, how(*self.text(), separator, integer_or(m, slots[1], -1)));
}
Value method_split(Machine& m, const Value& self, const Slots& slots, const Arguments&) {
  return split_by(m, self, slots, split);
}
Value method_rsplit(Machine& m, const Value& self, const Slots& slots, const Arguments&) {
  return split_by(m, self, slots, split_from_right);
}
Value method_splitlines(Machine& m, const Value& self, const Slots&, const Arguments&) {
  if (!m.spend(self.text()->size() * sizeof(Text))) return {};
  return texts(m, split_lines(*self.text()));
}

Value strip_side(Machine& m, const Value& self, const Slots& slots, Side side) {
  return m.make(strip(*self.text(), side, bytes_or_null(m, slots[0])));
}
Value method_strip(Machine& m, const Value& self, const Slots& s, const Arguments&) {
  return strip_side(m, self, s, Side::kBoth);
}
Value method_lstrip(Machine& m, const Value& self, const Slots& s, const Arguments&) {
  return strip_side(m, self, s, Side::kLeft);
}
Value method_rstrip(Machine& m, const Value& self, const Slots& s, const Arguments&) {
  return strip_side(m, self, s, Side::kRight);
}

Value method_upper(Machine& m, const Value& self, const Slots&, const Arguments&) {
  return m.make(upper(*self.text()));
}
Value method_lower(Machine& m, const Value& self, const Slots&, const Arguments&) {
  return m.make(lower(*self.text()));
}
Value method_title(Machine& m, const Value& self, const Slots&, const Arguments&) {
  return m.make(title(*self.text()));
}
Value method_capitalize(Machine& m, const Value& self, const Slots&, const Arguments&) {
  return m.make(capitalize(*self.text()));
}

// A string, or a list of strings of which one must fit.
Value has_end(Machine& m, const Value& self, const Value& ends, bool start) {
  const std::string& text = self.text()->bytes;
  for (const Value& end : ends.list() != nullptr ? ends.list()->items : std::vector<Value>{ends}) {
    const Text* wanted = end.text();
    if (wanted == nullptr)
      return m.fail(fmt::format("startswith and endswith need a string, found {}", type_name(end)));
    if (start ? text.starts_with(wanted->bytes) : text.ends_with(wanted->bytes)) return true;
  }
  return false;
}
Value method_startswith(Machine& m, const Value& self, const Slots& s, const Arguments&) {
  return has_end(m, self, s[0], true);
}
Value method_endswith(Machine& m, const Value& self, const Slots& s, const Arguments&) {
  return has_end(m, self, s[0], false);
}

Value remove_end(Machine& m, const Value& self, const Slots& slots, bool start) {
  const std::string* end = bytes_or_null(m, slots[0]);
  const Text& text = *self.text();
  if (end == nullptr) return m.fail("removeprefix and removesuffix need a string");
  if (!(start ? text.bytes.starts_with(*end) : text.bytes.ends_with(*end))) return self;
  return m.make(text.part(start ? end->size() : 0, text.size() - end->size()));
}
Value method_removeprefix(Machine& m, const Value& self, const Slots& s, const Arguments&) {
  return remove_end(m, self, s, true);
}
Value method_removesuffix(Machine& m, const Value& self, const Slots& s, const Arguments&) {
  return remove_end(m, self, s, false);
}

Value method_replace(Machine& m, const Value& self, const Slots& slots, const Arguments& all) {
  if (slots[0].text() == nullptr || slots[1].text() == nullptr) return m.fail("replace needs two strings");
  return apply_filter(m, "replace", self, all);
}

Value find_in(Machine& m, const Value& self, const Slots& slots, bool from_right) {
  const std::string* wanted = bytes_or_null(m, slots[0]);
  if (wanted == nullptr) return m.fail("find needs a string");
  const std::string& text = self.text()->bytes;
  const std::size_t at = from_right ? text.rfind(*wanted) : text.find(*wanted);
  if (at == std::string::npos) return std::int64_t{-1};
  m.spend(at);
  return static_cast<std::int64_t>(count_characters(std::string_view(text).substr(0, at)));
}
Value method_find(Machine& m, const Value& self, const Slots& s, const Arguments&) {
  return find_in(m, self, s, false);
}
Value method_rfind(Machine& m, const Value& self, const Slots& s, const Arguments&) {
  return find_in(m, self, s, true);
}
Value method_index(Machine& m, const Value& self, const Slots& slots, const Arguments&) {
  const Value at = find_in(m, self, slots, false);
  return at.integer().value_or(0) < 0 ? m.fail("index: the string is not there") : at;
}

Value method_count(Machine& m, const Value& self, const Slots& slots, const Arguments&) {
  const std::string* wanted = bytes_or_null(m, slots[0]);
  if (wanted == nullptr || wanted->empty()) return m.fail("count needs a string");
  std::int64_t count = 0;
  const std::string& text = self.text()->bytes;
  for (std::size_t at = text.find(*wanted); at != std::string::npos; at = text.find(*wanted, at + wanted->size()))
    ++count;
  return count;
}

Value method_join(Machine& m, const Value& self, const Slots& slots, const Arguments&) {
  for (const Value& item : items_of(m, slots[0])) {
    if (item.text() == nullptr) return m.fail(fmt::format("join needs strings, found {}", type_name(item)));
  }
  return apply_filter(m, "join", slots[0], {{self}, {}});
}

template <class Fits>
Value all_characters(const Value& self, Fits fits) {
  const std::string& text = self.text()->bytes;
  for (std::size_t at = 0; at < text.size();) {
    const utf8::Unit unit = utf8::unit_at(text, at);
    if (unit.kind != utf8::Kind::kCharacter || !fits(unit.code)) return false;
    at += unit.size;
  }
  return !text.empty();
}

bool is_ascii_digit(char32_t c) {
  return c >= U'0' && c <= U'9';
}
Value method_isdigit(Machine&, const Value& self, const Slots&, const Arguments&) {
  return all_characters(self, is_ascii_digit);
}
Value method_isalpha(Machine&, const Value& self, const Slots&, const Arguments&) {
  return all_characters(self, is_letter);
}
Value method_isalnum(Machine&, const Value& self, const Slots&, const Arguments&) {
  return all_characters(self, [](char32_t c) { return is_letter(c) || is_ascii_digit(c); });
}
Value method_isspace(Machine&, const Value& self, const Slots&, const Arguments&) {
  return all_characters(self, is_python_space);
}
Value method_isupper(Machine& m, const Value& self, const Slots&, const Arguments&) {
  return apply_test(m, "upper", self, {});
}
Value method_islower(Machine& m, const Value& self, const Slots&, const Arguments&) {
  return apply_test(m, "lower", self, {});
}

constexpr std::array kTextMethods = std::to_array<Builtin>({
    {"capitalize", "", method_capitalize},
    {"count", "sub", method_count},
    {"endswith", "suffix", method_endswith},
    {"find", "sub", method_find},
    {"index", "sub", method_index},
    {"isalnum", "", method_isalnum},
    {"isalpha", "", method_isalpha},
    {"isdigit", "", method_isdigit},
    {"islower", "", method_islower},
    {"isspace", "", method_isspace},
    {"isupper", "", method_isupper},
    {"join", "iterable", method_join},
    {"lower", "", method_lower},
    {"lstrip", "chars", method_lstrip},
    {"removeprefix", "prefix", method_removeprefix},
    {"removesuffix", "suffix", method_removesuffix},
    {"replace", "old new count", method_replace},
    {"rfind", "sub", method_rfind},
    {"rsplit", "sep maxsplit", method_rsplit},
    {"rstrip", "chars", method_rstrip},
    {"split", "sep maxsplit", method_split},
    {"splitlines", "", method_splitlines},
    {"startswith", "prefix", method_startswith},
    {"strip", "chars", method_strip},
    {"title", "", method_title},
    {"upper", "", method_upper},
});

Value list_append(Machine& m, const Value& self, const Slots& slots, const Arguments&) {
  if (m.spend(sizeof(Value))) self.list()->items.push_back(slots[0]);
  return None{};
}

Value list_extend(Machine& m, const Value& self, const Slots& slots, const Arguments&) {
  const std::vector<Value> more = items_of(m, slots[0]);
  if (!m.failed()) self.list()->items.insert(self.list()->items.end(), more.begin(), more.end());
  return None{};
}

Value list_index(Machine& m, const Value& self, const Slots& slots, const Arguments&) {
  const auto& items = self.list()->items;
  const auto it = std::ranges::find_if(items, [&](const Value& v) { return equal(v, slots[0]); });
  if (it == items.end()) return m.fail("index: the item is not in the list");
  return static_cast<std::int64_t>(it - items.begin());
}

Value list_count(Machine&, const Value& self, const Slots& slots, const Arguments&) {
  return static_cast<std::int64_t>(
      std::ranges::count_if(self.list()->items, [&](const Value& v) { return equal(v, slots[0]); }));
}

constexpr std::array kListMethods = std::to_array<Builtin>({
    {"append", "object", list_append},
    {"count", "value", list_count},
    {"extend", "iterable", list_extend},
    {"index", "value", list_index},
});

Value dict_items(Machine& m, const Value& self, const Slots&, const Arguments&) {
  std::vector<Value> items;
  for (const auto& [key, value] : self.dict()->entries) items.push_back(m.make_tuple({key, value}));
  return m.make(std::move(items));
}
Value dict_keys(Machine& m, const Value& self, const Slots&, const Arguments&) {
  return m.make(items_of(m, self));
}
Value dict_values(Machine& m, const Value& self, const Slots&, const Arguments&) {
  std::vector<Value> items;
  for (const auto& entry : self.dict()->entries) items.push_back(entry.second);
  return m.make(std::move(items));
}
Value dict_get(Machine&, const Value& self, const Slots& slots, const Arguments&) {
  const Value* found = self.dict()->find_value(slots[0]);
  if (found != nullptr) return *found;
  return slots[1].undefined() ? Value(None{}) : slots[1];
}
Value dict_update(Machine& m, const Value& self, const Slots& slots, const Arguments&) {
  if (slots[0].dict() == nullptr) return m.fail("update needs a dictionary");
  const auto entries = slots[0].dict()->entries;
  if (!m.spend(entries.size() * sizeof(Value))) return {};
  for (const auto& [key, value] : entries) self.dict()->set(key, value);
  return None{};
}

constexpr std::array kDictMethods = std::to_array<Builtin>({
    {"get", "key default", dict_get},
    {"items", "", dict_items},
    {"keys", "", dict_keys},
    {"update", "other", dict_update},
    {"values", "", dict_values},
});

Value loop_cycle(Machine& m, const Value& self, const Slots&, const Arguments& all) {
  if (all.positional.empty()) return m.fail("loop.cycle needs values");
  return all.positional[(*self.get<Loop*>())->index % all.positional.size()];
}

Value loop_changed(Machine& m, const Value& self, const Slots&, const Arguments& all) {
  Loop& loop = **self.get<Loop*>();
  const Value now = m.make(all.positional);
  const bool changed = !loop.last_seen || !equal(*loop.last_seen, now);
  loop.last_seen = now;
  return changed;
}

constexpr std::array kLoopMethods = std::to_array<Builtin>({
    {"changed", "*", loop_changed},
    {"cycle", "*", loop_cycle},
});

std::span<const Builtin> methods_of(const Value& self) {
  if (self.text() != nullptr) return kTextMethods;
  if (self.list() != nullptr) return kListMethods;
  if (self.dict() != nullptr && !self.dict()->is_namespace) return kDictMethods;
  if (self.get<Loop*>() != nullptr) return kLoopMethods;
  return {};
}

}  // namespace

bool is_method(const Value& self, std::string_view name) {
  return find_builtin(methods_of(self), name) != nullptr;
}

Value call_method(Machine& machine, std::string_view name, const Value& self, const Arguments& arguments) {
  const Builtin* method = find_builtin(methods_of(self), name);
  if (method == nullptr) return machine.fail(fmt::format("{} has no method '{}'", type_name(self), name));
  return call_builtin(machine, *method, self, arguments);
}

}  // namespace fathom::tokens::jinja
