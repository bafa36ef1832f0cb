// Statements. What they hold of expressions is in expression_parser.cpp.
#include "tokens/jinja/parser.h"

#include <algorithm>
#include <initializer_list>

#include "tokens/jinja/expression_parser.h"
#include "tokens/jinja/token_reader.h"

namespace fathom::tokens::jinja {
namespace {

// Far above any chat template (Llama 3.2's has 4 kB); what a template costs to hold is bounded by it.
constexpr std::size_t kLongestTemplate = std::size_t{1} << 20;

using StatementPtr = std::unique_ptr<Statement>;

class Parser {
 public:
  explicit Parser(std::vector<LexerToken> tokens) : reader_(std::move(tokens)), expressions_(reader_) {}

  base::Result<Body> run() {
    Body all = body({});
    if (!reader_.failed() && !reader_.at(TokenKind::kEnd)) reader_.fail(fmt::format("unexpected {}", reader_.shown()));
    if (reader_.failed()) return base::fail("{}", reader_.error());
    return all;
  }

 private:
  StatementPtr make(StatementKind kind) const {
    auto s = std::make_unique<Statement>();
    s->kind = kind;
    s->line = reader_.line();
    return s;
  }

  bool at_tag(std::initializer_list<std::string_view> names) const {
    return reader_.at(TokenKind::kBlockBegin) && reader_.after().kind == TokenKind::kName &&
           std::ranges::find(names, reader_.after().text) != names.end();
  }

  // Statements up to one of the tags in `ends`, or to the end of the template where none is given.
  Body body(std::initializer_list<std::string_view> ends) {
    const TokenReader::Level level(reader_);
    Body out;
    while (!reader_.failed() && !reader_.at(TokenKind::kEnd)) {
      if (at_tag(ends)) return out;
      if (StatementPtr s = statement()) out.push_back(std::move(s));
    }
    if (ends.size() > 0)
      reader_.fail(fmt::format("expected {{% {} %}}, found {}", *std::prev(ends.end()), reader_.shown()));
    return out;
  }

  void end_tag() {
    if (reader_.at(TokenKind::kBlockEnd)) {
      reader_.take();
    } else {
      reader_.fail(fmt::format("expected '%}}', found {}", reader_.shown()));
    }
  }

  // The tag that `body` stopped at: its name.
  std::string closing_tag() {
    reader_.take();
    return reader_.expect_name("a tag");
  }

  void close() {
    closing_tag();
    end_tag();
  }

  StatementPtr statement() {
    if (reader_.at(TokenKind::kData)) {
      auto s = make(StatementKind::kText);
      s->text = Text(reader_.take().text, true);
      return s;
    }
    if (reader_.at(TokenKind::kVariableBegin)) {
      auto s = make(StatementKind::kOutput);
      reader_.take();
      s->expression = expressions_.expression_list();
      if (reader_.at(TokenKind::kVariableEnd)) {
        reader_.take();
      } else {
        reader_.fail(fmt::format("expected '}}}}', found {}", reader_.shown()));
      }
      return s;
    }
    reader_.take();
    return tag(reader_.expect_name("a tag"));
  }

  StatementPtr tag(const std::string& name) {
    if (name == "if") return if_statement();
    if (name == "for") return for_statement();
    if (name == "set") return set_statement();
    if (name == "macro") return macro_statement();
    if (name == "call") return call_statement();
    if (name == "with") return with_statement();
    if (name == "generation") {
      auto s = make(StatementKind::kBlock);
      end_tag();
      s->body = body({"endgeneration"});
      close();
      return s;
    }
    if (name == "break" || name == "continue") {
      auto s = make(name == "break" ? StatementKind::kBreak : StatementKind::kContinue);
      if (loops_ == 0) reader_.fail(fmt::format("{{% {} %}} outside of a for loop", name));
      end_tag();
      return s;
    }
    reader_.fail(fmt::format("the tag {{% {} %}} is not supported", name));
    return nullptr;
  }

  StatementPtr if_statement() {
    auto s = make(StatementKind::kIf);
    while (true) {
      ExpressionPtr condition = expressions_.expression_list();
      end_tag();
      s->branches.push_back({std::move(condition), body({"elif", "else", "endif"})});
      if (reader_.failed()) return s;
      const std::string name = closing_tag();
      if (name == "elif") continue;
      if (name == "else") {
        end_tag();
        s->branches.push_back({nullptr, body({"endif"})});
        closing_tag();
      }
      end_tag();
      return s;
    }
  }

