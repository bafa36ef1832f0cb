// The filters that chat templates use, as Jinja and transformers define them.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "tokens/jinja/binding.h"
#include "tokens/jinja/builtins.h"
#include "tokens/utf8.h"

namespace fathom::tokens::jinja {
namespace {

Text text_slot_or(Machine& machine, const Value& slot, std::string_view absent) {
  const Text* text = text_or_null(machine, slot);
  return text != nullptr ? *text : Text(absent, true);
}

Value filter_trim(Machine& m, const Value& self, const Slots& slots, const Arguments&) {
  const Text* characters = text_or_null(m, slots[0]);
  return m.make(strip(str_of(m, self), Side::kBoth, characters == nullptr ? nullptr : &characters->bytes));
}

Value filter_upper(Machine& m, const Value& self, const Slots&, const Arguments&) {
  return m.make(upper(str_of(m, self)));
}
Value filter_lower(Machine& m, const Value& self, const Slots&, const Arguments&) {
  return m.make(lower(str_of(m, self)));
}
Value filter_capitalize(Machine& m, const Value& self, const Slots&, const Arguments&) {
  return m.make(capitalize(str_of(m, self)));
}
Value filter_string(Machine& m, const Value& self, const Slots&, const Arguments&) {
  return m.make(str_of(m, self));
}
Value filter_safe(Machine& m, const Value& self, const Slots&, const Arguments&) {
  return m.make(str_of(m, self));
}

// Unlike str.title, words begin after white space, hyphens and opening brackets only.
Value filter_title(Machine& m, const Value& self, const Slots&, const Arguments&) {
  const Text text = str_of(m, self);
  Text out, word;
  const auto finish = [&] {
    out.append(capitalize(word));
    word = {};
  };
  for (std::size_t at = 0; at < text.size();) {
    const utf8::Unit unit = utf8::unit_at(text.bytes, at);
    const bool divides =
        is_python_space(unit.code) || std::string_view("-({[<").find(text.bytes[at]) != std::string_view::npos;
    if (divides) finish();
    (divides ? out : word).append_part(text, at, unit.size);
    at += unit.size;
  }
  finish();
  return m.make(std::move(out));
}

Value filter_replace(Machine& m, const Value& self, const Slots& slots, const Arguments&) {
  const Text old = str_of(m, slots[0]);
  const Text with = str_of(m, slots[1]);
  const Text text = str_of(m, self);
  const std::size_t most = old.empty() ? text.size() + 1 : text.size() / old.size();
  if (with.size() != 0 && most > kLongestText / with.size()) return m.fail("replace makes too long a text");
  return m.make(replace(text, old.bytes, with, integer_or(m, slots[2], -1)));
}

Value filter_length(Machine& m, const Value& self, const Slots&, const Arguments&) {
  if (self.undefined()) return std::int64_t{0};
  if (const Text* text = self.text()) return static_cast<std::int64_t>(count_characters(text->bytes));
  if (const List* list = self.list()) return static_cast<std::int64_t>(list->items.size());
  if (const Dict* dict = self.dict(); dict != nullptr && !dict->is_namespace) {
    return static_cast<std::int64_t>(dict->entries.size());
  }
  return m.fail(fmt::format("{} has no length", type_name(self)));
}

// The value, or an attribute of it ("a.b", or an index), as map, join, sort and others take it.
Value by_attribute(Machine& m, const Value& of, const Value& attribute) {
  if (attribute.undefined() || attribute.none()) return of;
  if (attribute.integer()) return item_of(m, of, attribute);
  const Text* path = text_or_null(m, attribute);
  if (path == nullptr) return {};
  Value value = of;
  const std::string dot = ".";
  for (const Text& part : split(*path, &dot, -1)) {
    std::int64_t index = 0;
    const char* end = part.bytes.data() + part.size();
    const auto read = std::from_chars(part.bytes.data(), end, index);
    const bool number = read.ec == std::errc() && read.ptr == end;
    value = item_of(m, value, number ? Value(index) : Value(part));
  }
  return value;
}

Value filter_join(Machine& m, const Value& self, const Slots& slots, const Arguments&) {
  const Text separator = slots[0].undefined() ? Text() : str_of(m, slots[0]);
  Text out;
  bool first = true;
  for (const Value& item : items_of(m, self)) {
    if (!std::exchange(first, false)) out.append(separator);
    append_str(out, by_attribute(m, item, slots[1]));
    if (!m.spend(separator.size()) || out.size() > kLongestText) return m.fail("join makes too long a text");
  }
  return m.make(std::move(out));
}

Value filter_default(Machine&, const Value& self, const Slots& slots, const Arguments&) {
  const bool replaced = self.undefined() || (truth_or(slots[1], false) && !truthy(self));
  if (!replaced) return self;
  return slots[0].undefined() ? Value(Text()) : slots[0];
}

std::optional<double> number_of(const Value& value) {
  if (const auto number = value.number()) return number;
  const Text* text = value.text();
  if (text == nullptr) return std::nullopt;
  const Text stripped = strip(*text, Side::kBoth);
  std::string_view digits = stripped.bytes;
  if (digits.starts_with('+')) digits.remove_prefix(1);
  double number = 0;
  const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (read.ec != std::errc() || read.ptr != digits.data() + digits.size()) return std::nullopt;
  return number;
}

Value filter_int(Machine& m, const Value& self, const Slots& slots, const Arguments&) {
  const std::int64_t absent = integer_or(m, slots[0], 0);
  if (const auto whole = self.integer()) return *whole;
  if (const Text* text = self.text()) {
    const Text stripped = strip(*text, Side::kBoth);
    std::string_view digits = stripped.bytes;
    if (digits.starts_with('+')) digits.remove_prefix(1);
    std::int64_t whole = 0;
    const auto base = static_cast<int>(integer_or(m, slots[1], 10));
    if (base < 2 || base > 36) return absent;
    const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), whole, base);
    if (read.ec == std::errc() && read.ptr == digits.data() + digits.size()) return whole;
  }
  const auto number = number_of(self);
  if (!number || !std::isfinite(*number) || std::abs(*number) > 9.2e18) return absent;
  return static_cast<std::int64_t>(*number);
}

