// One pass over the schema; each kind of value has its own reader.
#include "grammar/json_schema.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <set>
#include <string>

namespace fathom::grammar {
namespace {

using base::fail;
using base::Result;
using files::Json;

using Names = std::initializer_list<std::string_view>;

constexpr int kMostParts = 2000;               // schemas inside one another: compiling takes a millisecond for each
constexpr std::size_t kMostValues = 1000;      // of one enum
constexpr std::int64_t kMostRepeats = 10'000;  // minItems, maxLength and the like: each may become a state
constexpr std::int64_t kLargestDivisor = 1024, kWidestDivided = 10'000;  // the compiler's own bounds of multipleOf

// Known words of the language that no grammar here keeps.
constexpr std::array<std::string_view, 22> kUnsupported = {"not",
                                                           "if",
                                                           "then",
                                                           "else",
                                                           "dependentRequired",
                                                           "dependentSchemas",
                                                           "dependencies",
                                                           "contains",
                                                           "minContains",
                                                           "maxContains",
                                                           "patternProperties",
                                                           "propertyNames",
                                                           "minProperties",
                                                           "maxProperties",
                                                           "unevaluatedItems",
                                                           "unevaluatedProperties",
                                                           "additionalItems",
                                                           "$dynamicRef",
                                                           "$dynamicAnchor",
                                                           "$recursiveRef",
                                                           "$anchor",
                                                           "contentSchema"};
constexpr std::array<std::string_view, 6> kShapes = {"$ref", "const", "enum", "anyOf", "oneOf", "allOf"};
constexpr std::array<std::string_view, 17> kOfTypes = {"type",
                                                       "properties",
                                                       "required",
                                                       "additionalProperties",
                                                       "items",
                                                       "prefixItems",
                                                       "minItems",
                                                       "maxItems",
                                                       "uniqueItems",
                                                       "minLength",
                                                       "maxLength",
                                                       "pattern",
                                                       "format",
                                                       "minimum",
                                                       "maximum",
                                                       "exclusiveMinimum",
                                                       "exclusiveMaximum"};
constexpr std::array<std::string_view, 14> kFormats = {
    "date", "time", "date-time", "duration",      "email",        "hostname",     "ipv4",
    "ipv6", "uuid", "uri",       "uri-reference", "uri-template", "json-pointer", "relative-json-pointer"};

bool has_type(const Json& value, std::string_view type) {
  if (type == "null") return value.is_null();
  if (type == "boolean") return value.is_boolean();
  if (type == "string") return value.is_string();
  if (type == "array") return value.is_array();
  if (type == "object") return value.is_object();
  if (type == "number") return value.is_number();
  return value.is_number_integer() ||
         (value.is_number_float() && std::floor(value.get<double>()) == value.get<double>());
}

bool has_any(const Json& schema, Names names) {
  return std::ranges::any_of(names, [&](std::string_view name) { return schema.contains(name); });
}

class Reader {
 public:
  Reader(const Json& root, std::string_view name) : root_(root), name_(name) {}

  Result<Json> read(const Json& schema, const std::string& at) {
    if (++parts_ > kMostParts) return refuse(at, fmt::format("a schema may have {} parts at most", kMostParts));
    if (schema.is_boolean()) {
      if (!schema.get<bool>()) return refuse(at, "the schema false allows no value at all");
      return Json::object();
    }
    if (!schema.is_object()) return refuse(at, fmt::format("expected a schema, found {}", schema.type_name()));
    for (const std::string_view word : kUnsupported)
      if (schema.contains(word)) return refuse(at, fmt::format("the keyword {} is not supported", word));
    if (schema.contains("$id") && !at.empty()) return refuse(at, "the keyword $id is supported at the top alone");
    Result<Json> out = read_body(schema, at);
    if (!out) return out;
    for (const char* word : {"$defs", "definitions"}) {
      if (!schema.contains(word)) continue;
      auto definitions = read_each(schema[word], fmt::format("{}/{}", at, word));
      if (!definitions) return definitions;
      (*out)[word] = std::move(*definitions);
    }
    return out;
  }

 private:
  std::unexpected<base::Error> refuse(const std::string& at, std::string_view what) const {
    return fail("{}#{}: {}", name_, at, what);
  }

