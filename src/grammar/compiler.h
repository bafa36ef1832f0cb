// Grammars compiled for one model's vocabulary, and their state along one answer. XGrammar does the work and throws;
// nothing of either leaves this file. Which requests ask for what is not known here.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "grammar/formats.h"
#include "tokens/tokenizer.h"

namespace fathom::grammar {

// Where one answer stands in its grammar. One thread at a time.
class Matcher {
 public:
  Matcher(Matcher&&) noexcept;
  Matcher& operator=(Matcher&&) noexcept;
  ~Matcher();

  // Bit i % 32 of word i / 32 is set where token i may come next, over the tokenizer's vocabulary. Stop tokens may come
  // where the grammar is complete, other control tokens never. Valid until the next call.
  std::span<const std::uint32_t> allowed();
  // False: the token may not come here, and the state is as it was.
  bool accept(tokens::TokenId token);
  // Takes back the last `count` accepted tokens; there must be so many.
  void roll_back(int count);

 private:
  friend class Compiled;
  struct Impl;
  explicit Matcher(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// A grammar ready for any number of answers.
class Compiled {
 public:
  Matcher start() const;

 private:
  friend class Compiler;
  struct Impl;
  explicit Compiled(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<const Impl> impl_;
};

// Safe from several threads. What was compiled lately is kept, within a bound.
class Compiler {
 public:
  // `syntax`: the model's own; its control tokens may stand in calls of tools. The tokenizer must outlive the compiler.
  Compiler(const tokens::Tokenizer& tokenizer, std::span<const tokens::TokenId> stop_tokens, tokens::ToolSyntax syntax);
  ~Compiler();

  // `with_tools`: the format is of tool_calls(). Errors: syntax, a grammar beyond the bounds of size.
  base::Result<Compiled> compile(const Format& format, bool with_tools) const;

 private:
  struct Vocabulary;
  const Vocabulary& vocabulary(bool with_tools) const;

  const tokens::Tokenizer* tokenizer_;
  std::vector<tokens::TokenId> stops_;
  tokens::ToolSyntax syntax_;
  struct Lazy;
  std::unique_ptr<Lazy> lazy_;  // made when first asked for: some hundred ms and some MB
};

}  // namespace fathom::grammar
