#include "functions/expression.h"

#include <cmath>
#include <numbers>
#include <string>
#include <vector>

#include "catch.h"

using namespace lossatlas;

namespace {

Dual at(const std::string& text, double x, double y = 0) { return Expression(text).at(std::vector<double>{x, y}); }

/// What an expression that cannot be read says, and where.
SyntaxError error_of(const std::string& text) {
  try {
    const Expression parsed(text);
  } catch (const SyntaxError& error) {
    return error;
  }
  FAIL("parsed: " << text);
  throw;
}

std::string why(const std::string& text, double x, double y = 0) {
  const auto found = Expression(text).undefined_at(std::vector<double>{x, y});
  return found ? found->what + (found->failure == Failure::overflow ? " (too large)" : "") : "";
}

/// Whether the function has a value there, and no derivative is what is missing.
bool lacks_derivative(const std::string& text, double x, double y = 0) {
  const std::vector<double> point{x, y};
  const auto found = Expression(text).undefined_at(point);
  return found && found->failure == Failure::derivative && std::isfinite(Expression(text).at(point).value);
}

}  // namespace

TEST_CASE("expressions have the value and the precedence of mathematics") {
  CHECK(at("1 + 2*3", 0).value == 7);
  CHECK(at("(1 + 2)*3", 0).value == 9);
  CHECK(at("2^3^2", 0).value == 512);
  CHECK(at("2**3", 0).value == 8);
  CHECK(at("-x^2", 3).value == -9);
  CHECK(at("2^-1", 0).value == 0.5);
  CHECK(at("8/4/2", 0).value == 1);
  CHECK(at("5 - 3 - 1", 0).value == 1);
  CHECK(at("--2", 0).value == 2);
  CHECK(at("2*-3", 0).value == -6);
  CHECK(at("1.5e2 + .5", 0).value == 150.5);
  CHECK(at("pi", 0).value == std::numbers::pi);
  CHECK(at("e", 0).value == std::numbers::e);
  CHECK(at("25·sin(x) − x²", 2).value == 25 * std::sin(2.0) - 4);  // as printed in books
  CHECK(at("-x² + 2·x³", 2).value == 12);
  CHECK(at("2×π×x", 3).value == 2 * std::numbers::pi * 3);
  CHECK(at("pow(x, 3) + min(x, y)*max(x, y)", 2, 5).value == 18);
  CHECK(at("log(e^x)", 3).value == Approx(3));
}

TEST_CASE("derivatives are exact") {
  const double x = 0.7, y = -1.3;
  struct Case {
    const char* text;
    double by_x, by_y;
  };
  const Case cases[]{
      {"3", 0, 0},
      {"25*sin(x) - x^2", 25 * std::cos(x) - 2 * x, 0},
      {"x*sin(x)", std::sin(x) + x * std::cos(x), 0},
      {"x*y", y, x},
      {"x/y", 1 / y, -x / (y * y)},
      {"(1 - x)^2 + 100*(y - x^2)^2", -2 * (1 - x) - 400 * x * (y - x * x), 200 * (y - x * x)},
      {"cos(x*y)", -y * std::sin(x * y), -x * std::sin(x * y)},
      {"tan(x)", 1 / (std::cos(x) * std::cos(x)), 0},
      {"asin(x) + acos(x/2) + atan(y)", 1 / std::sqrt(1 - x * x) - 0.5 / std::sqrt(1 - x * x / 4), 1 / (1 + y * y)},
      {"sinh(x) + cosh(y) + tanh(x)", std::cosh(x) + 1 / (std::cosh(x) * std::cosh(x)), std::sinh(y)},
      {"exp(x*y)", y * std::exp(x * y), x * std::exp(x * y)},
      {"log(x) + sqrt(x)", 1 / x + 0.5 / std::sqrt(x), 0},
      {"abs(y)", 0, -1},
      {"x^x", std::pow(x, x) * (std::log(x) + 1), 0},
      {"x^(-2)", -2 * std::pow(x, -3), 0},
      {"pow(x, y)", y * std::pow(x, y - 1), std::pow(x, y) * std::log(x)},
      {"max(x, y)", 1, 0},
      {"min(x, y)", 0, 1},
      {"-(x - y)", -1, 1},
  };
  for (const auto& [text, by_x, by_y] : cases) {
    INFO(text);
    const Dual here = at(text, x, y);
    CHECK(here.gradient[0] == Approx(by_x).epsilon(1e-14).margin(1e-15));
    CHECK(here.gradient[1] == Approx(by_y).epsilon(1e-14).margin(1e-15));
  }
}