  Result<Json> read_each(const Json& schemas, const std::string& at) {
    if (!schemas.is_object()) return refuse(at, "expected an object of schemas");
    Json out = Json::object();
    for (const auto& [name, schema] : schemas.items()) {
      auto read_one = read(schema, fmt::format("{}/{}", at, name));
      if (!read_one) return read_one;
      out[name] = std::move(*read_one);
    }
    return out;
  }

  Result<Json> read_body(const Json& schema, const std::string& at) {
    std::string_view shape;
    for (const std::string_view word : kShapes) {
      if (!schema.contains(word)) continue;
      if (!shape.empty()) return refuse(at, fmt::format("{} beside {} is not supported", word, shape));
      shape = word;
    }
    if (shape.empty()) return read_types(schema, at);
    const bool listed = shape == "const" || shape == "enum";
    for (const std::string_view word : kOfTypes)
      if (schema.contains(word) && !(listed && word == "type"))
        return refuse(at, fmt::format("{} beside {} is not supported", word, shape));
    if (schema.contains("multipleOf")) return refuse(at, fmt::format("multipleOf beside {} is not supported", shape));
    if (shape == "$ref") return read_reference(schema, at);
    if (listed) return read_values(schema, at);
    return read_choices(schema, std::string(shape), at);
  }

  // Targets are found by their path from the top; one that leads back to itself without a value between has no meaning.
  Result<Json> read_reference(const Json& schema, const std::string& at) {
    const Json* target = &schema;
    std::set<std::string> seen;
    while (target->is_object() && target->contains("$ref")) {
      const Json& value = (*target)["$ref"];
      if (!value.is_string()) return refuse(at, "$ref: expected a string");
      const std::string& reference = value.get_ref<const std::string&>();
      if (reference != "#" && !reference.starts_with("#/"))
        return refuse(at, fmt::format("$ref \"{}\": only references into the schema itself (\"#/…\") are supported",
                                      reference.substr(0, 80)));
      if (reference.find_first_of("~%") != std::string::npos)
        return refuse(at, "$ref: names with ~ or % in them are not supported");
      if (!seen.insert(reference).second) return refuse(at, "$ref leads back to itself");
      target = find(reference);
      if (target == nullptr) return refuse(at, fmt::format("$ref \"{}\" leads nowhere", reference.substr(0, 80)));
    }
    return Json{{"$ref", schema["$ref"]}};
  }

  const Json* find(std::string_view reference) const {
    const Json* place = &root_;
    reference.remove_prefix(std::min<std::size_t>(2, reference.size()));
    while (!reference.empty()) {
      const std::string name(reference.substr(0, reference.find('/')));
      reference.remove_prefix(std::min(reference.size(), name.size() + 1));
      if (!place->is_object() || !place->contains(name)) return nullptr;
      place = &(*place)[name];
    }
    return place;
  }

  Result<Json> read_values(const Json& schema, const std::string& at) {
    Json values = schema.contains("enum") ? schema["enum"] : Json::array({schema["const"]});
    if (!values.is_array() || values.empty() || values.size() > kMostValues)
      return refuse(at, fmt::format("enum: expected a list of 1 to {} values", kMostValues));
    if (schema.contains("type")) {
      const Json types = schema["type"].is_array() ? schema["type"] : Json::array({schema["type"]});
      std::erase_if(values.get_ref<Json::array_t&>(), [&](const Json& value) {
        return std::ranges::none_of(
            types, [&](const Json& t) { return t.is_string() && has_type(value, t.get<std::string>()); });
      });
      if (values.empty()) return refuse(at, "no value of the enum has the type that stands beside it");
    }
    return Json{{"enum", std::move(values)}};
  }

  Result<Json> read_choices(const Json& schema, const std::string& word, const std::string& at) {
    const Json& options = schema[word];
    if (!options.is_array() || options.empty()) return refuse(at, word + ": expected a list of at least one schema");
    if (word == "allOf" && options.size() > 1) return refuse(at, "allOf of more than one schema is not supported");
    if (word == "oneOf" && !kept_apart(options))
      return refuse(at,
                    "oneOf is supported where the options differ in type, or in the const of one required property");
    Json read_options = Json::array();
    for (std::size_t i = 0; i < options.size(); ++i) {
      auto option = read(options[i], fmt::format("{}/{}/{}", at, word, i));
      if (!option) return option;
      read_options.push_back(std::move(*option));
    }
    if (word == "allOf") return read_options[0];
    return Json{{"anyOf", std::move(read_options)}};
  }

