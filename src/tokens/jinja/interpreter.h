// Runs a parsed template. One Template serves any number of renderings at once.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "tokens/jinja/machine.h"
#include "tokens/jinja/syntax.h"

namespace fathom::tokens::jinja {

class Template {
 public:
  // Errors: syntax, and constructs outside the subset, with the line.
  static base::Result<Template> parse(std::string_view source);

  // `machine` holds the values of `variables`. Errors: what the template raises, a misuse, a limit; with the line.
  base::Result<Text> render(Machine& machine, std::vector<std::pair<std::string, Value>> variables) const;

 private:
  explicit Template(Body body) : body_(std::move(body)) {}
  Body body_;
};

}  // namespace fathom::tokens::jinja