TEST_CASE("derivatives where formulas break down are those of the function") {
  CHECK(at("x^2", 0).gradient[0] == 0);
  CHECK(at("x^0", 0).value == 1);
  CHECK(at("x^0", 0).gradient[0] == 0);
  CHECK(at("x^3", -2).gradient[0] == 12);      // a negative base has powers that are whole numbers
  CHECK(at("sqrt(0)*x", 5).gradient[0] == 0);  // what is constant has derivative 0, however steep
  CHECK(at("0^2 + x", 5).gradient[0] == 1);
  CHECK(at("abs(x)", 0).gradient[0] == 0);  // at a kink: the mean of both sides
  CHECK(at("max(0, x)", 0).gradient[0] == 0.5);
  CHECK(at("max(0, x)", 2).gradient[0] == 1);
}

TEST_CASE("the number of variables is what the expression uses") {
  CHECK(Expression("x").variables() == 1);
  CHECK(Expression("3").variables() == 1);
  CHECK(Expression("x + y").variables() == 2);
  CHECK(Expression("y").variables() == 2);
}

TEST_CASE("an expression with an error says where it is") {
  const auto column = [](const char* text) { return error_of(text).column; };
  const auto says = [](const char* text, const char* words) {
    const std::string line = error_of(text).what();
    INFO(line);
    CHECK(line.find(words) != std::string::npos);
  };
  CHECK(column("") == 1);
  CHECK(column("25*sin(x - x^2") == 15);
  CHECK(column("25*sinn(x)") == 4);
  CHECK(column("25*sin x") == 8);
  CHECK(column("25 x") == 4);
  CHECK(column("2x") == 2);
  CHECK(column("x +") == 4);
  CHECK(column("x + * 2") == 5);
  CHECK(column("x)") == 2);
  CHECK(column("x $ 2") == 3);
  CHECK(column("· x") == 1);
  CHECK(column("x − − · x") == 7);  // characters are counted, not bytes
  CHECK(column("pow(x)") == 6);
  CHECK(column("sin(x, 2)") == 6);
  CHECK(column("1e999") == 1);
  CHECK(column("z") == 1);
  CHECK(column("25*\n\tsinn(x)") == 6);
  CHECK(Expression("x\n\t+ 1\r\n").at(std::vector{2.0}).value == 3);
  says("25*sinn(x)", "did you mean 'sin'?");
  says("25*sin x", "sin(x)");
  says("2x", "2*x");
  says("2π", "2*x");
  says("sin(x", "a ) is missing");
  says("x)", "closes nothing");
  says("x € 2", "'€'");
  says("x \x01", "'\\x01'");
  says("X^2", "did you mean 'x'?");
  says("PI*x", "did you mean 'pi'?");
  says("ln(x)", "did you mean 'log'?");
  says("2*|x|", "abs(x)");
  says("|x|", "abs(x)");
  says("(|x| + 1)", "abs(x)");
  says("x|", "abs(x)");
  CHECK_THROWS_AS(Expression(std::string(100'000, '(')), SyntaxError);
  CHECK_THROWS_AS(Expression(std::string(100'000, '-')), SyntaxError);
}

TEST_CASE("a point where the function is not defined has a reason") {
  CHECK(why("log(x)", -2) == "log of -2");
  CHECK(why("log(x)", 0) == "log of 0");
  CHECK(why("1/(x - 1)", 1) == "division by 0");
  CHECK(why("sqrt(x)", -0.25) == "sqrt of -0.25");
  CHECK(why("x^0.5", -1) == "-1 to the power of 0.5");
  CHECK(why("x^(-2)", 0) == "0 to the power of -2");
  CHECK(why("asin(x)", 1.5) == "asin of 1.5");
  CHECK(why("exp(x)", 1000) == "overflow in exp (too large)");
  CHECK(why("x^2", 1e200) == "overflow in ^ (too large)");
  CHECK(why("x*sin(1/x)", 0) == "division by 0");
  CHECK(why("log(x)", 2).empty());
}

TEST_CASE("where only the derivative is missing, that is the reason") {
  CHECK(why("sqrt(x)", 0) == "sqrt has no derivative at 0");
  CHECK(why("asin(x)", 1) == "asin has no derivative at 1");
  CHECK(why("acos(x)", -1) == "acos has no derivative at -1");
  CHECK(why("x^0.5", 0) == "0 to the power of 0.5 has no derivative");
  CHECK(why("(-2)^x", 2) == "-2 to the power of 2 has no derivative");
  CHECK(why("pow(x, y)", -2, 2) == "-2 to the power of 2 has no derivative");
  CHECK(why("x^x", 0) == "0 to the power of 0 has no derivative");
  for (const char* text : {"sqrt(x)", "asin(x + 1)", "x^0.5", "(-2)^(x + 2)", "x^x"}) CHECK(lacks_derivative(text, 0));
  CHECK(at("pow(x, y)", -2, 2).value == 4);
  // Lost before, but there is no value either.
  CHECK(why("sqrt(x) + 1/x", 0) == "division by 0");
  CHECK(why("1/sqrt(x)", 0) == "division by 0");
  // The parts that are not too large are no overflow; those that are, are.
  CHECK(why("(-1e200)^x", 2) == "overflow in ^ (too large)");
  CHECK(why("pow(x, 3)", -1e200) == "overflow in pow (too large)");
}

TEST_CASE("powers of 0 have the derivatives of the function") {
  for (const double y : {2.0, 1.0, 2.5}) {
    INFO(y);
    CHECK(at("x^y", 0, y).value == 0);
    CHECK(at("x^y", 0, y).gradient[0] == (y == 1 ? 1 : 0));
    CHECK(at("x^y", 0, y).gradient[1] == 0);
    CHECK(why("x^y", 0, y).empty());
  }
  CHECK(at("0^x", 3).gradient[0] == 0);
}

TEST_CASE("an operation without a value is noticed though a later one would hide it") {
  CHECK(why("atan(1/x^2)", 0) == "division by 0");
  CHECK(why("exp(-1/x^2)", 0) == "division by 0");
  CHECK(why("1/(1 + 1/x^2)", 0) == "division by 0");
  CHECK(why("tanh(log(abs(x)))", 0) == "log of 0");
  CHECK(why("min(log(x), 1)", -1) == "log of -1");
  CHECK(why("max(1, sqrt(x))", -1) == "sqrt of -1");
  CHECK(why("sqrt(x)^0", -1) == "sqrt of -1");
  CHECK(why("1/x^(-1)", 0) == "0 to the power of -1");
  CHECK(why("atan(x/0)", 1) == "division by 0");
  for (const char* text : {"atan(1/x^2)", "exp(-1/x^2)", "1/(1 + 1/x^2)", "tanh(log(abs(x)))", "min(1/x, 1)"}) {
    INFO(text);
    CHECK(std::isnan(at(text, 0).value));
    CHECK(std::isnan(at(text, 0).gradient[0]));
  }
}

TEST_CASE("a number too large on the way is no harm where the result does not depend on how large") {
  const auto gives = [](const std::string& text, double x, double value, double derivative = 0) {
    INFO(text << " at " << x);
    CHECK(why(text, x).empty());
    CHECK(at(text, x).value == value);
    CHECK(at(text, x).gradient[0] == Approx(derivative).margin(1e-100));
  };
  const double half_pi = std::numbers::pi / 2;
  gives("1/(1 + exp(-x))", -800, 0);
  gives("1/(1 + exp(-x))", 800, 1);
  gives("1/(1 + 0.5*exp(-x))", -800, 0);
  gives("5 - 3/(1 + exp(-x)/7 - 2)", -800, 5);
  gives("x*exp(-x^2)", 1e200, 0);
  gives("exp(-exp(x))", 1000, 0);
  gives("exp(-1/x^2)", 1e-160, 0);
  gives("tanh(exp(x))", 1000, 1);
  gives("tanh(-cosh(x))", 1000, -1);
  gives("atan(sinh(x))", 1000, half_pi);
  gives("atan(sinh(x))", -1000, -half_pi);
  gives("x/(1 + x^2)", 1e160, 0);
  gives("x^2/(1 + exp(x))", 1000, 0);
  gives("exp(x)^(-2)", 1000, 0);
  gives("0.5^exp(x)", 1000, 0);
  gives("min(exp(x), x)", 1000, 1000, 1);
  gives("max(-exp(x), 3)", 1000, 3);
  gives("atan(abs(-exp(x)))", 1000, half_pi);
}

TEST_CASE("a number too large on the way is an overflow where the result depends on how large") {
  const auto overflows = [](const std::string& text, double x, const std::string& where) {
    INFO(text << " at " << x);
    CHECK(why(text, x) == "overflow in " + where + " (too large)");
    CHECK_FALSE(at(text, x).is_finite());
  };
  overflows("x/sqrt(1 + x^2)", 1e200, "^");
  overflows("x/(x + 1e308)", 1e308, "+");
  overflows("log(1 + exp(x))", 1000, "exp");
  overflows("exp(x)/exp(x)", 1000, "exp");
  overflows("exp(x)*exp(-x)", 1000, "exp");
  overflows("exp(x) - exp(x)", 1000, "exp");
  overflows("min(exp(x) - exp(2*x), 1)", 1000, "exp");
  overflows("min(1, sin(exp(x)))", 1000, "exp");
  overflows("1e-250*exp(x)", 1000, "exp");
  overflows("(x^2)^0.25", 1e200, "^");
  overflows("x^exp(1000)", 1, "exp");
  overflows("1e300*x*1e300", 0, "*");                              // its derivative
  CHECK(why("atan(exp(x)) + log(x - 1000)", 1000) == "log of 0");  // an overflow that did no harm is not to blame
}
