#include "functions/expression.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <numbers>
#include <string_view>
#include <utility>

#include "base/text.h"

namespace lossatlas {
namespace {

using Kind = Expression::Operation::Kind;

/// A function of one or two numbers, with its derivatives; `why` says in words why it is not finite, "" where it
/// overflows.
struct Function {
  const char* name;
  std::size_t arguments;
  Dual (*apply)(const Dual& a, const Dual& b);
  std::string (*why)(double a, double b);
};

std::string never(double, double) { return ""; }

std::string of(const char* name, double argument) { return fmt::format("{} of {:.6g}", name, argument); }

Dual power(const Dual& a, const Dual& b) {
  const double value = std::pow(a.value, b.value);
  const double by_base = b.value == 0 ? 0 : b.value * std::pow(a.value, b.value - 1);
  return chain(value, by_base, a, value * std::log(a.value), b);
}

std::string why_power(double a, double b) {
  if (a > 0 || (a < 0 && b == std::floor(b))) return "";
  return fmt::format("{:.6g} to the power of {:.6g}", a, b);
}

/// The lesser or the greater; where both are equal, the mean of their derivatives.
Dual choose(const Dual& a, const Dual& b, bool first) {
  if (a.value != b.value) return first ? a : b;
  return chain(a.value, 0.5, a, 0.5, b);
}

double sign(double value) { return value > 0 ? 1 : value < 0 ? -1 : 0; }

constexpr std::array kFunctions{
    Function{"sin", 1, [](const Dual& a, const Dual&) { return chain(std::sin(a.value), std::cos(a.value), a); },
             never},
    Function{"cos", 1, [](const Dual& a, const Dual&) { return chain(std::cos(a.value), -std::sin(a.value), a); },
             never},
    Function{"tan", 1,
             [](const Dual& a, const Dual&) {
               const double value = std::tan(a.value);
               return chain(value, 1 + value * value, a);
             },
             never},
    Function{
        "asin", 1,
        [](const Dual& a, const Dual&) { return chain(std::asin(a.value), 1 / std::sqrt(1 - a.value * a.value), a); },
        [](double a, double) { return of("asin", a); }},
    Function{
        "acos", 1,
        [](const Dual& a, const Dual&) { return chain(std::acos(a.value), -1 / std::sqrt(1 - a.value * a.value), a); },
        [](double a, double) { return of("acos", a); }},
    Function{"atan", 1,
             [](const Dual& a, const Dual&) { return chain(std::atan(a.value), 1 / (1 + a.value * a.value), a); },
             never},
    Function{"sinh", 1, [](const Dual& a, const Dual&) { return chain(std::sinh(a.value), std::cosh(a.value), a); },
             never},
    Function{"cosh", 1, [](const Dual& a, const Dual&) { return chain(std::cosh(a.value), std::sinh(a.value), a); },
             never},
    Function{"tanh", 1,
             [](const Dual& a, const Dual&) {
               const double value = std::tanh(a.value);
               return chain(value, 1 - value * value, a);
             },
             never},
    Function{"exp", 1,
             [](const Dual& a, const Dual&) {
               const double value = std::exp(a.value);
               return chain(value, value, a);
             },
             never},
    Function{"log", 1, [](const Dual& a, const Dual&) { return chain(std::log(a.value), 1 / a.value, a); },
             [](double a, double) { return of("log", a); }},
    Function{"sqrt", 1,
             [](const Dual& a, const Dual&) {
               const double value = std::sqrt(a.value);
               return chain(value, 0.5 / value, a);
             },
             [](double a, double) { return a == 0 ? "the derivative of sqrt at 0" : of("sqrt", a); }},
    Function{"abs", 1, [](const Dual& a, const Dual&) { return chain(std::abs(a.value), sign(a.value), a); }, never},
    Function{"pow", 2, power, why_power},
    Function{"min", 2, [](const Dual& a, const Dual& b) { return choose(a, b, a.value < b.value); }, never},
    Function{"max", 2, [](const Dual& a, const Dual& b) { return choose(a, b, a.value > b.value); }, never},
};

Dual divide(const Dual& a, const Dual& b) {
  const double value = a.value / b.value;
  return chain(value, 1 / b.value, a, -value / b.value, b);
}

std::string name_of(const Expression::Operation& operation) {
  switch (operation.kind) {
    case Kind::function:
      return kFunctions[operation.function].name;
    case Kind::power:
      return "^";
    case Kind::divide:
      return "/";
    case Kind::multiply:
      return "*";
    default:
      return operation.kind == Kind::subtract ? "-" : "+";
  }
}

/// Why an operation on finite numbers is not finite.
Undefined why(const Expression::Operation& operation, double a, double b) {
  std::string what;
  if (operation.kind == Kind::divide && b == 0) what = "division by 0";
  if (operation.kind == Kind::power) what = why_power(a, b);
  if (operation.kind == Kind::function) what = kFunctions[operation.function].why(a, b);
  if (!what.empty()) return {what, false};
  return {"overflow in " + name_of(operation), true};
}

}  // namespace

/// Recursive descent; writes operations in postfix order as it goes.
///   sum: product {(+|-) product}    product: signed {(*|/) signed}    signed: (+|-) signed | power
///   power: atom [^ signed | ² | ³]        atom: number | name | name(sum, …) | (sum)
class Parser {
 public:
  Parser(const std::string& text, Expression& out) : text_(text), out_(out) {}

