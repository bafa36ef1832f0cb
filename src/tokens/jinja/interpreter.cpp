// Statements and expressions, evaluated over the tree. Names are looked up from the innermost scope outwards: `for`,
// `with`, macros and set blocks open one, `if` does not.
#include "tokens/jinja/interpreter.h"

#include <fmt/format.h>

#include <algorithm>

#include "tokens/jinja/builtins.h"
#include "tokens/jinja/parser.h"

namespace fathom::tokens::jinja {
namespace {

enum class Flow { kOn, kBreak, kContinue };

class Interpreter {
 public:
  explicit Interpreter(Machine& machine) : m_(machine), functions_(m_.heap.scope(nullptr)) {
    for (const std::string_view name : {"dict", "namespace", "raise_exception", "range", "strftime_now"}) {
      functions_->set(name, &m_.heap.callables.emplace_back(Callable{.name = std::string(name)}));
    }
  }

  Scope* functions() { return functions_; }

  Flow run(const Body& body, Scope* scope, Text& out) {
    if (!m_.enter()) return Flow::kOn;
    Flow flow = Flow::kOn;
    for (const auto& statement : body) {
      flow = run(*statement, scope, out);
      if (m_.failed() || flow != Flow::kOn) break;
    }
    m_.leave();
    return flow;
  }

 private:
  Flow run(const Statement& s, Scope* scope, Text& out) {
    if (!m_.step(s.line)) return Flow::kOn;
    switch (s.kind) {
      case StatementKind::kText:
        if (m_.spend(s.text.text()->size())) out.append(*s.text.text());
        return Flow::kOn;
      case StatementKind::kOutput:
        write(evaluate(*s.expression, scope), out);
        return Flow::kOn;
      case StatementKind::kIf:
        return run_if(s, scope, out);
      case StatementKind::kFor:
        return run_for(s, scope, out);
      case StatementKind::kSet:
        assign(s.targets, evaluate(*s.expression, scope), scope);
        return Flow::kOn;
      case StatementKind::kSetBlock:
        run_set_block(s, scope);
        return Flow::kOn;
      case StatementKind::kMacro:
        scope->set(s.macro->name, macro_value(*s.macro, scope));
        return Flow::kOn;
      case StatementKind::kCallBlock: {
        const Value caller = macro_value(*s.macro, scope);
        write(call(*s.expression, scope, &caller), out);
        return Flow::kOn;
      }
      case StatementKind::kWith: {
        Scope* inner = m_.heap.scope(scope);
        for (std::size_t i = 0; i < s.targets.size(); ++i) inner->set(s.targets[i].name, evaluate(*s.values[i], scope));
        return run(s.body, inner, out);
      }
      case StatementKind::kBlock:
        return run(s.body, scope, out);
      case StatementKind::kBreak:
        return Flow::kBreak;
      case StatementKind::kContinue:
        return Flow::kContinue;
    }
    return Flow::kOn;
  }

  void write(const Value& value, Text& out) {
    const std::size_t before = out.size();
    append_str(out, value);
    m_.spend(out.size() - before);
  }

  Flow run_if(const Statement& s, Scope* scope, Text& out) {
    for (const Branch& branch : s.branches) {
      if (branch.condition == nullptr || truthy(evaluate(*branch.condition, scope))) {
        return m_.failed() ? Flow::kOn : run(branch.body, scope, out);
      }
      if (m_.failed()) break;
    }
    return Flow::kOn;
  }

  Flow run_for(const Statement& s, Scope* scope, Text& out) {
    std::vector<Value> items = items_of(m_, evaluate(*s.expression, scope));
    if (s.condition != nullptr) {
      std::erase_if(items, [&](const Value& item) {
        if (m_.failed()) return true;
        Scope* inner = m_.heap.scope(scope);
        assign(s.targets, item, inner);
        return !truthy(evaluate(*s.condition, inner));
      });
    }
    if (m_.failed()) return Flow::kOn;
    if (items.empty()) return run(s.otherwise, scope, out);
    // The list lives with the rendering: `loop` may be kept by what the body defines.
    const List* list = m_.heap.list(std::move(items));
    Loop& loop = m_.heap.loops.emplace_back();
    loop.items = &list->items;
    for (; loop.index < list->items.size() && !m_.failed(); ++loop.index) {
      if (!m_.step(s.line) || !m_.spend(sizeof(Scope))) break;
      Scope* inner = m_.heap.scope(scope);
      inner->set("loop", &loop);
      assign(s.targets, list->items[loop.index], inner);
      if (run(s.body, inner, out) == Flow::kBreak) break;
    }
    return Flow::kOn;
  }

  void run_set_block(const Statement& s, Scope* scope) {
    Text text;
    run(s.body, m_.heap.scope(scope), text);
    Value value = m_.make(std::move(text));
    if (s.expression != nullptr) {
      block_text_ = value;
      value = evaluate(*s.expression, scope);
    }
    assign(s.targets, std::move(value), scope);
  }

