// How models of every family mark their thoughts.
#pragma once

#include <string_view>

namespace fathom::tokens {

inline constexpr std::string_view kThink = "<think>";
inline constexpr std::string_view kThinkEnd = "</think>";

}  // namespace fathom::tokens