Value filter_float(Machine&, const Value& self, const Slots& slots, const Arguments&) {
  if (const auto number = number_of(self)) return *number;
  return slots[0].undefined() ? Value(0.0) : slots[0];
}

Value filter_abs(Machine& m, const Value& self, const Slots&, const Arguments&) {
  if (const auto whole = self.integer(); whole && *whole != INT64_MIN) return *whole < 0 ? -*whole : *whole;
  if (const auto number = self.number()) return std::abs(*number);
  return m.fail(fmt::format("abs of {}", type_name(self)));
}

Value filter_round(Machine& m, const Value& self, const Slots& slots, const Arguments&) {
  const auto number = self.number();
  if (!number) return m.fail(fmt::format("round of {}", type_name(self)));
  const std::int64_t digits = integer_or(m, slots[0], 0);
  const Text method = text_slot_or(m, slots[1], "common");
  if (digits < -300 || digits > 300) return m.fail("round to too many digits");
  const double scale = std::pow(10.0, static_cast<double>(digits));
  if (method.bytes == "ceil") return std::ceil(*number * scale) / scale;
  if (method.bytes == "floor") return std::floor(*number * scale) / scale;
  if (method.bytes != "common") return m.fail("round knows the methods common, ceil and floor");
  if (digits <= 0) return std::nearbyint(*number * scale) / scale;  // to even, as Python
  return std::stod(fmt::format("{:.{}f}", *number, digits));
}

Value filter_list(Machine& m, const Value& self, const Slots&, const Arguments&) {
  return m.make(items_of(m, self));
}

Value filter_items(Machine& m, const Value& self, const Slots& slots, const Arguments& all) {
  if (self.undefined()) return m.make(std::vector<Value>{});
  if (self.dict() == nullptr) return m.fail(fmt::format("items of {}", type_name(self)));
  (void)slots;
  return call_method(m, "items", self, all);
}