  std::vector<Target> targets() {
    std::vector<Target> out;
    const bool parentheses = reader_.take_operator("(");
    do {
      Target target{reader_.expect_name("a variable's name"), {}};
      if (reader_.take_operator(".")) target.attribute = reader_.expect_name("an attribute's name");
      out.push_back(std::move(target));
    } while (!reader_.failed() && reader_.take_operator(","));
    if (parentheses) reader_.expect_operator(")");
    return out;
  }

  StatementPtr for_statement() {
    auto s = make(StatementKind::kFor);
    s->targets = targets();
    if (!reader_.take_name("in")) reader_.fail(fmt::format("expected 'in', found {}", reader_.shown()));
    s->expression = expressions_.iterated();
    if (reader_.take_name("if")) s->condition = expressions_.expression();
    if (reader_.at_name("recursive")) reader_.fail("a recursive for loop is not supported");
    end_tag();
    ++loops_;
    s->body = body({"else", "endfor"});
    --loops_;
    if (reader_.failed()) return s;
    if (closing_tag() == "else") {
      end_tag();
      s->otherwise = body({"endfor"});
      closing_tag();
    }
    end_tag();
    return s;
  }

  StatementPtr set_statement() {
    auto s = make(StatementKind::kSet);
    s->targets = targets();
    if (reader_.take_operator("=")) {
      s->expression = expressions_.expression_list();
      end_tag();
      return s;
    }
    s->kind = StatementKind::kSetBlock;
    if (s->targets.size() > 1) reader_.fail("a set block has one variable");
    s->expression = expressions_.filters(nullptr);
    end_tag();
    s->body = body({"endset"});
    close();
    return s;
  }

  std::vector<Parameter> parameters() {
    std::vector<Parameter> out;
    reader_.expect_operator("(");
    while (!reader_.failed() && !reader_.at_operator(")")) {
      Parameter parameter{reader_.expect_name("a parameter's name"), nullptr};
      if (reader_.take_operator("=")) {
        parameter.absent = expressions_.expression();
      } else if (!out.empty() && out.back().absent != nullptr) {
        reader_.fail("a parameter without a default after one that has it");
      }
      out.push_back(std::move(parameter));
      if (!reader_.take_operator(",")) break;
    }
    reader_.expect_operator(")");
    return out;
  }

  // A macro's body is a loop of its own: break does not reach out of it.
  Body macro_body(std::initializer_list<std::string_view> ends) {
    const int loops = std::exchange(loops_, 0);
    Body out = body(ends);
    loops_ = loops;
    return out;
  }

  StatementPtr macro_statement() {
    auto s = make(StatementKind::kMacro);
    s->macro = std::make_unique<Macro>();
    s->macro->name = reader_.expect_name("a macro's name");
    s->macro->parameters = parameters();
    end_tag();
    s->macro->body = macro_body({"endmacro"});
    closing_tag();
    if (reader_.at(TokenKind::kName)) reader_.take();  // {% endmacro name %}
    end_tag();
    return s;
  }

  StatementPtr call_statement() {
    auto s = make(StatementKind::kCallBlock);
    s->macro = std::make_unique<Macro>();
    s->macro->name = "caller";
    if (reader_.at_operator("(")) s->macro->parameters = parameters();
    s->expression = expressions_.expression();
    if (!reader_.failed() && s->expression->kind != ExpressionKind::kCall) reader_.fail("{% call %} needs a call");
    end_tag();
    s->macro->body = macro_body({"endcall"});
    close();
    return s;
  }

  StatementPtr with_statement() {
    auto s = make(StatementKind::kWith);
    while (!reader_.failed() && !reader_.at(TokenKind::kBlockEnd)) {
      s->targets.push_back({reader_.expect_name("a variable's name"), {}});
      reader_.expect_operator("=");
      s->values.push_back(expressions_.expression());
      if (!reader_.take_operator(",")) break;
    }
    end_tag();
    s->body = body({"endwith"});
    close();
    return s;
  }

  TokenReader reader_;
  ExpressionParser expressions_;
  int loops_ = 0;
};

}  // namespace

base::Result<Body> parse_template(std::string_view source) {
  if (source.size() > kLongestTemplate) {
    return base::fail("the template has {} bytes, at most {} are read", source.size(), kLongestTemplate);
  }
  auto tokens = tokenize(source);
  if (!tokens) return std::unexpected(tokens.error());
  return Parser(std::move(*tokens)).run();
}

}  // namespace fathom::tokens::jinja