  void assign(const std::vector<Target>& targets, Value value, Scope* scope) {
    if (m_.failed()) return;
    if (targets.size() == 1) return assign(targets[0], std::move(value), scope);
    const std::vector<Value> items = items_of(m_, value);
    if (items.size() != targets.size()) {
      m_.fail(fmt::format("{} values for {} names", items.size(), targets.size()));
      return;
    }
    for (std::size_t i = 0; i < targets.size(); ++i) assign(targets[i], items[i], scope);
  }

  void assign(const Target& target, Value value, Scope* scope) {
    if (target.attribute.empty()) return scope->set(target.name, std::move(value));
    const Value* of = scope->find(target.name);
    if (of == nullptr || of->dict() == nullptr || !of->dict()->is_namespace) {
      m_.fail(fmt::format("'{}' is no namespace, so {}.{} cannot be set", target.name, target.name, target.attribute));
      return;
    }
    of->dict()->set(Text(target.attribute, true), std::move(value));
  }

  Value macro_value(const Macro& macro, Scope* scope) {
    m_.spend(sizeof(Callable));
    return &m_.heap.callables.emplace_back(Callable{.macro = &macro, .scope = scope});
  }

  Value evaluate(const Expression& e, Scope* scope) {
    if (!m_.step(e.line) || !m_.enter()) return {};
    Value value = evaluate_kind(e, scope);
    m_.leave();
    return m_.failed() ? Value() : std::move(value);
  }

  Value evaluate_kind(const Expression& e, Scope* scope) {
    switch (e.kind) {
      case ExpressionKind::kLiteral:
        return e.value;
      case ExpressionKind::kName: {
        const Value* value = scope->find(e.name);
        return value != nullptr ? *value : Value(Undefined{fmt::format("'{}'", e.name)});
      }
      case ExpressionKind::kList:
        return m_.make(evaluate_items(e, scope));
      case ExpressionKind::kTuple:
        return m_.make_tuple(evaluate_items(e, scope));
      case ExpressionKind::kDict:
        return evaluate_dict(e, scope);
      case ExpressionKind::kAttribute:
        return attribute_of(m_, evaluate(*e.items[0], scope), e.name);
      case ExpressionKind::kItem: {
        const Value of = evaluate(*e.items[0], scope);
        return item_of(m_, of, evaluate(*e.items[1], scope));
      }
      case ExpressionKind::kSlice: {
        const Value of = evaluate(*e.items[0], scope);
        const Value start = evaluate_or_undefined(e.items[1], scope);
        const Value stop = evaluate_or_undefined(e.items[2], scope);
        return slice_of(m_, of, start, stop, evaluate_or_undefined(e.items[3], scope));
      }
      case ExpressionKind::kCall:
        return call(e, scope, nullptr);
      case ExpressionKind::kFilter:
        return evaluate_filter(e, scope);
      case ExpressionKind::kTest: {
        const Value input = evaluate(*e.items[0], scope);
        return apply_test(m_, e.name, input, arguments(e, scope));
      }
      case ExpressionKind::kNot:
        return !truthy(evaluate(*e.items[0], scope));
      case ExpressionKind::kNegative: {
        const Value value = evaluate(*e.items[0], scope);
        if (const auto* real = value.get<double>()) return -*real;  // 0 - x would lose the sign of zero
        return binary(m_, "-", std::int64_t{0}, value);
      }
      case ExpressionKind::kPositive:
        return binary(m_, "+", std::int64_t{0}, evaluate(*e.items[0], scope));
      case ExpressionKind::kBinary: {
        const Value left = evaluate(*e.items[0], scope);
        return binary(m_, e.name, left, evaluate(*e.items[1], scope));
      }
      case ExpressionKind::kComparison:
        return evaluate_comparison(e, scope);
      case ExpressionKind::kAnd: {
        Value left = evaluate(*e.items[0], scope);
        return truthy(left) ? evaluate(*e.items[1], scope) : std::move(left);
      }
      case ExpressionKind::kOr: {
        Value left = evaluate(*e.items[0], scope);
        return truthy(left) ? std::move(left) : evaluate(*e.items[1], scope);
      }
      case ExpressionKind::kConditional:
        if (truthy(evaluate(*e.items[1], scope))) return evaluate(*e.items[0], scope);
        return evaluate_or_undefined(e.items[2], scope);
    }
    return {};
  }

  Value evaluate_or_undefined(const ExpressionPtr& e, Scope* scope) {
    return e == nullptr ? Value(Undefined{"the other case"}) : evaluate(*e, scope);
  }

