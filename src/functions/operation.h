#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "functions/dual.h"

namespace lossatlas {

/// One operation of an expression in postfix order, on a stack of numbers.
struct StackOperation {
  enum class Kind { number, x, y, negate, add, subtract, multiply, divide, power, function } kind;
  double number = 0;         // of Kind::number
  std::size_t function = 0;  // of Kind::function: its place in functions()
};

/// A function that expressions may call.
struct FunctionName {
  std::string name;
  std::size_t arguments;  // 1 or 2
};
std::span<const FunctionName> functions();

/// How many numbers it takes from the stack: 0, 1 or 2.
std::size_t operands_of(const StackOperation& operation);

/// What keeps an operation from being finite: the function has no value there, or a value but no derivative, or numbers
/// are too large for a double.
enum class Failure { value, derivative, overflow };

/// Why a function has no finite value or derivative at a point.
struct Undefined {
  std::string what;  // "log of -2", "division by 0", "sqrt has no derivative at 0", "overflow in exp"
  Failure failure;
};

/// The result on one number (a) or two; all of it NaN where it has no value. A number that overflows is ±∞, and counts
/// from there on as anything between the largest double and ∞: what does not depend on which is exact to 1e-100
/// (1/(1 + ∞) = 0, exp(-∞) = 0, 2 + ∞ = ∞), and all else (sqrt(∞), ∞ - ∞) is NaN. What underflows is 0.
Dual result_of(const StackOperation& operation, const Dual& a, const Dual& b);

/// Why that is not finite, though a and b are.
Undefined why(const StackOperation& operation, double a, double b);

}  // namespace lossatlas