Value end_of(Machine& m, const Value& self, bool first) {
  const std::vector<Value> items = items_of(m, self);
  if (items.empty()) return Undefined{first ? "the first of nothing" : "the last of nothing"};
  return first ? items.front() : items.back();
}
Value filter_first(Machine& m, const Value& self, const Slots&, const Arguments&) {
  return end_of(m, self, true);
}
Value filter_last(Machine& m, const Value& self, const Slots&, const Arguments&) {
  return end_of(m, self, false);
}

Value filter_reverse(Machine& m, const Value& self, const Slots&, const Arguments&) {
  if (self.text() != nullptr) return slice_of(m, self, {}, {}, std::int64_t{-1});
  std::vector<Value> items = items_of(m, self);
  std::ranges::reverse(items);
  return m.make(std::move(items));
}

// Sorting and finding repetitions look at lower case unless told otherwise.
Value sort_key(Machine& m, const Value& item, const Value& attribute, bool case_sensitive) {
  Value key = by_attribute(m, item, attribute);
  if (!case_sensitive && key.text() != nullptr) return lower(*key.text());
  return key;
}

std::vector<Value> sorted(Machine& m, std::vector<Value> items, const Value& attribute, bool case_sensitive,
                          bool reverse) {
  std::vector<std::pair<Value, Value>> keyed;
  for (Value& item : items) keyed.emplace_back(sort_key(m, item, attribute, case_sensitive), std::move(item));
  // Values that cannot be compared would make the order meaningless, so they are looked for first.
  for (std::size_t i = 1; i < keyed.size(); ++i) {
    if (!compare(keyed[0].first, keyed[i].first)) {
      m.fail(fmt::format("sort cannot compare {} and {}", type_name(keyed[0].first), type_name(keyed[i].first)));
      return {};
    }
  }
  std::ranges::stable_sort(keyed, [reverse](const auto& a, const auto& b) {
    const int order = compare(a.first, b.first).value_or(0);
    return reverse ? order > 0 : order < 0;
  });
  items.clear();
  for (auto& [key, item] : keyed) items.push_back(std::move(item));
  return items;
}

Value filter_sort(Machine& m, const Value& self, const Slots& slots, const Arguments&) {
  return m.make(sorted(m, items_of(m, self), slots[2], truth_or(slots[1], false), truth_or(slots[0], false)));
}

Value filter_dictsort(Machine& m, const Value& self, const Slots& slots, const Arguments&) {
  if (self.dict() == nullptr) return m.fail(fmt::format("dictsort of {}", type_name(self)));
  const std::int64_t by = text_slot_or(m, slots[1], "key").bytes == "value" ? 1 : 0;
  const Value pairs = call_method(m, "items", self, {});
  return m.make(sorted(m, items_of(m, pairs), by, truth_or(slots[0], false), truth_or(slots[2], false)));
}

Value filter_unique(Machine& m, const Value& self, const Slots& slots, const Arguments&) {
  std::vector<Value> kept, keys;
  for (const Value& item : items_of(m, self)) {
    Value key = sort_key(m, item, slots[1], truth_or(slots[0], false));
    if (!m.spend(keys.size())) return {};
    if (std::ranges::any_of(keys, [&](const Value& k) { return equal(k, key); })) continue;
    keys.push_back(std::move(key));
    kept.push_back(item);
  }
  return m.make(std::move(kept));
}

Value extreme(Machine& m, const Value& self, const Slots& slots, int wanted) {
  Value best = Undefined{"the extreme of nothing"}, best_key;
  bool first = true;
  for (const Value& item : items_of(m, self)) {
    Value key = sort_key(m, item, slots[1], truth_or(slots[0], false));
    if (!first && compare(key, best_key).value_or(0) != wanted) continue;
    best = item;
    best_key = std::move(key);
    first = false;
  }
  return best;
}
Value filter_min(Machine& m, const Value& self, const Slots& slots, const Arguments&) {
  return extreme(m, self, slots, -1);
}
Value filter_max(Machine& m, const Value& self, const Slots& slots, const Arguments&) {
  return extreme(m, self, slots, 1);
}

Value filter_sum(Machine& m, const Value& self, const Slots& slots, const Arguments&) {
  Value total = slots[1].undefined() ? Value(std::int64_t{0}) : slots[1];
  for (const Value& item : items_of(m, self)) total = binary(m, "+", total, by_attribute(m, item, slots[0]));
  return total;
}

