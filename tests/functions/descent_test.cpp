#include "functions/descent.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/error.h"
#include "catch.h"
#include "functions/gallery.h"

using namespace lossatlas;

namespace {

DescentOptions with(const std::string& optimizer, double rate, std::int64_t steps, bool ascend = false) {
  DescentOptions options;
  options.optimizer = usual_options(optimizer);
  options.rate = rate;
  options.steps = steps;
  options.ascend = ascend;
  return options;
}

Descent run(const std::string& function, std::vector<double> start, const DescentOptions& options) {
  return descend(Expression(function), start, options);
}

/// Where an ascent of 25 sin x - x^2 ends.
double climbed(double start) { return run("25*sin(x) - x^2", {start}, with("gd", 0.02, 1000, true)).position.back(); }

}  // namespace

TEST_CASE("ascents of 25 sin x - x^2 end in different local maxima, and only some in the global one") {
  const double global = 1.4541965749766173;
  for (const double start : {0.0, 2.0, 5.0}) CHECK(climbed(start) == Approx(global).epsilon(1e-9));
  for (const double start : {-8.0, -5.0, -3.0}) CHECK(climbed(start) == Approx(-4.356405415380388).epsilon(1e-9));
  for (const double start : {6.0, 8.0, 14.0}) CHECK(climbed(start) == Approx(7.236571118164048).epsilon(1e-9));
  CHECK(climbed(-14) == Approx(-10.060207840298057).epsilon(1e-9));
  const Expression function("25*sin(x) - x^2");
  const auto value = [&](double x) { return function.at(std::vector{x}).value; };
  CHECK(value(climbed(0)) > value(climbed(-8)));
  CHECK(value(climbed(-8)) > value(climbed(8)));
}

TEST_CASE("on x sin x rate 1 jumps to and fro, 0.1 settles, 0.01 crawls") {
  const double top = 2.028757838110434;
  const auto jumps = run("x*sin(x)", {2.5}, with("gd", 1, 50, true));
  CHECK(jumps.end == DescentEnd::steps);
  CHECK(jumps.position[1] == Approx(1.0956).margin(1e-4));
  CHECK(jumps.position[2] == Approx(2.48607).margin(1e-5));
  for (std::size_t i = 0; i + 1 < jumps.position.size(); ++i) {
    CHECK((jumps.position[i] > top) != (jumps.position[i + 1] > top));
  }
  const auto settles = run("x*sin(x)", {2.5}, with("gd", 0.1, 20, true));
  CHECK(settles.position.back() == Approx(top).margin(1e-3));
  const auto crawls = run("x*sin(x)", {2.5}, with("gd", 0.01, 50, true));
  CHECK(crawls.position.back() == Approx(2.138).margin(5e-4));
}

TEST_CASE("descent on x + sin x never turns, at any rate") {
  for (const double rate : {1.0, 0.1, 0.01}) {
    const auto descent = run("x + sin(x)", {2.5}, with("gd", rate, 200));
    CHECK(std::is_sorted(descent.position.rbegin(), descent.position.rend()));
    CHECK(descent.position.back() > -std::numbers::pi);
  }
  CHECK(run("x + sin(x)", {2.5}, with("gd", 1, 200)).position.back() == Approx(-std::numbers::pi).margin(0.02));
}

TEST_CASE("gradient descent does what its factors say on a parabola") {
  const auto descent = run("x^2", {1}, with("gd", 0.1, 30));
  for (std::size_t i = 0; i < descent.position.size(); ++i) {
    CHECK(descent.position[i] == Approx(std::pow(0.8, static_cast<double>(i))).epsilon(1e-12));
    CHECK(descent.gradient[i] == 2 * descent.position[i]);
    CHECK(descent.value[i] == descent.position[i] * descent.position[i]);
  }
  CHECK(descent.steps() == 30);
}

TEST_CASE("AdaGrad is Goodfellow et al.'s algorithm 8.4, number for number") {
  auto options = with("adagrad", 0.5, 50);
  const auto descent = run("0.5*x^2 + 10*y^2", {-10, 2}, options);
  double theta[2]{-10, 2}, r[2]{0, 0};
  for (std::size_t row = 0; row <= 50; ++row) {
    const double g[2]{theta[0], 20 * theta[1]};
    for (std::size_t i = 0; i < 2; ++i) {
      REQUIRE(descent.position[2 * row + i] == Approx(theta[i]).epsilon(1e-14));
      r[i] += g[i] * g[i];
      const double effective = 0.5 / (1e-7 + std::sqrt(r[i]));
      if (row < 50) CHECK(descent.effective_rate[2 * row + i] == Approx(effective).epsilon(1e-14));
      theta[i] -= effective * g[i];
    }
    if (row < 50) CHECK(descent.effective_rate[2 * row + 1] < descent.effective_rate[2 * row]);  // y is the steep one
  }
  CHECK(std::isnan(descent.effective_rate[100]));
}

