#include "functions/operation.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

namespace lossatlas {
namespace {

using Kind = StackOperation::Kind;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kLargest = std::numeric_limits<double>::max();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

/// A function of one or two numbers, with its derivatives; `failure` is what ails it where it is not finite.
struct Function {
  const char* name;
  std::size_t arguments;
  Dual (*apply)(const Dual& a, const Dual& b);
  Failure (*failure)(double a, double b);
};

Failure overflow(double, double) { return Failure::overflow; }

/// Of asin and acos.
Failure outside_one(double a, double) {
  if (std::abs(a) > 1) return Failure::value;
  return std::abs(a) == 1 ? Failure::derivative : Failure::overflow;
}

Failure outside_positive(double a, double) { return a > 0 ? Failure::overflow : Failure::value; }

Failure of_sqrt(double a, double) {
  if (a < 0) return Failure::value;
  return a == 0 ? Failure::derivative : Failure::overflow;
}

double by_base(double a, double b) { return b == 0 ? 0 : b * std::pow(a, b - 1); }

/// Of a base of 0 or less powers have no derivative by the exponent, except for 0 to powers above 0: those are all 0.
double by_exponent(double a, double b) {
  if (a > 0) return std::pow(a, b) * std::log(a);
  return a == 0 && b > 0 ? 0 : kNaN;
}

Dual power(const Dual& a, const Dual& b) {
  return chain(std::pow(a.value, b.value), by_base(a.value, b.value), a, by_exponent(a.value, b.value), b);
}

Failure of_power(double a, double b) {
  if (a > 0) return Failure::overflow;
  if (a == 0) return b < 0 ? Failure::value : Failure::derivative;
  if (b != std::floor(b)) return Failure::value;
  const bool is_finite = std::isfinite(std::pow(a, b)) && std::isfinite(by_base(a, b));
  return is_finite ? Failure::derivative : Failure::overflow;
}

/// The lesser or the greater; where both are equal, the mean of their derivatives.
Dual choose(const Dual& a, const Dual& b, bool first) {
  if (a.value != b.value) return first ? a : b;
  return chain(a.value, 0.5, a, 0.5, b);
}

double sign(double value) { return value > 0 ? 1 : value < 0 ? -1 : 0; }

constexpr std::array kFunctions{
    Function{"sin", 1, [](const Dual& a, const Dual&) { return chain(std::sin(a.value), std::cos(a.value), a); },
             overflow},
    Function{"cos", 1, [](const Dual& a, const Dual&) { return chain(std::cos(a.value), -std::sin(a.value), a); },
             overflow},
    Function{"tan", 1,
             [](const Dual& a, const Dual&) {
               const double value = std::tan(a.value);
               return chain(value, 1 + value * value, a);
             },
             overflow},
    Function{
        "asin", 1,
        [](const Dual& a, const Dual&) { return chain(std::asin(a.value), 1 / std::sqrt(1 - a.value * a.value), a); },
        outside_one},
    Function{
        "acos", 1,
        [](const Dual& a, const Dual&) { return chain(std::acos(a.value), -1 / std::sqrt(1 - a.value * a.value), a); },
        outside_one},
    Function{"atan", 1,
             [](const Dual& a, const Dual&) { return chain(std::atan(a.value), 1 / (1 + a.value * a.value), a); },
             overflow},
    Function{"sinh", 1, [](const Dual& a, const Dual&) { return chain(std::sinh(a.value), std::cosh(a.value), a); },
             overflow},
    Function{"cosh", 1, [](const Dual& a, const Dual&) { return chain(std::cosh(a.value), std::sinh(a.value), a); },
             overflow},
    Function{"tanh", 1,
             [](const Dual& a, const Dual&) {
               const double value = std::tanh(a.value);
               return chain(value, 1 - value * value, a);
             },
             overflow},
    Function{"exp", 1,
             [](const Dual& a, const Dual&) {
               const double value = std::exp(a.value);
               return chain(value, value, a);
             },
             overflow},
    Function{"log", 1, [](const Dual& a, const Dual&) { return chain(std::log(a.value), 1 / a.value, a); },
             outside_positive},
    Function{"sqrt", 1,
             [](const Dual& a, const Dual&) {
               const double value = std::sqrt(a.value);
               return chain(value, 0.5 / value, a);
             },
             of_sqrt},
    Function{"abs", 1, [](const Dual& a, const Dual&) { return chain(std::abs(a.value), sign(a.value), a); }, overflow},
    Function{"pow", 2, power, of_power},
    Function{"min", 2, [](const Dual& a, const Dual& b) { return choose(a, b, a.value < b.value); }, overflow},
    Function{"max", 2, [](const Dual& a, const Dual& b) { return choose(a, b, a.value > b.value); }, overflow},
};

Dual divide(const Dual& a, const Dual& b) {
  const double value = a.value / b.value;
  return chain(value, 1 / b.value, a, -value / b.value, b);
}

std::string name_of(const StackOperation& operation) {
  switch (operation.kind) {
    case Kind::function: return kFunctions[operation.function].name;
    case Kind::power: return "^";
    case Kind::divide: return "/";
    case Kind::multiply: return "*";
    default: return operation.kind == Kind::subtract ? "-" : "+";
  }
}

bool is_power(const StackOperation& operation) {
  return operation.kind == Kind::power ||
         (operation.kind == Kind::function && kFunctions[operation.function].apply == power);
}

Failure failure_of(const StackOperation& operation, double a, double b) {
  if (operation.kind == Kind::divide) return b == 0 ? Failure::value : Failure::overflow;
  if (operation.kind == Kind::power) return of_power(a, b);
  if (operation.kind == Kind::function) return kFunctions[operation.function].failure(a, b);
  return Failure::overflow;
}

/// By the formulas alone.
Dual formula(const StackOperation& operation, const Dual& a, const Dual& b) {
  switch (operation.kind) {
    case Kind::negate: return chain(-a.value, -1, a);
    case Kind::add: return chain(a.value + b.value, 1, a, 1, b);
    case Kind::subtract: return chain(a.value - b.value, 1, a, -1, b);
    case Kind::multiply: return chain(a.value * b.value, b.value, a, a.value, b);
    case Kind::divide: return divide(a, b);
    case Kind::power: return power(a, b);
    default: return kFunctions[operation.function].apply(a, b);
  }
}

constexpr Dual kNoValue{kNaN, {kNaN, kNaN}};

/// On numbers that did not overflow.
Dual inside(const StackOperation& operation, const Dual& a, const Dual& b) {
  if (failure_of(operation, a.value, b.value) == Failure::value) return kNoValue;
  return formula(operation, a, b);
}

/// Of a number that overflowed, the least that it may stand for.
Dual least(const Dual& number) {
  if (!std::isinf(number.value)) return number;
  const auto within = [](double part) { return std::isinf(part) ? std::copysign(kLargest, part) : part; };
  return {within(number.value), {within(number.gradient[0]), within(number.gradient[1])}};
}

/// With what came out too large for the end that it is: a factor of 0.5 must not bring ∞ back.
Dual overflowed(const Dual& number) {
  constexpr double kLarge = 1e200;
  const auto part = [](double value) { return std::abs(value) >= kLarge ? std::copysign(kInfinity, value) : value; };
  return {part(number.value), {part(number.gradient[0]), part(number.gradient[1])}};
}

/// Where a or b overflowed: counts where both ends of what that may stand for agree.
Dual beyond(const StackOperation& operation, const Dual& a, const Dual& b) {
  constexpr double kSmall = 1e-100;
  const Dual near = overflowed(inside(operation, least(a), least(b)));
  const double far = formula(operation, a, b).value;
  return near.value == far || std::abs(near.value - far) <= kSmall ? Dual{far, near.gradient} : kNoValue;
}

}  // namespace

std::span<const FunctionName> functions() {
  static const std::vector<FunctionName> names = [] {
    std::vector<FunctionName> list;
    for (const Function& function : kFunctions) list.push_back({function.name, function.arguments});
    return list;
  }();
  return names;
}

std::size_t operands_of(const StackOperation& operation) {
  switch (operation.kind) {
    case Kind::number:
    case Kind::x:
    case Kind::y: return 0;
    case Kind::negate: return 1;
    case Kind::function: return kFunctions[operation.function].arguments;
    default: return 2;
  }
}

Dual result_of(const StackOperation& operation, const Dual& a, const Dual& b) {
  const bool has_overflowed = std::isinf(a.value) || std::isinf(b.value);
  return has_overflowed ? beyond(operation, a, b) : inside(operation, a, b);
}

Undefined why(const StackOperation& operation, double a, double b) {
  const Failure failure = failure_of(operation, a, b);
  if (failure == Failure::overflow) return {"overflow in " + name_of(operation), failure};
  if (operation.kind == Kind::divide) return {"division by 0", failure};
  const bool is_value = failure == Failure::value;
  if (is_power(operation)) {
    return {fmt::format("{:.6g} to the power of {:.6g}{}", a, b, is_value ? "" : " has no derivative"), failure};
  }
  const std::string name = name_of(operation);
  return {fmt::format("{} {} {:.6g}", name, is_value ? "of" : "has no derivative at", a), failure};
}

}  // namespace lossatlas
