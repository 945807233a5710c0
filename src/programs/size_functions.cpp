#include "programs/size_functions.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "base/error.h"

namespace lossatlas {
namespace {

using c10::IValue;
using Arguments = std::vector<IValue>;
using Function = std::function<IValue(const Arguments&)>;

double real(const IValue& value) {
  if (value.isDouble()) return value.toDouble();
  if (value.isInt()) return static_cast<double>(value.toInt());
  if (value.isBool()) return value.toBool() ? 1 : 0;
  throw Error("computes with something that is not a number");
}

bool is_whole(const IValue& value) { return value.isInt() || value.isBool(); }

std::int64_t whole(const IValue& value) { return value.isBool() ? value.toBool() : value.toInt(); }

// Sizes that overflow wrap around, and the operator that gets them refuses them.
std::int64_t negative(std::int64_t a) { return static_cast<std::int64_t>(-static_cast<std::uint64_t>(a)); }

/// Python's: rounded down.
std::int64_t floor_div(std::int64_t a, std::int64_t b) {
  if (b == 0) throw Error("divides a size by zero");
  if (b == -1) return negative(a);
  return a / b - (a % b != 0 && (a < 0) != (b < 0) ? 1 : 0);
}

void take(const Arguments& arguments, std::size_t count) {
  if (arguments.size() != count) throw Error("is given {} arguments and takes {}", arguments.size(), count);
}

/// Of two numbers: whole if both are.
template <class Whole, class Real>
Function of_two(Whole of_whole, Real of_real) {
  return [=](const Arguments& arguments) {
    take(arguments, 2);
    const IValue &a = arguments[0], &b = arguments[1];
    return is_whole(a) && is_whole(b) ? IValue(of_whole(whole(a), whole(b))) : IValue(of_real(real(a), real(b)));
  };
}
template <class Both>
Function of_two(Both both) {
  return of_two(both, both);
}

template <class Result>
Function of_one(Result result) {
  return [=](const Arguments& arguments) {
    take(arguments, 1);
    return IValue(result(arguments[0]));
  };
}

/// Python's math.floor and its kind: of a float a whole number.
Function rounded(double (*round)(double)) {
  return of_one([=](const IValue& a) {
    const double value = round(real(a));
    if (!(std::abs(value) < 0x1p62)) throw Error("computes a size that is not a number");
    return static_cast<std::int64_t>(value);
  });
}

std::map<std::string, Function> make_functions() {
  const auto wrap = [](auto f) {
    return [f](std::int64_t a, std::int64_t b) {
      return static_cast<std::int64_t>(f(static_cast<std::uint64_t>(a), static_cast<std::uint64_t>(b)));
    };
  };
  std::map<std::string, Function> f;
  f["_operator.add"] = of_two(wrap(std::plus<>()), std::plus<>());
  f["_operator.sub"] = of_two(wrap(std::minus<>()), std::minus<>());
  f["_operator.mul"] = of_two(wrap(std::multiplies<>()), std::multiplies<>());
  f["_operator.floordiv"] = of_two(floor_div, [](double a, double b) { return std::floor(a / b); });
  f["_operator.mod"] = of_two([](std::int64_t a, std::int64_t b) { return b == -1 ? 0 : a - floor_div(a, b) * b; },
                              [](double a, double b) { return a - std::floor(a / b) * b; });
  f["_operator.truediv"] = [](const Arguments& arguments) {
    take(arguments, 2);
    if (real(arguments[1]) == 0) throw Error("divides a size by zero");
    return IValue(real(arguments[0]) / real(arguments[1]));
  };
  f["_operator.pow"] = [](const Arguments& arguments) {
    take(arguments, 2);
    const double power = std::pow(real(arguments[0]), real(arguments[1]));
    const bool stays_whole = is_whole(arguments[0]) && is_whole(arguments[1]) && whole(arguments[1]) >= 0;
    return stays_whole && std::abs(power) < 0x1p53 ? IValue(static_cast<std::int64_t>(power)) : IValue(power);
  };
  f["_operator.neg"] =
      of_one([](const IValue& a) { return is_whole(a) ? IValue(negative(whole(a))) : IValue(-real(a)); });
  f["_operator.pos"] = of_one([](const IValue& a) { return a; });
  f["_operator.eq"] = of_two(std::equal_to<>());
  f["_operator.ne"] = of_two(std::not_equal_to<>());
  f["_operator.lt"] = of_two(std::less<>());
  f["_operator.le"] = of_two(std::less_equal<>());
  f["_operator.gt"] = of_two(std::greater<>());
  f["_operator.ge"] = of_two(std::greater_equal<>());
  f["_operator.and_"] = of_two([](auto a, auto b) { return a != 0 && b != 0; });
  f["_operator.or_"] = of_two([](auto a, auto b) { return a != 0 || b != 0; });
  f["torch.sym_min"] = of_two([](auto a, auto b) { return std::min(a, b); });
  f["torch.sym_max"] = of_two([](auto a, auto b) { return std::max(a, b); });
  f["torch.sym_not"] = of_one([](const IValue& a) { return real(a) == 0; });
  f["torch.sym_float"] = of_one([](const IValue& a) { return real(a); });
  f["torch.sym_int"] = rounded(std::trunc);
  f["torch.sym_ite"] = [](const Arguments& arguments) {
    take(arguments, 3);
    return real(arguments[0]) != 0 ? arguments[1] : arguments[2];
  };
  f["torch._sym_sqrt"] = f["math.sqrt"] = of_one([](const IValue& a) { return std::sqrt(real(a)); });
  f["math.floor"] = rounded(std::floor);
  f["math.ceil"] = rounded(std::ceil);
  f["math.trunc"] = rounded(std::trunc);
  f["builtins.round"] = rounded(std::nearbyint);
  return f;
}

}  // namespace

Function size_function(const std::string& name) {
  static const std::map<std::string, Function> kFunctions = make_functions();
  const auto found = kFunctions.find(name);
  if (found == kFunctions.end()) throw Error("graphs may not call this function");
  return found->second;
}

}  // namespace lossatlas