Arguments without_first(const Arguments& all, std::size_t count) {
  Arguments rest;
  rest.positional.assign(all.positional.begin() + static_cast<std::ptrdiff_t>(std::min(count, all.positional.size())),
                         all.positional.end());
  rest.named = all.named;
  return rest;
}

Value filter_map(Machine& m, const Value& self, const Slots&, const Arguments& all) {
  std::vector<Value> out;
  Value attribute, absent;
  for (const auto& [name, value] : all.named) {
    if (name == "attribute") attribute = value;
    if (name == "default") absent = value;
  }
  if (!attribute.undefined()) {
    for (const Value& item : items_of(m, self)) {
      Value value = by_attribute(m, item, attribute);
      out.push_back(value.undefined() && !absent.undefined() ? absent : std::move(value));
    }
    return m.make(std::move(out));
  }
  const Text* name = all.positional.empty() ? nullptr : text_or_null(m, all.positional[0]);
  if (name == nullptr || !is_filter(name->bytes)) return m.fail("map needs a filter's name or attribute=");
  const Arguments rest = without_first(all, 1);
  for (const Value& item : items_of(m, self)) out.push_back(apply_filter(m, name->bytes, item, rest));
  return m.make(std::move(out));
}

// select and reject, by the item or (by_name) by one of its attributes.
Value selected(Machine& m, const Value& self, const Arguments& all, bool by_name, bool wanted) {
  const std::size_t before = by_name ? 1 : 0;
  if (by_name && all.positional.empty()) return m.fail("selectattr and rejectattr need an attribute");
  const bool has_test = all.positional.size() > before;
  const Text* test = has_test ? text_or_null(m, all.positional[before]) : nullptr;
  if (has_test && (test == nullptr || !is_test(test->bytes))) return m.fail("no such test to select by");
  const Arguments rest = without_first(all, before + 1);
  std::vector<Value> out;
  for (const Value& item : items_of(m, self)) {
    const Value value = by_name ? by_attribute(m, item, all.positional[0]) : item;
    const bool passes = test == nullptr ? truthy(value) : apply_test(m, test->bytes, value, rest);
    if (passes == wanted) out.push_back(item);
  }
  return m.make(std::move(out));
}
Value filter_select(Machine& m, const Value& s, const Slots&, const Arguments& a) {
  return selected(m, s, a, false, true);
}
Value filter_reject(Machine& m, const Value& s, const Slots&, const Arguments& a) {
  return selected(m, s, a, false, false);
}
Value filter_selectattr(Machine& m, const Value& s, const Slots&, const Arguments& a) {
  return selected(m, s, a, true, true);
}
Value filter_rejectattr(Machine& m, const Value& s, const Slots&, const Arguments& a) {
  return selected(m, s, a, true, false);
}

Value filter_attr(Machine& m, const Value& self, const Slots& slots, const Arguments&) {
  const Text* name = text_or_null(m, slots[0]);
  return name == nullptr ? Value() : attribute_of(m, self, name->bytes);
}

Value filter_indent(Machine& m, const Value& self, const Slots& slots, const Arguments&) {
  Text indention;
  if (const Text* given = slots[0].text()) {
    indention = *given;
  } else {
    const std::int64_t width = integer_or(m, slots[0], 4);
    if (width > 1000) return m.fail("indent by too much");
    indention = Text(std::string(static_cast<std::size_t>(std::max<std::int64_t>(width, 0)), ' '), true);
  }
  Text text = str_of(m, self);
  text.append("\n", true);
  const std::vector<Text> lines = split_lines(text);
  if (!m.spend(lines.size() * indention.size())) return {};
  Text out;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (i > 0) out.append("\n", true);
    const bool indented = i == 0 ? truth_or(slots[1], false) : truth_or(slots[2], false) || !lines[i].empty();
    if (indented) out.append(indention);
    out.append(lines[i]);
  }
  return m.make(std::move(out));
}

