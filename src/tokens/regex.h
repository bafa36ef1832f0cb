// A pre-tokenizer's pattern, compiled by PCRE2 with its JIT. Patterns come from files and are not trusted: size,
// nesting and backtracking are bounded. One object serves any number of threads.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"

namespace fathom::tokens {

class Regex {
 public:
  // The pattern is in Oniguruma's Ruby syntax, which tokenizer.json speaks; constructs of which PCRE2 has another
  // reading are rewritten or refused. Errors name the pattern and the place.
  static base::Result<Regex> compile(std::string_view pattern);
  // Finds the text itself.
  static base::Result<Regex> compile_literal(std::string_view text);

  Regex(Regex&&) noexcept;
  Regex& operator=(Regex&&) noexcept;
  ~Regex();

  // Walks over texts, one after the other; each must be valid UTF-8 and outlive its walk.
  class Matches {
   public:
    explicit Matches(const Regex& regex);
    Matches(const Matches&) = delete;
    Matches& operator=(const Matches&) = delete;
    ~Matches();
    void start(std::string_view text);
    // The next match at or after `from`, by its bytes. False where there is none, or where a pattern exceeded its
    // limits (none of the table's can): the rest then counts as unmatched.
    bool next(std::size_t from, std::size_t& begin, std::size_t& end);

   private:
    struct State;
    std::unique_ptr<State> state_;
  };

 private:
  struct Code;
  explicit Regex(std::unique_ptr<Code> code);
  std::unique_ptr<Code> code_;
};

// The same pattern in PCRE2's syntax; apart for the tests.
base::Result<std::string> pcre_from_oniguruma(std::string_view pattern);

}  // namespace fathom::tokens