  void parse() {
    sum();
    skip_spaces();
    if (at_ == text_.size()) return;
    if (text_[at_] == ')') fail("this ) closes nothing");
    if (starts_value(text_[at_])) fail("an operator is missing here (2*x, not 2x)");
    fail(fmt::format("did not expect '{}' here", character()));
  }

 private:
  static constexpr int kDeepest = 200;  // parentheses, signs and powers within each other

  [[noreturn]] void fail(const std::string& what) const { fail(what, at_); }
  [[noreturn]] void fail(const std::string& what, std::size_t at) const {
    const auto is_first_byte = [](char byte) { return (static_cast<unsigned char>(byte) & 0xC0) != 0x80; };
    const auto before = text_.substr(0, at);
    const auto column = 1 + static_cast<std::size_t>(std::count_if(before.begin(), before.end(), is_first_byte));
    throw SyntaxError(fmt::format("column {}: {}", column, what), column);
  }

  static bool is_digit(char c) { return c >= '0' && c <= '9'; }
  static bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
  static bool starts_value(char c) { return is_digit(c) || is_letter(c) || c == '(' || c == '.'; }

  /// The character at the place, all bytes of it.
  std::string character() const {
    std::size_t end = at_ + 1;
    while (end < text_.size() && (static_cast<unsigned char>(text_[end]) & 0xC0) == 0x80) ++end;
    return text_.substr(at_, end - at_);
  }

  void skip_spaces() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t')) ++at_;
  }

  /// Takes the words, if they stand here. "−" (U+2212), "·", "²" and "³", as printed in books, are -, *, ^2 and ^3.
  bool takes(std::string_view words) {
    skip_spaces();
    if (!std::string_view(text_).substr(at_).starts_with(words)) return false;
    at_ += words.size();
    return true;
  }
  bool takes_minus() { return takes("-") || takes("−"); }
  bool takes_power() { return takes("**") || takes("^"); }
  bool takes_times() {
    skip_spaces();
    return !std::string_view(text_).substr(at_).starts_with("**") && (takes("*") || takes("·"));
  }

  void put(Expression::Operation operation) { out_.operations_.push_back(operation); }

  void sum() {
    product();
    for (;;) {
      const bool minus = takes_minus();
      if (!minus && !takes("+")) return;
      product();
      put({minus ? Kind::subtract : Kind::add});
    }
  }

  void product() {
    signed_power();
    for (;;) {
      const bool times = takes_times();
      if (!times && !takes("/")) return;
      signed_power();
      put({times ? Kind::multiply : Kind::divide});
    }
  }

  void signed_power() {
    if (++depth_ > kDeepest) fail(fmt::format("more than {} levels deep", kDeepest));
    if (takes_minus()) {
      signed_power();
      put({Kind::negate});
    } else if (takes("+")) {
      signed_power();
    } else {
      atom();
      if (takes_power()) {
        signed_power();
        put({Kind::power});
      } else if (const bool square = takes("²"); square || takes("³")) {
        put({Kind::number, square ? 2.0 : 3.0});
        put({Kind::power});
      }
    }
    --depth_;
  }

  void atom() {
    skip_spaces();
    const std::size_t start = at_;
    if (at_ == text_.size()) fail(start == 0 ? "there is nothing here" : "a number, x, y or ( is missing at the end");
    if (takes("(")) {
      sum();
      if (!takes(")")) fail("a ) is missing here");
    } else if (is_digit(text_[at_]) || text_[at_] == '.') {
      number();
    } else if (is_letter(text_[at_])) {
      while (at_ < text_.size() && (is_letter(text_[at_]) || is_digit(text_[at_]))) ++at_;
      named(text_.substr(start, at_ - start), start);
    } else {
      fail(fmt::format("a number, x, y or ( is missing before '{}'", character()));
    }
  }

