// Template text to its tree. Constructs outside the subset are refused by name, with their line.
#pragma once

#include <string_view>

#include "base/error.h"
#include "tokens/jinja/syntax.h"

namespace fathom::tokens::jinja {

base::Result<Body> parse_template(std::string_view source);

}  // namespace fathom::tokens::jinja
