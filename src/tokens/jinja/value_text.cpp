// How values are written: str() and repr() as Python does it, and JSON as json.dumps does it (", " and ": ", non-ASCII
// characters as they are), because models were trained on exactly that.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "tokens/jinja/value.h"
#include "tokens/utf8.h"

namespace fathom::tokens::jinja {
namespace {

// A string literal as Python's repr writes it.
void append_quoted(Text& out, const Text& text) {
  const bool has_single = text.bytes.find('\'') != std::string::npos;
  const char quote = has_single && text.bytes.find('"') == std::string::npos ? '"' : '\'';
  out.append(std::string_view(&quote, 1), true);
  for (std::size_t at = 0; at < text.size();) {
    const utf8::Unit unit = utf8::unit_at(text.bytes, at);
    const char c = text.bytes[at];
    const bool trusted = text.trust[at] == Text::kTrusted;
    if (c == quote || c == '\\') {
      out.append(std::string{'\\', c}, trusted);
    } else if (c == '\n' || c == '\r' || c == '\t') {
      out.append(c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t", trusted);
    } else if (unit.size == 1 && (static_cast<unsigned char>(c) < 0x20 || c == 0x7F)) {
      out.append(fmt::format("\\x{:02x}", static_cast<unsigned char>(c)), trusted);
    } else {
      out.append_part(text, at, unit.size);
    }
    at += unit.size;
  }
  out.append(std::string_view(&quote, 1), true);
}

std::string json_escape(const utf8::Unit& unit, char c, bool ascii_only) {
  switch (c) {
    case '"':
      return "\\\"";
    case '\\':
      return "\\\\";
    case '\n':
      return "\\n";
    case '\r':
      return "\\r";
    case '\t':
      return "\\t";
    case '\b':
      return "\\b";
    case '\f':
      return "\\f";
    default:
      break;
  }
  if (unit.kind != utf8::Kind::kCharacter) return {};
  if (unit.code < 0x20) return fmt::format("\\u{:04x}", static_cast<unsigned>(unit.code));
  if (!ascii_only || unit.code < 0x7F) return {};
  const auto code = static_cast<unsigned>(unit.code);
  if (code < 0x10000) return fmt::format("\\u{:04x}", code);
  return fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + ((code - 0x10000) >> 10), 0xDC00 + ((code - 0x10000) & 0x3FF));
}

void append_json_string(Text& out, const Text& text, bool ascii_only) {
  out.append("\"", true);
  for (std::size_t at = 0; at < text.size();) {
    const utf8::Unit unit = utf8::unit_at(text.bytes, at);
    const std::string escape = json_escape(unit, text.bytes[at], ascii_only);
    if (escape.empty()) {
      out.append_part(text, at, unit.size);
    } else {
      out.append(escape, text.trust[at] == Text::kTrusted);
    }
    at += unit.size;
  }
  out.append("\"", true);
}

std::string json_float(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
  return python_float(value);
}

void append_line(Text& out, const JsonStyle& style, int depth) {
  if (!style.indent) return;
  out.append("\n", true);
  for (int i = 0; i < depth; ++i) out.append(*style.indent, true);
}

// What json.dumps writes for a key: strings, numbers, true, false and null can be one.
std::optional<Text> key_text(const Value& key) {
  if (const Text* text = key.text()) return *text;
  if (key.none()) return Text("null", true);
  if (const auto* b = key.get<bool>()) return Text(*b ? "true" : "false", true);
  if (const auto* d = key.get<double>()) return Text(json_float(*d), true);
  if (key.integer()) return Text(fmt::format("{}", *key.integer()), true);
  return std::nullopt;
}

std::string append_json_dict(Text& out, const Dict& dict, const JsonStyle& style, int depth) {
  if (dict.entries.empty()) {
    out.append("{}", true);
    return {};
  }
  std::vector<const std::pair<Value, Value>*> entries;
  for (const auto& entry : dict.entries) entries.push_back(&entry);
  if (style.sort_keys) {
    std::ranges::stable_sort(entries,
                             [](const auto* a, const auto* b) { return compare(a->first, b->first).value_or(0) < 0; });
  }
  out.append("{", true);
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (i > 0) out.append(style.item_separator, true);
    append_line(out, style, depth + 1);
    const auto key = key_text(entries[i]->first);
    if (!key) return std::string(type_name(entries[i]->first)) + " as a key";
    append_json_string(out, *key, style.ascii_only);
    out.append(style.key_separator, true);
    if (auto problem = append_json(out, entries[i]->second, style, depth + 1); !problem.empty()) return problem;
  }
  append_line(out, style, depth);
  out.append("}", true);
  return {};
}

}  // namespace

