// Failures as values. Bad input (files, flags, requests) is a Result whose message says what was read, what was
// expected and what to do. A programmer's mistake is a CHECK, always on. Nothing here prints, except CHECK as it
// aborts.
#pragma once

#include <fmt/format.h>

#include <expected>
#include <string>
#include <utility>

namespace fathom::base {

struct Error {
  std::string message;
};

template <class T>
using Result = std::expected<T, Error>;

// Makes the failure side of a Result: `return fail("{}: cannot open: {}", path, why);`
template <class... Args>
[[nodiscard]] std::unexpected<Error> fail(fmt::format_string<Args...> format, Args&&... args) {
  return std::unexpected(Error{fmt::format(format, std::forward<Args>(args)...)});
}

// The failure of another Result with context put before its message: `return fail_with(path, result.error());`
[[nodiscard]] inline std::unexpected<Error> fail_with(std::string_view context, const Error& error) {
  return std::unexpected(Error{fmt::format("{}: {}", context, error.message)});
}

[[noreturn]] void check_failed(const char* condition, const char* file, int line);

}  // namespace fathom::base

#define FATHOM_CHECK(condition) \
  (static_cast<bool>(condition) ? void(0) : ::fathom::base::check_failed(#condition, __FILE__, __LINE__))