  // No value fits two of the options: their types differ, or a property that all require has another const in each.
  bool kept_apart(const Json& options) const {
    std::set<std::string> types;
    for (const Json& given : options) {
      const Json& option = target_of(given);
      if (!option.is_object() || !option.contains("type") || !option["type"].is_string()) break;
      const auto type = option["type"].get<std::string>();
      types.insert(type == "integer" ? "number" : type);
    }
    if (types.size() == options.size()) return true;
    const Json& first = target_of(options[0]);
    if (!first.is_object() || !first.contains("required") || !first["required"].is_array()) return false;
    return std::ranges::any_of(first["required"], [&](const Json& name) {
      return name.is_string() && tells_apart(options, name.get<std::string>());
    });
  }

  const Json& target_of(const Json& schema) const {
    if (!schema.is_object() || !schema.contains("$ref") || !schema["$ref"].is_string()) return schema;
    const Json* target = find(schema["$ref"].get_ref<const std::string&>());
    return target == nullptr ? schema : *target;
  }

  bool tells_apart(const Json& options, const std::string& name) const {
    std::set<std::string> seen;
    for (const Json& given : options) {
      const Json& option = target_of(given);
      if (!option.is_object() || option.value("type", Json()) != "object") return false;
      const Json required = option.value("required", Json::array()),
                 properties = option.value("properties", Json::object());
      if (!required.is_array() || std::ranges::find(required, Json(name)) == required.end()) return false;
      if (!properties.is_object() || !properties.contains(name) || !properties[name].is_object()) return false;
      const Json& property = properties[name];
      Json values =
          property.contains("const") ? Json::array({property["const"]}) : property.value("enum", Json::array());
      if (!values.is_array() || values.empty()) return false;
      for (const Json& value : values)
        if (!value.is_string() || !seen.insert(value.get<std::string>()).second) return false;
    }
    return true;
  }

  Result<Json> read_types(const Json& schema, const std::string& at) {
    Json type = schema.contains("type") ? schema["type"] : implied_type(schema);
    if (type.is_null()) {
      for (const std::string_view word : kOfTypes)
        if (schema.contains(word)) return refuse(at, fmt::format("{} needs a type beside it", word));
      if (schema.contains("multipleOf")) return refuse(at, "multipleOf needs a type beside it");
      return Json::object();
    }
    if (type.is_string()) return read_type(schema, type.get<std::string>(), at);
    if (!type.is_array() || type.empty()) return refuse(at, "type: expected a name or a list of names");
    Json options = Json::array();
    for (const Json& name : type) {
      if (!name.is_string()) return refuse(at, "type: expected a name or a list of names");
      auto option = read_type(schema, name.get<std::string>(), at);
      if (!option) return option;
      options.push_back(std::move(*option));
    }
    return Json{{"anyOf", std::move(options)}};
  }

