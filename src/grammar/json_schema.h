// Which JSON Schemas can be kept to, and in what form. A keyword that would change what is valid and cannot be kept is
// refused by name, never passed over; where the grammar is narrower than the schema (properties come in the schema's
// order, a pattern describes the whole string), every answer is still valid. docs/structured_output.md lists them.
#pragma once

#include <string_view>

#include "base/error.h"
#include "files/json.h"

namespace fathom::grammar {

// The schema in the form that the compiler takes: annotations gone, what was left open said. Errors: a keyword that is
// not supported or has a wrong value, with the place as a JSON pointer behind `name`.
base::Result<files::Json> supported_schema(const files::Json& schema, std::string_view name);

// Of a regular expression: what the compiler would not read as ECMAScript does. Errors name it.
base::Result<void> check_regex(std::string_view pattern, std::string_view where);

}  // namespace fathom::grammar
