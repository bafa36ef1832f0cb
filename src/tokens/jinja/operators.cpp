// Arithmetic, comparison, subscripts and slices with Python's meaning.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "tokens/jinja/binding.h"
#include "tokens/jinja/builtins.h"
#include "tokens/utf8.h"

namespace fathom::tokens::jinja {
namespace {

Value refuse_operands(Machine& machine, std::string_view op, const Value& left, const Value& right) {
  for (const Value* side : {&left, &right}) {
    if (const auto* undefined = side->get<Undefined>())
      return machine.fail(fmt::format("{} is undefined", undefined->name));
  }
  return machine.fail(fmt::format("{} {} {}: these types do not go together", type_name(left), op, type_name(right)));
}

Value repeated(Machine& machine, const Value& of, std::int64_t times) {
  const std::size_t size = of.text() != nullptr ? of.text()->size() : of.list()->items.size() * sizeof(Value);
  times = std::max<std::int64_t>(times, 0);
  if (size == 0) times = 0;
  if (size != 0 && static_cast<std::size_t>(times) > kLongestText / size)
    return machine.fail("a repetition is too long");
  if (!machine.spend(size * static_cast<std::size_t>(times))) return {};
  if (const Text* text = of.text()) {
    Text out;
    for (std::int64_t i = 0; i < times; ++i) out.append(*text);
    return out;
  }
  std::vector<Value> items;
  for (std::int64_t i = 0; i < times; ++i) items.insert(items.end(), of.list()->items.begin(), of.list()->items.end());
  return machine.heap.list(std::move(items));
}

Value integer_power(Machine& machine, std::int64_t base, std::int64_t exponent) {
  if (exponent < 0) return std::pow(static_cast<double>(base), static_cast<double>(exponent));
  std::int64_t result = 1;
  for (; exponent > 0; exponent >>= 1) {
    if ((exponent & 1) != 0 && __builtin_mul_overflow(result, base, &result))
      return machine.fail("an integer beyond 64 bits");
    if (exponent > 1 && __builtin_mul_overflow(base, base, &base)) return machine.fail("an integer beyond 64 bits");
  }
  return result;
}

Value integer_arithmetic(Machine& machine, std::string_view op, std::int64_t a, std::int64_t b) {
  std::int64_t result = 0;
  bool overflow = false;
  if (op == "+") {
    overflow = __builtin_add_overflow(a, b, &result);
  } else if (op == "-") {
    overflow = __builtin_sub_overflow(a, b, &result);
  } else if (op == "*") {
    overflow = __builtin_mul_overflow(a, b, &result);
  } else if (op == "**") {
    return integer_power(machine, a, b);
  } else if (b == 0) {
    return machine.fail("division by zero");
  } else if (op == "/") {
    return static_cast<double>(a) / static_cast<double>(b);
  } else if (b == -1) {
    if (op == "%") return std::int64_t{0};
    overflow = __builtin_sub_overflow(std::int64_t{0}, a, &result);
  } else {
    const std::int64_t remainder = a % b;
    const bool down = remainder != 0 && (remainder < 0) != (b < 0);  // Python rounds towards minus infinity
    result = op == "//" ? a / b - (down ? 1 : 0) : remainder + (down ? b : 0);
  }
  if (overflow) return machine.fail("an integer beyond 64 bits");
  return result;
}

Value float_arithmetic(Machine& machine, std::string_view op, double a, double b) {
  if (op == "+") return a + b;
  if (op == "-") return a - b;
  if (op == "*") return a * b;
  if (op == "**") return std::pow(a, b);
  if (b == 0) return machine.fail("division by zero");
  if (op == "/") return a / b;
  if (op == "//") return std::floor(a / b);
  const double remainder = std::fmod(a, b);
  return remainder != 0 && (remainder < 0) != (b < 0) ? remainder + b : remainder;
}

// Bounds of a slice over n items, as Python's slice.indices gives them.
struct Bounds {
  std::int64_t start, stop, step;
};

std::optional<Bounds> bounds_of(Machine& machine, const Value& start, const Value& stop, const Value& step,
                                std::int64_t n) {
  Bounds b{0, 0, integer_or(machine, step, 1)};
  if (b.step == 0) machine.fail("a slice's step is 0");
  if (machine.failed()) return std::nullopt;
  const std::int64_t low = b.step < 0 ? -1 : 0;
  const std::int64_t high = b.step < 0 ? n - 1 : n;
  const auto clamp = [&](const Value& value, std::int64_t absent) {
    std::int64_t i = integer_or(machine, value, std::numeric_limits<std::int64_t>::min());
    if (value.undefined() || value.none()) return absent;
    if (i < 0) i = i < -n ? low : i + n;
    return std::clamp(i, low, high);
  };
  b.start = clamp(start, b.step < 0 ? high : low);
  b.stop = clamp(stop, b.step < 0 ? low : high);
  return b;
}

template <class Take>
void walk(const Bounds& b, Take take) {
  // Distances, not positions, so that a huge step cannot overflow.
  if (b.step > 0) {
    for (std::int64_t i = b.start; i < b.stop; i += b.step) {
      take(static_cast<std::size_t>(i));
      if (b.step > b.stop - i) return;
    }
  } else {
    for (std::int64_t i = b.start; i > b.stop; i += b.step) {
      take(static_cast<std::size_t>(i));
      if (b.step < b.stop - i) return;
    }
  }
}

Value slice_text(Machine& machine, const Text& text, const Value& start, const Value& stop, const Value& step) {
  // The text that comes of it, and the place of every character while it is cut.
  if (!machine.spend(text.size() * (1 + sizeof(std::size_t)))) return {};
  const std::vector<std::size_t> starts = character_starts(text.bytes);
  const auto bounds = bounds_of(machine, start, stop, step, static_cast<std::int64_t>(starts.size()) - 1);
  if (!bounds) return {};
  if (bounds->step == 1) {
    const auto first = static_cast<std::size_t>(bounds->start);
    const auto last = static_cast<std::size_t>(std::max(bounds->start, bounds->stop));
    return machine.make(text.part(starts[first], starts[last] - starts[first]));
  }
  Text out;
  walk(*bounds, [&](std::size_t i) { out.append_part(text, starts[i], starts[i + 1] - starts[i]); });
  return machine.make(std::move(out));
}

Value loop_attribute(Machine& machine, const Loop& loop, std::string_view name) {
  const auto index = static_cast<std::int64_t>(loop.index);
  const auto count = static_cast<std::int64_t>(loop.items->size());
  if (name == "index") return index + 1;
  if (name == "index0") return index;
  if (name == "revindex") return count - index;
  if (name == "revindex0") return count - index - 1;
  if (name == "first") return index == 0;
  if (name == "last") return index + 1 == count;
  if (name == "length") return count;
  if (name == "depth") return std::int64_t{1};  // it grows in recursive loops only, which there are none of
  if (name == "depth0") return std::int64_t{0};
  if (name == "previtem") return index > 0 ? (*loop.items)[loop.index - 1] : Value(Undefined{"loop.previtem"});
  if (name == "nextitem") return index + 1 < count ? (*loop.items)[loop.index + 1] : Value(Undefined{"loop.nextitem"});
  return machine.fail(fmt::format("loop.{} is not supported", name));
}

}  // namespace

Value binary(Machine& machine, std::string_view op, const Value& left, const Value& right) {
  if (op == "~") {
    Text out = str_of(machine, left);
    out.append(str_of(machine, right));
    return out;
  }
  if (left.integer() && right.integer()) return integer_arithmetic(machine, op, *left.integer(), *right.integer());
  if (left.number() && right.number()) return float_arithmetic(machine, op, *left.number(), *right.number());
  if (op == "+" && left.text() != nullptr && right.text() != nullptr) {
    if (!machine.spend(left.text()->size() + right.text()->size())) return {};
    Text out = *left.text();
    out.append(*right.text());
    return out;
  }
  if (op == "+" && left.list() != nullptr && right.list() != nullptr) {
    std::vector<Value> items = left.list()->items;
    items.insert(items.end(), right.list()->items.begin(), right.list()->items.end());
    return left.list()->tuple ? machine.make_tuple(std::move(items)) : machine.make(std::move(items));
  }
  const auto repeatable = [](const Value& v) { return v.text() != nullptr || v.list() != nullptr; };
  if (op == "*" && repeatable(left) && right.integer()) return repeated(machine, left, *right.integer());
  if (op == "*" && repeatable(right) && left.integer()) return repeated(machine, right, *left.integer());
  if (op == "%" && left.text() != nullptr) {
    return format_by_percent(machine, *left.text(),
                             right.list() != nullptr ? right.list()->items : std::vector<Value>{right});
  }
  return refuse_operands(machine, op, left, right);
}

bool contains(Machine& machine, const Value& container, const Value& item) {
  if (const Text* text = container.text()) {
    if (item.text() == nullptr) {
      machine.fail(fmt::format("'in' looks for {} in a string", type_name(item)));
      return false;
    }
    return text->bytes.find(item.text()->bytes) != std::string::npos;
  }
  if (const Dict* dict = container.dict(); dict != nullptr && !dict->is_namespace)
    return dict->find_value(item) != nullptr;
  if (const List* list = container.list()) {
    return std::ranges::any_of(list->items, [&](const Value& v) { return equal(v, item); });
  }
  if (!container.undefined())
    machine.fail(fmt::format("'in' needs a list, a dictionary or a string, found {}", type_name(container)));
  return false;
}

bool compare_by(Machine& machine, std::string_view op, const Value& left, const Value& right) {
  if (op == "==") return equal(left, right);
  if (op == "!=") return !equal(left, right);
  if (op == "in") return contains(machine, right, left);
  if (op == "not in") return !contains(machine, right, left);
  const auto order = compare(left, right);
  if (!order) {
    refuse_operands(machine, op, left, right);
    return false;
  }
  if (op == "<") return *order < 0;
  if (op == "<=") return *order <= 0;
  if (op == ">") return *order > 0;
  return *order >= 0;
}

Value attribute_of(Machine& machine, const Value& of, std::string_view name) {
  if (const auto* undefined = of.get<Undefined>()) {
    return machine.fail(fmt::format("{} is undefined and has no attribute '{}'", undefined->name, name));
  }
  if (const auto* loop = of.get<Loop*>(); loop != nullptr && !is_method(of, name)) {
    return loop_attribute(machine, **loop, name);
  }
  if (is_method(of, name)) {
    machine.spend(sizeof(Callable));
    return &machine.heap.callables.emplace_back(Callable{.name = std::string(name), .self = of});
  }
  if (const Dict* dict = of.dict()) {
    if (const Value* value = dict->find(name)) return *value;
  }
  return Undefined{fmt::format("attribute '{}'", name)};
}

Value item_of(Machine& machine, const Value& of, const Value& key) {
  if (const auto* undefined = of.get<Undefined>())
    return machine.fail(fmt::format("{} is undefined and has no items", undefined->name));
  if (const Dict* dict = of.dict()) {
    if (const Value* value = dict->find_value(key)) return *value;
  } else if (key.integer() && (of.list() != nullptr || of.text() != nullptr)) {
    const std::int64_t wanted = *key.integer();
    if (const List* list = of.list()) {
      const auto count = static_cast<std::int64_t>(list->items.size());
      const std::int64_t i = wanted < 0 ? wanted + count : wanted;
      if (i >= 0 && i < count) return list->items[static_cast<std::size_t>(i)];
    } else {
      const std::vector<std::size_t> starts = character_starts(of.text()->bytes);
      machine.spend(of.text()->size());
      const auto count = static_cast<std::int64_t>(starts.size()) - 1;
      const std::int64_t i = wanted < 0 ? wanted + count : wanted;
      if (i >= 0 && i < count) {
        const auto k = static_cast<std::size_t>(i);
        return of.text()->part(starts[k], starts[k + 1] - starts[k]);
      }
    }
    return Undefined{fmt::format("item {}", wanted)};
  }
  if (const Text* name = key.text()) {
    if (of.dict() == nullptr || is_method(of, name->bytes)) return attribute_of(machine, of, name->bytes);
    return Undefined{fmt::format("item '{}'", name->bytes.substr(0, 60))};
  }
  return Undefined{"an item"};
}

Value slice_of(Machine& machine, const Value& of, const Value& start, const Value& stop, const Value& step) {
  if (const Text* text = of.text()) return slice_text(machine, *text, start, stop, step);
  const List* list = of.list();
  if (list == nullptr) return machine.fail(fmt::format("only lists and strings have slices, not {}", type_name(of)));
  const auto bounds = bounds_of(machine, start, stop, step, static_cast<std::int64_t>(list->items.size()));
  if (!bounds) return {};
  std::vector<Value> items;
  walk(*bounds, [&](std::size_t i) { items.push_back(list->items[i]); });
  return list->tuple ? machine.make_tuple(std::move(items)) : machine.make(std::move(items));
}

std::vector<Value> items_of(Machine& machine, const Value& of) {
  if (const List* list = of.list()) {
    machine.spend(list->items.size() * sizeof(Value));
    return list->items;
  }
  std::vector<Value> items;
  if (const Dict* dict = of.dict(); dict != nullptr && !dict->is_namespace) {
    for (const auto& entry : dict->entries) items.push_back(entry.first);
  } else if (const Text* text = of.text()) {
    if (!machine.spend(text->size() * 64)) return items;  // a string for each character
    const std::vector<std::size_t> starts = character_starts(text->bytes);
    for (std::size_t i = 0; i + 1 < starts.size(); ++i)
      items.emplace_back(text->part(starts[i], starts[i + 1] - starts[i]));
  } else if (!of.undefined()) {
    machine.fail(fmt::format("cannot walk over {}", type_name(of)));
  }
  return items;
}

namespace {

struct Specification {
  bool left = false, zero = false, plus = false;
  int width = 0, precision = -1;
  char kind = 's';
};

// Reads what follows a '%'; at is moved behind it. False where it is not understood.
bool read_specification(const std::string& format, std::size_t& at, Specification& out) {
  for (; at < format.size(); ++at) {
    if (format[at] == '-') {
      out.left = true;
    } else if (format[at] == '0') {
      out.zero = true;
    } else if (format[at] == '+') {
      out.plus = true;
    } else {
      break;
    }
  }
  const auto digits = [&](int& number) {
    for (number = 0; at < format.size() && format[at] >= '0' && format[at] <= '9' && number < 1000; ++at) {
      number = number * 10 + (format[at] - '0');
    }
  };
  digits(out.width);
  if (at < format.size() && format[at] == '.') {
    ++at;
    digits(out.precision);
  }
  if (at >= format.size() || out.width > 999 || out.precision > 300) return false;
  out.kind = format[at++];
  return std::string_view("srdifxXoeg%").find(out.kind) != std::string_view::npos;
}

std::optional<Text> formatted(Machine& machine, const Specification& spec, const Value& value) {
  if (spec.kind == 's' || spec.kind == 'r') {
    Text text;
    spec.kind == 's' ? append_str(text, value) : append_repr(text, value);
    machine.spend(text.size());
    return text;
  }
  const auto number = value.number();
  if (!number || !std::isfinite(*number)) return std::nullopt;
  std::string out;
  if (spec.kind == 'f') {
    out = fmt::format("{:.{}f}", *number, spec.precision < 0 ? 6 : spec.precision);
  } else if (spec.kind == 'e') {
    out = fmt::format("{:.{}e}", *number, spec.precision < 0 ? 6 : spec.precision);
  } else if (spec.kind == 'g') {
    out = fmt::format("{:.{}g}", *number, spec.precision < 0 ? 6 : spec.precision);
  } else {
    if (std::abs(*number) > 9e18) return std::nullopt;
    const auto whole = value.integer().value_or(static_cast<std::int64_t>(*number));
    out = spec.kind == 'x'   ? fmt::format("{:x}", whole)
          : spec.kind == 'X' ? fmt::format("{:X}", whole)
          : spec.kind == 'o' ? fmt::format("{:o}", whole)
                             : fmt::format("{}", whole);
  }
  if (spec.plus && !out.starts_with('-')) out.insert(0, "+");
  if (spec.zero && !spec.left) {
    const std::size_t sign = out.starts_with('-') || out.starts_with('+') ? 1 : 0;
    while (out.size() < static_cast<std::size_t>(spec.width)) out.insert(sign, "0");
  }
  return Text(out, true);
}

}  // namespace

Value format_by_percent(Machine& machine, const Text& format, const std::vector<Value>& values) {
  Text out;
  std::size_t next = 0;
  for (std::size_t at = 0; at < format.size() && !machine.failed();) {
    if (format.bytes[at] != '%') {
      out.append_part(format, at++, 1);
      continue;
    }
    Specification spec;
    if (!read_specification(format.bytes, ++at, spec)) return machine.fail("a % format that is not supported");
    if (spec.kind == '%') {
      out.append("%", true);
      continue;
    }
    if (next == values.size()) return machine.fail("a % format with too few values");
    const auto text = formatted(machine, spec, values[next++]);
    if (!text) return machine.fail(fmt::format("%{} needs a number, found {}", spec.kind, type_name(values[next - 1])));
    const std::size_t length = count_characters(text->bytes);
    const std::size_t pad =
        length < static_cast<std::size_t>(spec.width) ? static_cast<std::size_t>(spec.width) - length : 0;
    if (!spec.left) out.append(std::string(pad, ' '), true);
    out.append(*text);
    if (spec.left) out.append(std::string(pad, ' '), true);
  }
  if (next < values.size() && !machine.failed()) return machine.fail("a % format with too many values");
  return machine.make(std::move(out));
}

}  // namespace fathom::tokens::jinja