  void number() {
    double value = 0;
    const auto [end, failure] = std::from_chars(text_.data() + at_, text_.data() + text_.size(), value);
    if (failure == std::errc::result_out_of_range) fail("this number is too large or too small");
    if (failure != std::errc{}) fail("this is not a number");
    at_ = static_cast<std::size_t>(end - text_.data());
    put({Kind::number, value});
  }

  void named(const std::string& name, std::size_t start) {
    if (name == "x") return put({Kind::x});
    if (name == "y") {
      out_.uses_y_ = true;
      return put({Kind::y});
    }
    if (name == "pi") return put({Kind::number, std::numbers::pi});
    if (name == "e") return put({Kind::number, std::numbers::e});
    const auto& names = Expression::function_names();
    const auto found = std::find(names.begin(), names.end(), name);
    if (found == names.end()) {
      const std::string near = nearest(name, names);
      fail(fmt::format("unknown name '{}'{} (there are x, y, pi, e, {})", name,
                       near.empty() ? "" : fmt::format(", did you mean '{}'?", near), fmt::join(names, ", ")),
           start);
    }
    arguments(static_cast<std::size_t>(found - names.begin()));
  }

  void arguments(std::size_t function) {
    const auto& [name, count, apply, why] = kFunctions[function];
    if (!takes("(")) fail(fmt::format("{} wants its argument in parentheses: {}(x)", name, name));
    for (std::size_t argument = 1;; ++argument) {
      sum();
      if (argument == count) break;
      if (!takes(",")) fail(fmt::format("{} wants {} numbers with a comma between them", name, count));
    }
    skip_spaces();
    if (at_ < text_.size() && text_[at_] == ',') fail(fmt::format("{} wants no more than {} here", name, count));
    if (!takes(")")) fail("a ) is missing here");
    put({Kind::function, 0, function});
  }

  const std::string& text_;
  Expression& out_;
  std::size_t at_ = 0;
  int depth_ = 0;
};

Expression::Expression(const std::string& text) { Parser(text, *this).parse(); }

const std::vector<std::string>& Expression::function_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> list;
    for (const Function& function : kFunctions) list.emplace_back(function.name);
    return list;
  }();
  return names;
}

template <class Watch>
Dual Expression::run(std::span<const double> point, const Watch& watch) const {
  std::vector<Dual> stack;
  const auto pop = [&stack] {
    const Dual top = stack.back();
    stack.pop_back();
    return top;
  };
  for (const Operation& operation : operations_) {
    switch (operation.kind) {
      case Kind::number:
        stack.push_back({operation.number, {}});
        continue;
      case Kind::x:
        stack.push_back({point[0], {1, 0}});
        continue;
      case Kind::y:
        stack.push_back({point.size() > 1 ? point[1] : 0, {0, 1}});
        continue;
      default:
        break;
    }
    const bool unary = operation.kind == Kind::negate ||
                       (operation.kind == Kind::function && kFunctions[operation.function].arguments == 1);
    const Dual b = unary ? Dual{} : pop();
    const Dual a = pop();
    Dual result;
    switch (operation.kind) {
      case Kind::negate:
        result = chain(-a.value, -1, a);
        break;
      case Kind::add:
        result = chain(a.value + b.value, 1, a, 1, b);
        break;
      case Kind::subtract:
        result = chain(a.value - b.value, 1, a, -1, b);
        break;
      case Kind::multiply:
        result = chain(a.value * b.value, b.value, a, a.value, b);
        break;
      case Kind::divide:
        result = divide(a, b);
        break;
      case Kind::power:
        result = power(a, b);
        break;
      default:
        result = kFunctions[operation.function].apply(a, b);
    }
    watch(operation, a, b, result);
    stack.push_back(result);
  }
  return stack.back();
}

Dual Expression::at(std::span<const double> point) const {
  return run(point, [](const Operation&, const Dual&, const Dual&, const Dual&) {});
}

std::optional<Undefined> Expression::undefined_at(std::span<const double> point) const {
  std::optional<Undefined> first;
  run(point, [&](const Operation& operation, const Dual& a, const Dual& b, const Dual& result) {
    if (!first && a.is_finite() && b.is_finite() && !result.is_finite()) first = why(operation, a.value, b.value);
  });
  return first;
}

}  // namespace lossatlas