TEST_CASE("in a ravine plain descent zigzags and AdaGrad does not") {
  const auto turns = [](const Descent& descent) {
    int count = 0;
    for (std::size_t row = 0; row + 1 < descent.value.size(); ++row) {
      count += descent.position[2 * row + 1] * descent.position[2 * row + 3] < 0 ? 1 : 0;
    }
    return count;
  };
  CHECK(turns(run("0.5*x^2 + 10*y^2", {-10, 2}, with("gd", 0.095, 40))) == 40);
  CHECK(turns(run("0.5*x^2 + 10*y^2", {-10, 2}, with("adagrad", 1.5, 40))) == 0);
}

TEST_CASE("momentum, Nesterov, RMSProp and Adam take the steps of their papers") {
  const std::vector<double> start{1.5};
  const auto derivative = [](double x) { return 4 * x * x * x - 2 * x; };
  const auto check_steps = [&](const std::string& name, auto&& rule) {
    INFO(name);
    const auto descent = run("x^4 - x^2", start, with(name, 0.01, 40));
    double x = start[0];
    for (std::size_t t = 0; t < 40; ++t) {
      REQUIRE(descent.position[t] == Approx(x).epsilon(1e-12));
      rule(x, derivative(x), static_cast<int>(t) + 1);
    }
  };
  double v = 0;
  check_steps("momentum", [&](double& x, double g, int) { x -= 0.01 * (v = 0.9 * v + g); });
  v = 0;
  check_steps("nesterov", [&](double& x, double g, int) {
    v = 0.9 * v + g;
    x -= 0.01 * (g + 0.9 * v);
  });
  double r = 0;
  check_steps("rmsprop", [&](double& x, double g, int) {
    r = 0.99 * r + 0.01 * g * g;
    x -= 0.01 * g / (std::sqrt(r) + 1e-8);
  });
  double m = 0;
  r = 0;
  check_steps("adam", [&](double& x, double g, int t) {
    m = 0.9 * m + 0.1 * g;
    r = 0.999 * r + 0.001 * g * g;
    x -= 0.01 * m / (1 - std::pow(0.9, t)) / (std::sqrt(r / (1 - std::pow(0.999, t))) + 1e-8);
  });
}

