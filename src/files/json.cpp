#include "files/json.h"

#include <unordered_set>
#include <utility>

#include "files/in_quotes.h"
#include "files/json_builder.h"
#include "files/mapped_file.h"

namespace fathom::files {

bool JsonBuilder::end_array() {
  open_.pop_back();
  return true;
}

bool JsonBuilder::end_object() {
  const auto& object = open_.back()->get_ref<const Json::object_t&>();
  open_.pop_back();
  return names_differ(object);
}

bool JsonBuilder::key(string_t& name) {
  members(*open_.back()).emplace_back(std::move(name), Json());
  return true;
}

bool JsonBuilder::parse_error(std::size_t byte, const std::string&, const nlohmann::detail::exception& problem) {
  error_ = json_problem(byte, problem);
  return false;
}

// Puts a value where the text stands: at the root, at an array's end, or under the name read last.
Json& JsonBuilder::place(Json value) {
  if (open_.empty()) return root_ = std::move(value);
  Json& parent = *open_.back();
  if (parent.is_object()) return members(parent).back().second = std::move(value);
  return parent.get_ref<Json::array_t&>().emplace_back(std::move(value));
}

bool JsonBuilder::add(Json value) {
  if (!count()) return false;
  place(std::move(value));
  return true;
}

bool JsonBuilder::count() {
  if (++values_ <= limits_.values) return true;
  error_ = fmt::format("more than {} values", limits_.values);
  return false;
}

bool JsonBuilder::open(Json::value_t type) {
  if (open_.size() >= static_cast<std::size_t>(limits_.depth)) {
    error_ = fmt::format("nested deeper than {} levels", limits_.depth);
    return false;
  }
  if (!count()) return false;
  // The address stays: a container does not grow while one inside it is open.
  open_.push_back(&place(Json(type)));
  return true;
}

bool JsonBuilder::names_differ(const Json::object_t& object) {
  const auto doubled = [&](std::string_view name) {
    error_ = fmt::format("the name {} stands twice in one object", in_quotes(name));
    return false;
  };
  if (object.size() <= 8) {
    for (auto a = object.begin(); a != object.end(); ++a)
      for (auto b = object.begin(); b != a; ++b)
        if (a->first == b->first) return doubled(a->first);
    return true;
  }
  std::unordered_set<std::string_view> seen;
  seen.reserve(object.size());
  for (const auto& [name, value] : object)
    if (!seen.insert(name).second) return doubled(name);
  return true;
}

std::string json_problem(std::size_t byte, const nlohmann::detail::exception& problem) {
  std::string_view what = problem.what();
  // "[json.exception.parse_error.101] parse error at line 1, column 2: syntax error ...": the last part is for
  // people.
  for (const std::string_view prefix : {"] ", ": "}) {
    if (const auto at = what.find(prefix); at != what.npos) what.remove_prefix(at + prefix.size());
  }
  return fmt::format("not valid JSON at byte {}: {}", byte, in_quotes(what, 200));
}

base::Result<Json> parse_json(std::string_view text, std::string_view name, const JsonLimits& limits) {
  if (text.size() > limits.bytes) {
    return base::fail("{}: JSON of {} bytes, at most {} are read", name, text.size(), limits.bytes);
  }
  JsonBuilder builder(limits);
  if (!Json::sax_parse(text.begin(), text.end(), &builder)) return base::fail("{}: {}", name, builder.error());
  return builder.take();
}

base::Result<Json> read_json(const std::string& path, const JsonLimits& limits) {
  const auto file = MappedFile::open(path);
  if (!file) return std::unexpected(file.error());
  const auto bytes = file->bytes();
  return parse_json({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, path, limits);
}

const Json* member(const Json& object, std::string_view name) {
  const auto found = object.find(name);  // of what is no object: the end
  return found == object.end() ? nullptr : &*found;
}

}  // namespace fathom::files
