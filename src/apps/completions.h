// Completion scripts for shells, made from the command line's own description, so that they name what there is.
#pragma once

#include <string>
#include <string_view>

namespace CLI {
class App;
}

namespace fathom::apps {

// `shell`: bash, zsh or fish.
std::string completions(const CLI::App& app, std::string_view shell);

}  // namespace fathom::apps