  // A schema without a type that speaks of one kind of value means that kind: narrower than the letter, which lets
  // every other kind through.
  static Json implied_type(const Json& schema) {
    const bool object = has_any(schema, {"properties", "required", "additionalProperties"});
    const bool array = has_any(schema, {"items", "prefixItems", "minItems", "maxItems", "uniqueItems"});
    const bool string = has_any(schema, {"minLength", "maxLength", "pattern", "format"});
    const bool number = has_any(schema, {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"});
    if (object + array + string + number != 1) return nullptr;
    return object ? "object" : array ? "array" : string ? "string" : "number";
  }

  Result<Json> read_type(const Json& schema, const std::string& type, const std::string& at) {
    if (type == "object") return read_object(schema, at);
    if (type == "array") return read_array(schema, at);
    if (type == "string") return read_string(schema, at);
    if (type == "integer" || type == "number") return read_number(schema, type, at);
    if (type == "boolean" || type == "null") return Json{{"type", type}};
    return refuse(at, fmt::format("type \"{}\" is none of JSON Schema's", type.substr(0, 40)));
  }

  // What is left open is said: other properties are allowed only where the schema says so or names none itself.
  Result<Json> read_object(const Json& schema, const std::string& at) {
    Json properties = Json::object();
    if (schema.contains("properties")) {
      auto each = read_each(schema["properties"], at + "/properties");
      if (!each) return each;
      properties = std::move(*each);
    }
    Json further = properties.empty();
    if (schema.contains("additionalProperties")) {
      further = schema["additionalProperties"];
      if (!further.is_boolean()) {
        auto one = read(further, at + "/additionalProperties");
        if (!one) return one;
        further = std::move(*one);
      }
    }
    Json required = schema.value("required", Json::array());
    if (!required.is_array()) return refuse(at, "required: expected a list of names");
    for (const Json& name : required) {
      if (!name.is_string()) return refuse(at, "required: expected a list of names");
      const auto& text = name.get_ref<const std::string&>();
      if (properties.contains(text)) continue;
      if (further == false || !(schema.contains("additionalProperties") || properties.empty()))
        return refuse(at, fmt::format("required names \"{}\", which properties does not have", text.substr(0, 80)));
      properties[text] = further.is_boolean() ? Json::object() : further;
    }
    Json out = {{"type", "object"}, {"additionalProperties", std::move(further)}};
    if (!properties.empty()) out["properties"] = std::move(properties);
    if (!required.empty()) out["required"] = std::move(required);
    return out;
  }

  Result<Json> read_array(const Json& schema, const std::string& at) {
    if (schema.value("uniqueItems", Json(false)) != false)
      return refuse(at, "the keyword uniqueItems is not supported");
    Json out = {{"type", "array"}, {"items", true}};
    if (schema.contains("items") && schema["items"].is_boolean()) {
      out["items"] = schema["items"];
    } else if (schema.contains("items")) {
      auto items = read(schema["items"], at + "/items");
      if (!items) return items;
      out["items"] = std::move(*items);
    }
    if (schema.contains("prefixItems")) {
      const Json& prefix = schema["prefixItems"];
      if (!prefix.is_array()) return refuse(at, "prefixItems: expected a list of schemas");
      out["prefixItems"] = Json::array();
      for (std::size_t i = 0; i < prefix.size(); ++i) {
        auto item = read(prefix[i], fmt::format("{}/prefixItems/{}", at, i));
        if (!item) return item;
        out["prefixItems"].push_back(std::move(*item));
      }
    }
    return with_counts(schema, {"minItems", "maxItems"}, std::move(out), at);
  }

  Result<Json> with_counts(const Json& schema, Names names, Json out, const std::string& at) const {
    for (const std::string_view name : names) {
      if (!schema.contains(name)) continue;
      const Json& count = schema[name];
      const double number = count.is_number() ? count.get<double>() : -1;
      if (!(number >= 0 && number <= static_cast<double>(kMostRepeats)) || std::floor(number) != number)
        return refuse(at, fmt::format("{}: expected an integer from 0 to {}", name, kMostRepeats));
      out[name] = static_cast<std::int64_t>(number);
    }
    return out;
  }

  Result<Json> read_string(const Json& schema, const std::string& at) const {
    Json out = {{"type", "string"}};
    for (const char* word : {"pattern", "format"}) {
      if (!schema.contains(word)) continue;
      if (!schema[word].is_string()) return refuse(at, fmt::format("{}: expected a string", word));
      out[word] = schema[word];
    }
    if (out.contains("format") && std::ranges::find(kFormats, out["format"].get<std::string>()) == kFormats.end())
      return refuse(at,
                    fmt::format("the format \"{}\" is not supported", out["format"].get<std::string>().substr(0, 40)));
    if (out.size() > 2) return refuse(at, "format beside pattern is not supported");
    if (out.size() > 1 && has_any(schema, {"minLength", "maxLength"}))
      return refuse(at, "minLength and maxLength beside pattern or format are not supported");
    if (out.contains("pattern")) {
      const auto checked = check_regex(out["pattern"].get<std::string>(), fmt::format("{}#{}/pattern", name_, at));
      if (!checked) return std::unexpected(checked.error());
    }
    return with_counts(schema, {"minLength", "maxLength"}, std::move(out), at);
  }

  Result<Json> read_number(const Json& schema, const std::string& type, const std::string& at) const {
    Json out = {{"type", type}};
    constexpr double kLargest = 9e15;  // beyond it neighbours of a bound are no longer told apart
    for (const std::string_view word : {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}) {
      if (!schema.contains(word)) continue;
      const Json& bound = schema[word];
      if (!bound.is_number() || !(std::abs(bound.get<double>()) <= kLargest))
        return refuse(at, fmt::format("{}: expected a number from -9e15 to 9e15", word));
      out[word] = bound;
      const double number = bound.get<double>();
      if (type != "integer" || bound.is_number_integer()) continue;
      // The nearest integer that says the same of integers.
      const bool up = (word == "minimum" || word == "exclusiveMaximum");
      out[word] = static_cast<std::int64_t>(up ? std::ceil(number) : std::floor(number));
    }
    if (!schema.contains("multipleOf")) return out;
    const Json& divisor = schema["multipleOf"];
    if (type != "integer" || !divisor.is_number_integer() || divisor.get<std::int64_t>() < 1 ||
        divisor.get<std::int64_t>() > kLargestDivisor)
      return refuse(at, fmt::format("multipleOf is supported for integers, from 1 to {}", kLargestDivisor));
    const bool low = has_any(out, {"minimum", "exclusiveMinimum"}),
               high = has_any(out, {"maximum", "exclusiveMaximum"});
    const double from = out.value("minimum", out.value("exclusiveMinimum", 0.0));
    const double to = out.value("maximum", out.value("exclusiveMaximum", 0.0));
    if (low != high || to - from > static_cast<double>(kWidestDivided))
      return refuse(at, fmt::format("multipleOf beside bounds is supported where both are there, at most {} apart",
                                    kWidestDivided));
    out["multipleOf"] = divisor;
    return out;
  }

  const Json& root_;
  std::string name_;
  int parts_ = 0;
};

}  // namespace

Result<Json> supported_schema(const Json& schema, std::string_view name) {
  return Reader(schema, name).read(schema, "");
}

Result<void> check_regex(std::string_view pattern, std::string_view where) {
  constexpr std::size_t kMostBytes = 4096, kDeepest = 64;
  if (pattern.size() > kMostBytes)
    return fail("{}: a pattern may have {} bytes, found {}", where, kMostBytes, pattern.size());
  std::size_t depth = 0;
  bool in_class = false;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    const char next = i + 1 < pattern.size() ? pattern[i + 1] : '\0';
    if (c == '\\') {
      constexpr std::string_view kKnown = "dDwWsSnrtfv0xuc";
      const bool letter = (next >= 'a' && next <= 'z') || (next >= 'A' && next <= 'Z') || (next >= '0' && next <= '9');
      if (next == '\0' || (letter && kKnown.find(next) == kKnown.npos))
        return fail("{}: \\{} at byte {} is not supported", where, next == '\0' ? ' ' : next, i);
      ++i;
    } else if (in_class) {
      in_class = c != ']';
    } else if (c == '[') {
      in_class = true;
    } else if (c == '(') {
      if (++depth > kDeepest) return fail("{}: groups are nested deeper than {}", where, kDeepest);
      if (next == '?' && (i + 2 >= pattern.size() || pattern[i + 2] != ':'))
        return fail("{}: the group (?{} at byte {} is not supported", where, pattern.substr(i + 2, 1), i);
    } else if (c == ')') {
      depth -= depth > 0 ? 1 : 0;
    } else if ((c == '^' && i > 0) || (c == '$' && i + 1 < pattern.size())) {
      return fail("{}: {} at byte {} is supported at the very {} alone", where, c, i, c == '^' ? "beginning" : "end");
    } else if (c == '{') {
      std::int64_t count = 0;
      for (std::size_t j = i + 1; j < pattern.size() && pattern[j] != '}'; ++j) {
        count = pattern[j] >= '0' && pattern[j] <= '9'
                    ? std::min<std::int64_t>(count * 10 + (pattern[j] - '0'), kMostRepeats + 1)
                    : 0;
        if (count > kMostRepeats) return fail("{}: a part may be repeated {} times at most", where, kMostRepeats);
      }
    }
  }
  return {};
}

}  // namespace fathom::grammar
