#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "functions/dual.h"

namespace lossatlas {

/// An expression that cannot be read. `column` counts characters from 1: where a caret belongs.
class SyntaxError : public UsageError {
 public:
  SyntaxError(const std::string& text, std::size_t at) : UsageError(text), column(at) {}
  std::size_t column;
};

/// Why a function has no finite value or derivative at a point.
struct Undefined {
  std::string what;       // "log of -2", "division by 0", "overflow in exp"
  bool overflow = false;  // the value is too large for a double, rather than not defined
};

/// A function of x, or of x and y, from text such as "25*sin(x) - x^2": numbers, pi, e, + - * / ^ (also **),
/// parentheses, and function_names(). ^ is right-associative and binds tighter than a sign: -x^2 = -(x^2). log is the
/// natural one. At the kinks of abs, min and max the derivative is the mean of both sides'.
class Expression {
 public:
  /// Throws SyntaxError.
  explicit Expression(const std::string& text);

  static const std::vector<std::string>& function_names();

  /// 2 where y occurs, else 1.
  std::size_t variables() const { return uses_y_ ? 2 : 1; }

  /// Value and exact derivatives at a point of 1 or 2 coordinates (y is 0 where there is one). What is not defined, or
  /// overflows, is not finite.
  Dual at(std::span<const double> point) const;

  /// The first operation that is not finite at this point; nothing where all are.
  std::optional<Undefined> undefined_at(std::span<const double> point) const;

  /// One operation on a stack of numbers.
  struct Operation {
    enum class Kind { number, x, y, negate, add, subtract, multiply, divide, power, function } kind;
    double number = 0;         // of Kind::number
    std::size_t function = 0;  // of Kind::function: its place in function_names()
  };

 private:
  template <class Watch>
  Dual run(std::span<const double> point, const Watch& watch) const;

  std::vector<Operation> operations_;  // in postfix order
  bool uses_y_ = false;

  friend class Parser;
};

}  // namespace lossatlas
