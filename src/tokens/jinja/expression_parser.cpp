// One function for each level of precedence.
#include "tokens/jinja/expression_parser.h"

#include <algorithm>
#include <charconv>
#include <initializer_list>

#include "tokens/jinja/builtins.h"

namespace fathom::tokens::jinja {
namespace {

// The evaluator walks the tree on the machine's stack. Templates have chains of a few dozen.
constexpr int kDeepestExpression = 200;

bool one_of(std::string_view text, std::initializer_list<std::string_view> options) {
  return std::ranges::find(options, text) != options.end();
}

std::string without_underscores(std::string text) {
  std::erase(text, '_');
  return text;
}

}  // namespace

ExpressionPtr ExpressionParser::make(ExpressionKind kind, std::string name) const {
  auto e = std::make_unique<Expression>();
  e->kind = kind;
  e->line = reader_.line();
  e->name = std::move(name);
  return e;
}

ExpressionPtr ExpressionParser::make(ExpressionKind kind, std::string name, ExpressionPtr first, ExpressionPtr second) {
  auto e = make(kind, std::move(name));
  if (first != nullptr) e->line = first->line;
  add(*e, std::move(first));
  if (second != nullptr) add(*e, std::move(second));
  return e;
}

// Chains (a + b + c ...) deepen the tree without nesting in the text.
void ExpressionParser::add(Expression& to, ExpressionPtr item) {
  if (item != nullptr) to.depth = std::max(to.depth, item->depth + 1);
  if (to.depth > kDeepestExpression) reader_.fail("an expression nested too deeply");
  to.items.push_back(std::move(item));
}

ExpressionPtr ExpressionParser::expression() {
  const TokenReader::Level level(reader_);
  ExpressionPtr value = or_expression();
  while (reader_.take_name("if")) {
    auto e = make(ExpressionKind::kConditional, {}, std::move(value), or_expression());
    add(*e, reader_.take_name("else") ? expression() : nullptr);
    value = std::move(e);
  }
  return value;
}

ExpressionPtr ExpressionParser::expression_list() {
  ExpressionPtr first = expression();
  if (!reader_.at_operator(",")) return first;
  auto tuple = make(ExpressionKind::kTuple, {}, std::move(first));
  while (reader_.take_operator(",")) {
    if (reader_.at(TokenKind::kBlockEnd) || reader_.at(TokenKind::kVariableEnd)) break;
    add(*tuple, expression());
  }
  return tuple;
}

ExpressionPtr ExpressionParser::iterated() {
  ExpressionPtr first = or_expression();
  if (!reader_.at_operator(",")) return first;
  auto tuple = make(ExpressionKind::kTuple, {}, std::move(first));
  while (reader_.take_operator(",")) add(*tuple, or_expression());
  return tuple;
}

ExpressionPtr ExpressionParser::or_expression() {
  ExpressionPtr left = and_expression();
  while (reader_.take_name("or")) left = make(ExpressionKind::kOr, {}, std::move(left), and_expression());
  return left;
}

ExpressionPtr ExpressionParser::and_expression() {
  ExpressionPtr left = not_expression();
  while (reader_.take_name("and")) left = make(ExpressionKind::kAnd, {}, std::move(left), not_expression());
  return left;
}

ExpressionPtr ExpressionParser::not_expression() {
  const TokenReader::Level level(reader_);
  if (reader_.at_name("not") && !(reader_.after().kind == TokenKind::kName && reader_.after().text == "in")) {
    reader_.take();
    return make(ExpressionKind::kNot, {}, not_expression());
  }
  return comparison();
}

ExpressionPtr ExpressionParser::comparison() {
  ExpressionPtr left = sum();
  ExpressionPtr chain;
  while (true) {
    std::string op;
    if (reader_.at(TokenKind::kOperator) && one_of(reader_.now().text, {"==", "!=", "<", "<=", ">", ">="})) {
      op = reader_.take().text;
    } else if (reader_.take_name("in")) {
      op = "in";
    } else if (reader_.at_name("not") && reader_.after().kind == TokenKind::kName && reader_.after().text == "in") {
      reader_.take();
      reader_.take();
      op = "not in";
    } else {
      break;
    }
    if (chain == nullptr) chain = make(ExpressionKind::kComparison, {}, std::move(left));
    chain->names.push_back(op);
    add(*chain, sum());
  }
  return chain == nullptr ? std::move(left) : std::move(chain);
}

ExpressionPtr ExpressionParser::sum() {
  ExpressionPtr left = concatenation();
  while (reader_.at_operator("+") || reader_.at_operator("-")) {
    std::string op = reader_.take().text;
    left = make(ExpressionKind::kBinary, std::move(op), std::move(left), concatenation());
  }
  return left;
}

ExpressionPtr ExpressionParser::concatenation() {
  ExpressionPtr left = product();
  while (reader_.take_operator("~")) left = make(ExpressionKind::kBinary, "~", std::move(left), product());
  return left;
}

ExpressionPtr ExpressionParser::product() {
  ExpressionPtr left = power();
  while (reader_.at(TokenKind::kOperator) && one_of(reader_.now().text, {"*", "/", "//", "%"})) {
    std::string op = reader_.take().text;
    left = make(ExpressionKind::kBinary, std::move(op), std::move(left), power());
  }
  return left;
}

ExpressionPtr ExpressionParser::power() {
  ExpressionPtr left = unary(true);
  while (reader_.take_operator("**")) left = make(ExpressionKind::kBinary, "**", std::move(left), unary(true));
  return left;
}

ExpressionPtr ExpressionParser::unary(bool with_filters) {
  const TokenReader::Level level(reader_);
  ExpressionPtr e;
  if (reader_.take_operator("-")) {
    e = make(ExpressionKind::kNegative, {}, unary(false));
  } else if (reader_.take_operator("+")) {
    e = make(ExpressionKind::kPositive, {}, unary(false));
  } else {
    e = primary();
  }
  e = postfix(std::move(e));
  return with_filters ? filters_and_tests(std::move(e)) : std::move(e);
}

ExpressionPtr ExpressionParser::primary() {
  if (reader_.at(TokenKind::kName)) {
    auto e = make(ExpressionKind::kName, reader_.now().text);
    const std::string& name = e->name;
    if (one_of(name, {"true", "True", "false", "False"})) {
      e->kind = ExpressionKind::kLiteral;
      e->value = one_of(name, {"true", "True"});
    } else if (one_of(name, {"none", "None"})) {
      e->kind = ExpressionKind::kLiteral;
      e->value = None{};
    } else if (one_of(name, {"if", "else", "and", "or", "not", "in", "is"})) {
      reader_.fail(fmt::format("expected an expression, found {}", reader_.shown()));
    }
    reader_.take();
    return e;
  }
  if (reader_.at(TokenKind::kString)) {
    auto e = make(ExpressionKind::kLiteral);
    std::string text;
    while (reader_.at(TokenKind::kString)) text += reader_.take().text;
    e->value = Text(text, true);
    return e;
  }
  if (reader_.at(TokenKind::kInteger) || reader_.at(TokenKind::kFloat)) {
    auto e = make(ExpressionKind::kLiteral);
    const bool integer = reader_.at(TokenKind::kInteger);
    const std::string digits = without_underscores(reader_.now().text);
    const bool hex = integer && digits.starts_with("0x");
    std::int64_t whole = 0;
    double real = 0;
    const char* begin = digits.data() + (hex ? 2 : 0);
    const char* end = digits.data() + digits.size();
    const auto read = integer ? std::from_chars(begin, end, whole, hex ? 16 : 10) : std::from_chars(begin, end, real);
    if (read.ec != std::errc() || read.ptr != end)
      reader_.fail(fmt::format("{} is no number within 64 bits", reader_.shown()));
    e->value = integer ? Value(whole) : Value(real);
    reader_.take();
    return e;
  }
  if (reader_.at_operator("(")) return parenthesised();
  if (reader_.at_operator("[")) return list();
  if (reader_.at_operator("{")) return dict();
  reader_.fail(fmt::format("expected an expression, found {}", reader_.shown()));
  return make(ExpressionKind::kLiteral);
}

ExpressionPtr ExpressionParser::parenthesised() {
  reader_.expect_operator("(");
  auto tuple = make(ExpressionKind::kTuple);
  if (reader_.take_operator(")")) return tuple;
  ExpressionPtr first = expression();
  if (reader_.take_operator(")")) return first;
  add(*tuple, std::move(first));
  while (!reader_.failed() && reader_.take_operator(",")) {
    if (reader_.at_operator(")")) break;
    add(*tuple, expression());
  }
  reader_.expect_operator(")");
  return tuple;
}

ExpressionPtr ExpressionParser::list() {
  reader_.expect_operator("[");
  auto e = make(ExpressionKind::kList);
  while (!reader_.failed() && !reader_.at_operator("]")) {
    add(*e, expression());
    if (!reader_.take_operator(",")) break;
  }
  reader_.expect_operator("]");
  return e;
}

ExpressionPtr ExpressionParser::dict() {
  reader_.expect_operator("{");
  auto e = make(ExpressionKind::kDict);
  while (!reader_.failed() && !reader_.at_operator("}")) {
    add(*e, expression());
    reader_.expect_operator(":");
    add(*e, expression());
    if (!reader_.take_operator(",")) break;
  }
  reader_.expect_operator("}");
  return e;
}

ExpressionPtr ExpressionParser::postfix(ExpressionPtr of) {
  while (!reader_.failed()) {
    if (reader_.take_operator(".")) {
      if (reader_.at(TokenKind::kInteger)) {
        of = make(ExpressionKind::kItem, {}, std::move(of), primary());
      } else {
        of = make(ExpressionKind::kAttribute, reader_.expect_name("a name after '.'"), std::move(of));
      }
    } else if (reader_.at_operator("[")) {
      of = subscript(std::move(of));
    } else if (reader_.at_operator("(")) {
      of = call(std::move(of));
    } else {
      break;
    }
  }
  return of;
}

ExpressionPtr ExpressionParser::subscript(ExpressionPtr of) {
  reader_.expect_operator("[");
  ExpressionPtr first = reader_.at_operator(":") ? nullptr : expression();
  if (!reader_.at_operator(":")) {
    reader_.expect_operator("]");
    return make(ExpressionKind::kItem, {}, std::move(of), std::move(first));
  }
  auto slice = make(ExpressionKind::kSlice, {}, std::move(of));
  add(*slice, std::move(first));
  for (int part = 0; part < 2; ++part) {
    ExpressionPtr bound;
    if (reader_.take_operator(":") && !reader_.at_operator(":") && !reader_.at_operator("]")) bound = expression();
    add(*slice, std::move(bound));
  }
  reader_.expect_operator("]");
  return slice;
}

ExpressionPtr ExpressionParser::call(ExpressionPtr of) {
  auto e = make(ExpressionKind::kCall, {}, std::move(of));
  arguments(*e);
  return e;
}

void ExpressionParser::arguments(Expression& into) {
  reader_.expect_operator("(");
  while (!reader_.failed() && !reader_.at_operator(")")) {
    if (reader_.at_operator("*") || reader_.at_operator("**")) {
      return reader_.fail(fmt::format("unpacking arguments with {} is not supported", reader_.shown()));
    }
    if (reader_.at(TokenKind::kName) && reader_.after().kind == TokenKind::kOperator && reader_.after().text == "=") {
      std::string name = reader_.take().text;
      reader_.take();
      ExpressionPtr value = expression();
      into.depth = std::max(into.depth, value->depth + 1);
      into.named.emplace_back(std::move(name), std::move(value));
    } else {
      if (!into.named.empty()) return reader_.fail("an argument without a name after one with a name");
      add(into, expression());
    }
    if (!reader_.take_operator(",")) break;
  }
  reader_.expect_operator(")");
}

ExpressionPtr ExpressionParser::filters_and_tests(ExpressionPtr of) {
  while (!reader_.failed()) {
    if (reader_.at_operator("|")) {
      of = filter(std::move(of));
    } else if (reader_.at_name("is")) {
      of = test(std::move(of));
    } else if (reader_.at_operator("(")) {
      of = call(std::move(of));
    } else {
      break;
    }
  }
  return of;
}

ExpressionPtr ExpressionParser::filters(ExpressionPtr of) {
  while (!reader_.failed() && reader_.at_operator("|")) of = filter(std::move(of));
  return of;
}

ExpressionPtr ExpressionParser::filter(ExpressionPtr of) {
  reader_.take();
  auto e = make(ExpressionKind::kFilter, {}, std::move(of));
  e->line = reader_.line();
  e->name = reader_.at(TokenKind::kName) ? reader_.now().text : std::string();
  if (!e->name.empty() && !is_filter(e->name)) reader_.fail(fmt::format("the filter '{}' is not supported", e->name));
  reader_.expect_name("a filter's name");
  if (reader_.at_operator("(")) arguments(*e);
  return e;
}

ExpressionPtr ExpressionParser::test(ExpressionPtr of) {
  reader_.take();
  const bool negated = reader_.take_name("not");
  auto e = make(ExpressionKind::kTest, {}, std::move(of));
  e->line = reader_.line();
  e->name = reader_.at(TokenKind::kName) ? reader_.now().text : std::string();
  if (!e->name.empty() && !is_test(e->name)) reader_.fail(fmt::format("the test 'is {}' is not supported", e->name));
  reader_.expect_name("a test's name");
  const LexerToken& now = reader_.now();
  const bool word = now.kind == TokenKind::kName && !one_of(now.text, {"else", "or", "and", "if", "in", "is", "not"});
  if (reader_.at_operator("(")) {
    arguments(*e);
  } else if (word || now.kind == TokenKind::kString || now.kind == TokenKind::kInteger ||
             now.kind == TokenKind::kFloat || reader_.at_operator("[") || reader_.at_operator("{")) {
    add(*e, postfix(primary()));
  }
  return negated ? make(ExpressionKind::kNot, {}, std::move(e)) : std::move(e);
}

}  // namespace fathom::tokens::jinja