std::string python_float(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  char buffer[40];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific);
  std::string_view text(buffer, static_cast<std::size_t>(end.ptr - buffer));
  const std::size_t e = text.find('e');
  int exponent = 0;
  const std::string_view written = text.substr(e + 1 + (text[e + 1] == '+' ? 1 : 0));
  std::from_chars(written.data(), written.data() + written.size(), exponent);
  if (exponent < -4 || exponent >= 16) return std::string(text);
  const auto plain = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::fixed);
  std::string out(buffer, plain.ptr);
  if (out.find('.') == std::string::npos) out += ".0";
  return out;
}

void append_str(Text& out, const Value& value) {
  if (const Text* text = value.text()) {
    out.append(*text);
  } else if (!value.undefined()) {
    append_repr(out, value);
  }
}

void append_repr(Text& out, const Value& value, int depth) {
  if (depth > kDeepestValue || out.size() > kLongestText) return out.append("...", true);
  if (value.undefined()) return out.append("Undefined", true);
  if (value.none()) return out.append("None", true);
  if (const auto* b = value.get<bool>()) return out.append(*b ? "True" : "False", true);
  if (const auto* i = value.get<std::int64_t>()) return out.append(fmt::format("{}", *i), true);
  if (const auto* d = value.get<double>()) return out.append(python_float(*d), true);
  if (const Text* text = value.text()) return append_quoted(out, *text);
  std::string_view separator = "";
  if (const List* list = value.list()) {
    out.append(list->tuple ? "(" : "[", true);
    for (const Value& item : list->items) {
      out.append(std::exchange(separator, ", "), true);
      append_repr(out, item, depth + 1);
    }
    if (list->tuple && list->items.size() == 1) out.append(",", true);
    return out.append(list->tuple ? ")" : "]", true);
  }
  if (const Dict* dict = value.dict()) {
    out.append("{", true);
    for (const auto& [key, item] : dict->entries) {
      out.append(std::exchange(separator, ", "), true);
      append_repr(out, key, depth + 1);
      out.append(": ", true);
      append_repr(out, item, depth + 1);
    }
    return out.append("}", true);
  }
  out.append(fmt::format("<{}>", type_name(value)), true);
}

std::string append_json(Text& out, const Value& value, const JsonStyle& style, int depth) {
  if (depth > kDeepestValue || out.size() > kLongestText) return "a value so deep or so long";
  if (const Text* text = value.text()) {
    append_json_string(out, *text, style.ascii_only);
  } else if (value.none()) {
    out.append("null", true);
  } else if (const auto* b = value.get<bool>()) {
    out.append(*b ? "true" : "false", true);
  } else if (const auto* d = value.get<double>()) {
    out.append(json_float(*d), true);
  } else if (value.integer()) {
    out.append(fmt::format("{}", *value.integer()), true);
  } else if (const Dict* dict = value.dict()) {
    return append_json_dict(out, *dict, style, depth);
  } else if (const List* list = value.list()) {
    out.append("[", true);
    for (std::size_t i = 0; i < list->items.size(); ++i) {
      if (i > 0) out.append(style.item_separator, true);
      append_line(out, style, depth + 1);
      if (auto problem = append_json(out, list->items[i], style, depth + 1); !problem.empty()) return problem;
    }
    if (!list->items.empty()) append_line(out, style, depth);
    out.append("]", true);
  } else {
    return std::string(type_name(value));
  }
  return {};
}

}  // namespace fathom::tokens::jinja
