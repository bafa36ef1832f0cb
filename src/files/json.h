// JSON text to a value without exceptions, with limits. Everything that reads JSON from outside goes through here.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/error.h"

namespace fathom::files {

using Json = nlohmann::ordered_json;

struct JsonLimits {
  std::size_t bytes = std::size_t{256} << 20;
  int depth = 128;
  std::size_t values = std::size_t{8} << 20;  // in memory a value takes 10 to 20 times its shortest text
};

// Objects keep their order, and `find` in them is a linear search: walk a large one instead.
// `name` stands before the message. Errors: not JSON (with the byte), too long, nested too deep, too many values, a
// name twice in one object.
base::Result<Json> parse_json(std::string_view text, std::string_view name, const JsonLimits& limits = {});
base::Result<Json> read_json(const std::string& path, const JsonLimits& limits = {});

// What an object holds under a name; nullptr where it holds nothing, or is no object.
const Json* member(const Json& object, std::string_view name);

}  // namespace fathom::files
