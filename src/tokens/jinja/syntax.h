// The tree of a parsed template.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tokens/jinja/value.h"

namespace fathom::tokens::jinja {

struct Expression;
using ExpressionPtr = std::unique_ptr<Expression>;

enum class ExpressionKind {
  kLiteral,     // value
  kName,        // name
  kList,        // items
  kTuple,       // items
  kDict,        // items: key, value, key, value ...
  kAttribute,   // items[0] . name
  kItem,        // items[0] [ items[1] ]
  kSlice,       // items[0] [ items[1] : items[2] : items[3] ], each but the first may be absent
  kCall,        // items[0] ( items[1..], named )
  kFilter,      // items[0] | name ( items[1..], named ); items[0] is absent for the text of a filter block
  kTest,        // items[0] is name ( items[1..], named )
  kNot,         // items[0]
  kNegative,    // items[0]
  kPositive,    // items[0]
  kBinary,      // items[0] name items[1]: + - * / // % ** ~
  kComparison,  // items[0] names[0] items[1] names[1] items[2] ...
  kAnd,
  kOr,
  kConditional,  // items[0] if items[1] else items[2] (may be absent)
};

struct Expression {
  ExpressionKind kind = ExpressionKind::kLiteral;
  int line = 0;
  int depth = 1;  // of the tree below
  std::string name;
  Value value;
  std::vector<ExpressionPtr> items;
  std::vector<std::pair<std::string, ExpressionPtr>> named;
  std::vector<std::string> names;
};

struct Statement;
using Body = std::vector<std::unique_ptr<Statement>>;

// A name, or the attribute of a namespace, that a `set` or a `for` gives a value to.
struct Target {
  std::string name;
  std::string attribute;  // empty: the name itself
};

struct Branch {
  ExpressionPtr condition;  // absent: else
  Body body;
};

struct Parameter {
  std::string name;
  ExpressionPtr absent;  // its value where the caller gives none; may be absent
};

struct Macro {
  std::string name;
  std::vector<Parameter> parameters;
  Body body;
};

enum class StatementKind {
  kText,       // text
  kOutput,     // expression
  kIf,         // branches
  kFor,        // targets, expression, condition (may be absent), body, otherwise
  kSet,        // targets, expression
  kSetBlock,   // targets, expression (filters on the text, may be absent), body
  kMacro,      // macro
  kCallBlock,  // expression (a call), macro (the caller)
  kWith,       // targets and values, body
  kBlock,      // body: generation, which marks and does nothing else
  kBreak,
  kContinue,
};

struct Statement {
  StatementKind kind = StatementKind::kText;
  int line = 0;
  Value text;
  ExpressionPtr expression;
  ExpressionPtr condition;
  std::vector<Target> targets;
  std::vector<ExpressionPtr> values;
  std::vector<Branch> branches;
  Body body;
  Body otherwise;
  std::unique_ptr<Macro> macro;
};

}  // namespace fathom::tokens::jinja