  std::vector<Value> evaluate_items(const Expression& e, Scope* scope) {
    std::vector<Value> items;
    for (const auto& item : e.items) items.push_back(evaluate(*item, scope));
    return items;
  }

  Value evaluate_dict(const Expression& e, Scope* scope) {
    m_.spend(e.items.size() * sizeof(Value));
    Dict* dict = m_.heap.dict();
    for (std::size_t i = 0; i + 1 < e.items.size(); i += 2) {
      const Value key = evaluate(*e.items[i], scope);
      dict->set(key, evaluate(*e.items[i + 1], scope));
    }
    return dict;
  }

  Value evaluate_filter(const Expression& e, Scope* scope) {
    const Value input = e.items[0] == nullptr ? block_text_ : evaluate(*e.items[0], scope);
    return apply_filter(m_, e.name, input, arguments(e, scope));
  }

  Value evaluate_comparison(const Expression& e, Scope* scope) {
    Value left = evaluate(*e.items[0], scope);
    for (std::size_t i = 0; i < e.names.size(); ++i) {
      Value right = evaluate(*e.items[i + 1], scope);
      if (m_.failed() || !compare_by(m_, e.names[i], left, right)) return false;
      left = std::move(right);
    }
    return true;
  }

  Arguments arguments(const Expression& e, Scope* scope) {
    Arguments out;
    for (std::size_t i = 1; i < e.items.size(); ++i) out.positional.push_back(evaluate(*e.items[i], scope));
    for (const auto& [name, value] : e.named) out.named.emplace_back(name, evaluate(*value, scope));
    return out;
  }

  // `caller` is what a call block passes on.
  Value call(const Expression& e, Scope* scope, const Value* caller) {
    const Value function = evaluate(*e.items[0], scope);
    if (m_.failed()) return {};
    const auto* callable = function.get<Callable*>();
    if (callable == nullptr) return refuse_call(*e.items[0], function);
    const Arguments given = arguments(e, scope);
    if (m_.failed()) return {};
    const Callable& c = **callable;
    if (c.macro != nullptr) return call_macro(*c.macro, c.scope, given, caller);
    if (c.self) return call_method(m_, c.name, *c.self, given);
    return call_function(m_, c.name, given);
  }

  Value refuse_call(const Expression& e, const Value& function) {
    if (e.kind == ExpressionKind::kName) {
      return m_.fail(fmt::format("{}() is not supported, or '{}' is no function", e.name, e.name));
    }
    if (e.kind == ExpressionKind::kAttribute)
      return m_.fail(fmt::format("the method .{}() is not supported here", e.name));
    return m_.fail(fmt::format("{} cannot be called", type_name(function)));
  }

  Value call_macro(const Macro& macro, Scope* defined_in, const Arguments& given, const Value* caller) {
    if (given.positional.size() > macro.parameters.size()) {
      return m_.fail(fmt::format("macro '{}' takes at most {} arguments", macro.name, macro.parameters.size()));
    }
    for (const auto& named : given.named) {
      if (std::ranges::find(macro.parameters, named.first, &Parameter::name) == macro.parameters.end()) {
        return m_.fail(fmt::format("macro '{}' has no parameter '{}'", macro.name, named.first));
      }
    }
    m_.spend(sizeof(Scope));
    Scope* inner = m_.heap.scope(defined_in);
    for (std::size_t i = 0; i < macro.parameters.size(); ++i) {
      const Parameter& parameter = macro.parameters[i];
      const auto named = std::ranges::find(given.named, parameter.name, &std::pair<std::string, Value>::first);
      if (i < given.positional.size()) {
        inner->set(parameter.name, given.positional[i]);
      } else if (named != given.named.end()) {
        inner->set(parameter.name, named->second);
      } else if (parameter.absent != nullptr) {
        inner->set(parameter.name, evaluate(*parameter.absent, inner));
      } else {
        inner->set(parameter.name, Undefined{fmt::format("parameter '{}'", parameter.name)});
      }
    }
    if (caller != nullptr) inner->set("caller", *caller);
    Text out;
    run(macro.body, inner, out);
    return m_.make(std::move(out));
  }

  Machine& m_;
  Scope* functions_;
  Value block_text_;  // of the set block whose filters are being applied
};

}  // namespace

base::Result<Template> Template::parse(std::string_view source) {
  auto body = parse_template(source);
  if (!body) return std::unexpected(body.error());
  return Template(std::move(*body));
}

base::Result<Text> Template::render(Machine& machine, std::vector<std::pair<std::string, Value>> variables) const {
  Interpreter interpreter(machine);
  Scope* global = machine.heap.scope(interpreter.functions());
  for (auto& [name, value] : variables) global->set(name, std::move(value));
  Text out;
  interpreter.run(body_, global, out);
  if (machine.failed()) return base::fail("{}", machine.error());
  return out;
}

}  // namespace fathom::tokens::jinja