TEST_CASE("a descent ends where it has converged, diverged, or is not defined") {
  CHECK(run("x^2", {1}, with("gd", 0.3, 1000)).end == DescentEnd::converged);
  CHECK(run("x^2", {1}, with("gd", 0.3, 1000)).steps() < 100);
  CHECK(run("x^2", {0}, with("gd", 0.3, 1000)).steps() == 1);
  // Through the bottom at full speed: the gradient is 0 there, but nothing has converged.
  CHECK(run("x^2", {1}, with("momentum", 0.5, 3)).end == DescentEnd::steps);

  const auto diverged = run("x^2", {1}, with("gd", 1.5, 10'000));
  CHECK(diverged.end == DescentEnd::diverged);
  CHECK(diverged.reason.find("overflow") != std::string::npos);
  CHECK(std::all_of(diverged.value.begin(), diverged.value.end(), [](double value) { return std::isfinite(value); }));
  CHECK(diverged.steps() > 100);

  const auto left = run("log(x)", {1}, with("gd", 0.7, 100));
  CHECK(left.end == DescentEnd::undefined);
  CHECK(left.reason.find(": log of -") != std::string::npos);
  CHECK(left.steps() == 1);
  const auto hit = run("1/x", {1}, with("gd", 1, 100, true));
  CHECK(hit.end == DescentEnd::undefined);
  CHECK(hit.reason == "at x = 0: division by 0");
  CHECK_THROWS_AS(run("log(x)", {-1}, with("gd", 1, 1)), Error);
}

TEST_CASE("a descent ends where an operation has no value, though a later one would hide it") {
  const auto hit = run("x - atan(1/x^2)", {1}, with("gd", 0.5, 100));
  CHECK(hit.end == DescentEnd::undefined);
  CHECK(hit.reason == "at x = 0: division by 0");
  CHECK(hit.steps() == 0);
  const auto powers = run("x + (-2)^(2 + 0*x)", {1}, with("gd", 1, 1));  // 0*x is constant
  CHECK(powers.end == DescentEnd::steps);
  const auto edge = run("asin(x)", {0}, with("gd", 1, 5, true));
  CHECK(edge.end == DescentEnd::undefined);
  CHECK(edge.reason == "at x = 1: asin has no derivative at 1");
}

TEST_CASE("a descent that is told to stop ends with the step under way, unless that was the last") {
  const std::atomic<bool> stop{true};
  const Expression function("x^2");
  const std::vector<double> start{1.0};
  const auto stopped = descend(function, start, with("gd", 0.1, 100), &stop);
  CHECK(stopped.end == DescentEnd::interrupted);
  CHECK(stopped.position == start);
  CHECK(std::isnan(stopped.effective_rate.back()));
  CHECK(descend(function, start, with("gd", 0.1, 0), &stop).end == DescentEnd::steps);
}

TEST_CASE("a descent goes on over numbers that are too large where they do no harm") {
  const auto flat = run("1/(1 + exp(-x))", {-800}, with("gd", 1, 10));
  CHECK(flat.end == DescentEnd::converged);
  CHECK(flat.value.back() == 0);
}

TEST_CASE("a start says what it lacks: a value, a derivative, or small numbers") {
  const auto refusal = [](const std::string& function, double start) -> std::string {
    try {
      run(function, {start}, with("gd", 1, 1));
    } catch (const Error& error) {
      return error.what();
    }
    return "none";
  };
  CHECK(refusal("atan(1/x^2)", 0) == "the function is not defined at x = 0 (division by 0)");
  CHECK(refusal("asin(x)", 1) == "the function has no derivative at x = 1 (asin has no derivative at 1)");
  CHECK(refusal("x^0.5", 0) == "the function has no derivative at x = 0 (0 to the power of 0.5 has no derivative)");
  CHECK(refusal("(-2)^x", 2) == "the function has no derivative at x = 2 (-2 to the power of 2 has no derivative)");
  CHECK(refusal("x/sqrt(1 + x^2)", 1e200) == "the function cannot be computed at x = 1e+200 (overflow in ^)");
  CHECK(refusal("1/(1 + exp(-x))", -800) == "none");
}

TEST_CASE("named functions descend, or climb, from their own start at their own rate") {
  for (const NamedFunction& named : gallery()) {
    INFO(named.name);
    for (const bool ascend : {false, true}) {
      if (ascend && !named.maximizes) continue;
      const auto descent = run(named.expression, named.start, with("gd", named.rate, 100, ascend));
      CHECK((descent.end == DescentEnd::steps || descent.end == DescentEnd::converged));
      for (std::size_t row = 0; row < descent.steps(); ++row) {
        const double rise = descent.value[row + 1] - descent.value[row];
        CHECK((ascend ? -rise : rise) <= 1e-12);
      }
      CHECK(std::abs(descent.value.back() - descent.value.front()) > 0.05);
    }
  }
}

TEST_CASE("gradients of minibatches are noisy, and over an epoch at one place exact") {
  auto options = with("sgd", 1e-12, 20);  // hardly moves: all gradients are of one place
  options.noise = {5, 100, 10, 3};
  const auto descent = run("x^2 + 3*y", {1, 1}, options);
  double sum[2]{}, squares = 0;
  for (std::size_t step = 0; step < 20; ++step) {
    const double noise = descent.gradient[2 * step] - 2;
    squares += noise * noise / 20;
    if (step < 10) sum[0] += noise, sum[1] += descent.gradient[2 * step + 1] - 3;
  }
  CHECK(std::abs(sum[0]) < 1e-9);
  CHECK(std::abs(sum[1]) < 1e-9);
  CHECK(std::sqrt(squares) == Approx(5 / std::sqrt(10.0)).epsilon(0.5));
  CHECK(descent.gradient[0] != descent.gradient[20]);  // the second epoch has another order

  const auto again = run("x^2 + 3*y", {1, 1}, options);
  CHECK(again.position == descent.position);
  options.noise.seed = 4;
  CHECK(run("x^2 + 3*y", {1, 1}, options).gradient != descent.gradient);
  options.optimizer = usual_options("gd");  // which sees all terms
  CHECK(run("x^2 + 3*y", {1, 1}, options).gradient[0] == 2);
  options.optimizer = usual_options("adam");
  CHECK(run("x^2 + 3*y", {1, 1}, options).gradient[0] != 2);
}

TEST_CASE("tangents and directional derivatives") {
  const Expression function("x^2 + 3*y");
  const std::vector<double> point{2, 1}, direction{3, 4};
  const Tangent tangent = tangent_at(function, point, direction);
  CHECK(tangent.value == 7);
  CHECK(tangent.gradient == std::vector<double>{4, 3});
  CHECK(tangent.direction == std::vector<double>{0.6, 0.8});
  CHECK(tangent.directional_derivative == Approx(4.8).epsilon(1e-15));
  CHECK(tangent_at(function, point, {}).direction.empty());
  CHECK_THROWS_AS(tangent_at(Expression("1/x"), std::vector{0.0}, {}), Error);
}
