// Expressions of the template language, with Jinja's precedence.
#pragma once

#include "tokens/jinja/syntax.h"
#include "tokens/jinja/token_reader.h"

namespace fathom::tokens::jinja {

class ExpressionParser {
 public:
  explicit ExpressionParser(TokenReader& reader) : reader_(reader) {}

  ExpressionPtr expression();               // with the conditional form
  ExpressionPtr iterated();                 // what a for loop walks over: `if` behind it is the loop's own
  ExpressionPtr expression_list();          // an expression, or several with commas between (a tuple)
  ExpressionPtr filters(ExpressionPtr of);  // | name(...) as many as follow; `of` may be absent

 private:
  ExpressionPtr make(ExpressionKind kind, std::string name = {}) const;
  ExpressionPtr make(ExpressionKind kind, std::string name, ExpressionPtr first, ExpressionPtr second = nullptr);
  void add(Expression& to, ExpressionPtr item);
  ExpressionPtr or_expression();
  ExpressionPtr and_expression();
  ExpressionPtr not_expression();
  ExpressionPtr comparison();
  ExpressionPtr sum();
  ExpressionPtr concatenation();
  ExpressionPtr product();
  ExpressionPtr power();
  ExpressionPtr unary(bool with_filters);
  ExpressionPtr primary();
  ExpressionPtr parenthesised();
  ExpressionPtr list();
  ExpressionPtr dict();
  ExpressionPtr postfix(ExpressionPtr of);
  ExpressionPtr subscript(ExpressionPtr of);
  ExpressionPtr call(ExpressionPtr of);
  ExpressionPtr filters_and_tests(ExpressionPtr of);
  ExpressionPtr filter(ExpressionPtr of);
  ExpressionPtr test(ExpressionPtr of);
  void arguments(Expression& into);

  TokenReader& reader_;
};

}  // namespace fathom::tokens::jinja
