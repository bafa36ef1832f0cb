// Builds a value from the parser's events, within limits. nlohmann's own builder looks every key up by a linear search,
// which takes minutes for the 129,280 entries of a vocabulary, and has no limit of depth.
#pragma once

#include <string>
#include <vector>

#include "files/json.h"

namespace fathom::files {

class JsonBuilder final : public nlohmann::json_sax<Json> {
 public:
  explicit JsonBuilder(const JsonLimits& limits) : limits_(limits) {}

  // Each false where the value is not to be: error() says why.
  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(number_integer_t value) override { return add(value); }
  bool number_unsigned(number_unsigned_t value) override { return add(value); }
  bool number_float(number_float_t value, const string_t&) override { return add(value); }
  bool string(string_t& value) override { return add(std::move(value)); }
  bool binary(binary_t&) override { return false; }  // JSON text has none
  bool start_object(std::size_t) override { return open(Json::value_t::object); }
  bool start_array(std::size_t) override { return open(Json::value_t::array); }
  bool end_array() override;
  bool end_object() override;
  bool key(string_t& name) override;
  bool parse_error(std::size_t byte, const std::string&, const nlohmann::detail::exception& problem) override;

  Json take() { return std::move(root_); }
  const std::string& error() const { return error_; }

 private:
  using Members = std::vector<Json::object_t::value_type>;
  static Members& members(Json& object) { return object.get_ref<Json::object_t&>(); }
  Json& place(Json value);
  bool add(Json value);
  bool count();
  bool open(Json::value_t type);
  bool names_differ(const Json::object_t& object);

  const JsonLimits limits_;
  std::size_t values_ = 0;
  Json root_;
  std::vector<Json*> open_;
  std::string error_;
};

// What the parser says of a text that is no JSON, in a line.
std::string json_problem(std::size_t byte, const nlohmann::detail::exception& problem);

}  // namespace fathom::files
