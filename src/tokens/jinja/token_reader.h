// A walk over a template's tokens that keeps the first error; shared by the two halves of the parser.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tokens/jinja/lexer.h"

namespace fathom::tokens::jinja {

class TokenReader {
 public:
  explicit TokenReader(std::vector<LexerToken> tokens) : tokens_(std::move(tokens)) {}

  const LexerToken& now() const { return tokens_[at_]; }
  const LexerToken& after() const { return tokens_[at_ + 1 < tokens_.size() ? at_ + 1 : at_]; }
  int line() const { return now().line; }
  bool at(TokenKind kind) const { return now().kind == kind; }
  bool at_operator(std::string_view text) const { return at(TokenKind::kOperator) && now().text == text; }
  bool at_name(std::string_view text) const { return at(TokenKind::kName) && now().text == text; }

  LexerToken take() {
    LexerToken token = now();
    if (at_ + 1 < tokens_.size()) ++at_;
    return token;
  }
  bool take_operator(std::string_view text) {
    if (!at_operator(text)) return false;
    take();
    return true;
  }
  bool take_name(std::string_view text) {
    if (!at_name(text)) return false;
    take();
    return true;
  }
  void expect_operator(std::string_view text) {
    if (!take_operator(text)) fail(fmt::format("expected '{}', found {}", text, shown()));
  }
  std::string expect_name(std::string_view what) {
    if (at(TokenKind::kName)) return take().text;
    fail(fmt::format("expected {}, found {}", what, shown()));
    return {};
  }

  // How a message shows the current token.
  std::string shown() const {
    switch (now().kind) {
      case TokenKind::kEnd:
        return "the end of the template";
      case TokenKind::kBlockEnd:
        return "'%}'";
      case TokenKind::kVariableEnd:
        return "'}}'";
      case TokenKind::kString:
        return "a string";
      default:
        return "'" + now().text.substr(0, 60) + "'";
    }
  }

  // Keeps the first error and moves to the end, so that every loop over tokens stops.
  void fail(const std::string& message) {
    if (error_.empty()) error_ = fmt::format("line {}: {}", line(), message);
    at_ = tokens_.size() - 1;
  }
  bool failed() const { return !error_.empty(); }
  const std::string& error() const { return error_; }

  // Nesting of expressions and blocks is bounded, so that no template exhausts the stack.
  static constexpr int kDeepestNesting = 100;
  class Level {
   public:
    explicit Level(TokenReader& reader) : reader_(reader) {
      if (++reader_.depth_ > kDeepestNesting) reader_.fail("nested too deeply");
    }
    ~Level() { --reader_.depth_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;

   private:
    TokenReader& reader_;
  };

 private:
  std::vector<LexerToken> tokens_;
  std::size_t at_ = 0;
  int depth_ = 0;
  std::string error_;
};

}  // namespace fathom::tokens::jinja