Value filter_tojson(Machine& m, const Value& self, const Slots& slots, const Arguments&) {
  JsonStyle style;
  if (const Text* text = slots[0].text()) {
    style.indent = text->bytes;
  } else if (slots[0].integer()) {
    const std::int64_t width = *slots[0].integer();
    if (width > 100) return m.fail("tojson indents by too much");
    style.indent = std::string(static_cast<std::size_t>(std::max<std::int64_t>(width, 0)), ' ');
  }
  if (style.indent) style.item_separator = ",";
  style.ascii_only = truth_or(slots[1], false);
  style.sort_keys = truth_or(slots[2], false);
  if (const List* separators = slots[3].list()) {
    if (separators->items.size() != 2) return m.fail("tojson: separators are two strings");
    style.item_separator = text_slot_or(m, separators->items[0], "").bytes;
    style.key_separator = text_slot_or(m, separators->items[1], "").bytes;
  }
  Text out;
  const std::string problem = append_json(out, self, style);
  if (!problem.empty()) return m.fail(fmt::format("tojson cannot write {}", problem));
  return m.make(std::move(out));
}

Value filter_escape(Machine& m, const Value& self, const Slots&, const Arguments&) {
  const Text text = str_of(m, self);
  Text out;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const bool trusted = text.trust[at] == Text::kTrusted;
    switch (text.bytes[at]) {
      case '&':
        out.append("&amp;", trusted);
        break;
      case '<':
        out.append("&lt;", trusted);
        break;
      case '>':
        out.append("&gt;", trusted);
        break;
      case '"':
        out.append("&#34;", trusted);
        break;
      case '\'':
        out.append("&#39;", trusted);
        break;
      default:
        out.append_part(text, at, 1);
    }
  }
  return m.make(std::move(out));
}

Value filter_format(Machine& m, const Value& self, const Slots&, const Arguments& all) {
  if (!all.named.empty()) return m.fail("format by names is not supported");
  return format_by_percent(m, str_of(m, self), all.positional);
}

constexpr std::array kFilters = std::to_array<Builtin>({
    {"abs", "", filter_abs},
    {"attr", "name", filter_attr},
    {"capitalize", "", filter_capitalize},
    {"count", "", filter_length},
    {"d", "default_value boolean", filter_default},
    {"default", "default_value boolean", filter_default},
    {"dictsort", "case_sensitive by reverse", filter_dictsort},
    {"e", "", filter_escape},
    {"escape", "", filter_escape},
    {"first", "", filter_first},
    {"float", "default", filter_float},
    {"format", "*", filter_format},
    {"indent", "width first blank", filter_indent},
    {"int", "default base", filter_int},
    {"items", "", filter_items},
    {"join", "d attribute", filter_join},
    {"last", "", filter_last},
    {"length", "", filter_length},
    {"list", "", filter_list},
    {"lower", "", filter_lower},
    {"map", "*", filter_map},
    {"max", "case_sensitive attribute", filter_max},
    {"min", "case_sensitive attribute", filter_min},
    {"reject", "*", filter_reject},
    {"rejectattr", "*", filter_rejectattr},
    {"replace", "old new count", filter_replace},
    {"reverse", "", filter_reverse},
    {"round", "precision method", filter_round},
    {"safe", "", filter_safe},
    {"select", "*", filter_select},
    {"selectattr", "*", filter_selectattr},
    {"sort", "reverse case_sensitive attribute", filter_sort},
    {"string", "", filter_string},
    {"sum", "attribute start", filter_sum},
    {"title", "", filter_title},
    {"tojson", "indent ensure_ascii sort_keys separators", filter_tojson},
    {"trim", "chars", filter_trim},
    {"unique", "case_sensitive attribute", filter_unique},
    {"upper", "", filter_upper},
});

}  // namespace

bool is_filter(std::string_view name) {
  return find_builtin(kFilters, name) != nullptr;
}

Value apply_filter(Machine& machine, std::string_view name, const Value& input, const Arguments& arguments) {
  const Builtin* filter = find_builtin(kFilters, name);
  if (filter == nullptr) return machine.fail(fmt::format("the filter '{}' is not supported", name));
  return call_builtin(machine, *filter, input, arguments);
}

}  // namespace fathom::tokens::jinja
