#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "functions/operation.h"

namespace lossatlas {

/// An expression that cannot be read. `column` counts characters from 1: where a caret belongs.
class SyntaxError : public UsageError {
 public:
  SyntaxError(const std::string& text, std::size_t at) : UsageError(text), column(at) {}
  std::size_t column;
};

/// A function of x, or of x and y, from text such as "25*sin(x) - x^2": numbers, pi, e, + - * / ^ (also **, − · × ² ³
/// π), parentheses, and functions(). ^ is right-associative and binds tighter than a sign: -x^2 = -(x^2). log is the
/// natural one. At the kinks of abs, min and max the derivative is the mean of both sides'.
class Expression {
 public:
  /// Throws SyntaxError.
  explicit Expression(const std::string& text);

  /// 2 where y occurs, else 1.
  std::size_t variables() const { return uses_y_ ? 2 : 1; }

  /// Value and exact derivatives at a point of 1 or 2 coordinates (y is 0 if there is one). Not finite where any
  /// operation on the way has no value, or what overflows decides (operation.h): then undefined_at() says why.
  Dual at(std::span<const double> point) const { return run(point).number; }

  /// The operation that is to blame where at() is not finite; nothing if it is.
  std::optional<Undefined> undefined_at(std::span<const double> point) const;

 private:
  /// A number on the stack, and where it is not finite the operation that made it so, with the values it got.
  struct Term {
    Dual number;
    const StackOperation* culprit = nullptr;
    double a = 0, b = 0;
  };
  static Term term_of(const StackOperation& operation, const Term& a, const Term& b);
  Term run(std::span<const double> point) const;

  std::vector<StackOperation> operations_;  // in postfix order
  bool uses_y_ = false;

  friend class Parser;
};

}  // namespace lossatlas
