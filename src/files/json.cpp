// Builds values from the parser's events rather than by nlohmann's own builder: that one looks every key up by a linear
// search, which takes minutes for the 129,280 entries of a vocabulary, and has no limit of depth.
#include "files/json.h"

#include <unordered_set>
#include <utility>
#include <vector>

#include "files/in_quotes.h"
#include "files/mapped_file.h"

namespace fathom::files {
namespace {

class Builder : public nlohmann::json_sax<Json> {
 public:
  explicit Builder(const JsonLimits& limits) : limits_(limits) {}

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(number_integer_t value) override { return add(value); }
  bool number_unsigned(number_unsigned_t value) override { return add(value); }
  bool number_float(number_float_t value, const string_t&) override { return add(value); }
  bool string(string_t& value) override { return add(std::move(value)); }
  bool binary(binary_t&) override { return false; }  // JSON text has none

  bool start_object(std::size_t) override { return open(Json::value_t::object); }
  bool start_array(std::size_t) override { return open(Json::value_t::array); }
  bool end_array() override {
    open_.pop_back();
    return true;
  }
  bool end_object() override {
    const auto& object = open_.back()->get_ref<const Json::object_t&>();
    open_.pop_back();
    return names_differ(object);
  }
  bool key(string_t& name) override {
    members(*open_.back()).emplace_back(std::move(name), Json());
    return true;
  }
  bool parse_error(std::size_t byte, const std::string&, const nlohmann::detail::exception& problem) override {
    std::string_view what = problem.what();
    // "[json.exception.parse_error.101] parse error at line 1, column 2: syntax error ...": the last part is for
    // people.
    for (const std::string_view prefix : {"] ", ": "}) {
      if (const auto at = what.find(prefix); at != what.npos) what.remove_prefix(at + prefix.size());
    }
    error_ = fmt::format("not valid JSON at byte {}: {}", byte, in_quotes(what, 200));
    return false;
  }

  Json take() { return std::move(root_); }
  const std::string& error() const { return error_; }

 private:
  using Members = std::vector<Json::object_t::value_type>;
  static Members& members(Json& object) { return object.get_ref<Json::object_t&>(); }

  // Puts a value where the text stands: at the root, at an array's end, or under the name read last.
  template <class T>
  Json& place(T&& value) {
    if (open_.empty()) return root_ = Json(std::forward<T>(value));
    Json& parent = *open_.back();
    if (parent.is_object()) return members(parent).back().second = Json(std::forward<T>(value));
    return parent.get_ref<Json::array_t&>().emplace_back(std::forward<T>(value));
  }

  template <class T>
  bool add(T&& value) {
    if (!count()) return false;
    place(std::forward<T>(value));
    return true;
  }

  bool count() {
    if (++values_ <= limits_.values) return true;
    error_ = fmt::format("more than {} values", limits_.values);
    return false;
  }

  bool open(Json::value_t type) {
    if (open_.size() >= static_cast<std::size_t>(limits_.depth)) {
      error_ = fmt::format("nested deeper than {} levels", limits_.depth);
      return false;
    }
    if (!count()) return false;
    // The address stays: a container does not grow while one inside it is open.
    open_.push_back(&place(Json(type)));
    return true;
  }

  bool names_differ(const Json::object_t& object) {
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

  const JsonLimits limits_;
  std::size_t values_ = 0;
  Json root_;
  std::vector<Json*> open_;
  std::string error_;
};

}  // namespace

base::Result<Json> parse_json(std::string_view text, std::string_view name, const JsonLimits& limits) {
  if (text.size() > limits.bytes) {
    return base::fail("{}: JSON of {} bytes, at most {} are read", name, text.size(), limits.bytes);
  }
  Builder builder(limits);
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
