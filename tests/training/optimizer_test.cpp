#include "training/optimizer.h"

#include <torch/optim/adagrad.h>
#include <torch/optim/adam.h>
#include <torch/optim/adamw.h>
#include <torch/optim/rmsprop.h>
#include <torch/optim/sgd.h>
#include <torch/utils.h>

#include <cmath>

#include "base/error.h"
#include "catch.h"
#include "optimizers/rule.h"

using namespace lossatlas;

namespace {

/// Minimizes a quadratic with our optimizer; gradients are those of 1/2 (3 a^2 + b^2).
struct Quadratic {
  torch::Tensor theta = torch::tensor({1.0, -2.0}, torch::kFloat64).requires_grad_();
  std::unique_ptr<Optimizer> optimizer;

  explicit Quadratic(const OptimizerOptions& options) : optimizer(make_optimizer(options, {{"theta", theta}})) {}

  void step(double rate) {
    theta.mutable_grad() = torch::tensor({3.0, 1.0}, torch::kFloat64) * theta.detach();
    optimizer->step(rate);
  }
  double at(std::int64_t i) const { return theta.detach()[i].item<double>(); }
};

/// Both make 20 steps on the quadratic from the same place, and end there too.
template <class TheirOptimizer, class TheirOptions>
void check_same_steps(const OptimizerOptions& options, const TheirOptions& their_options) {
  Quadratic ours(options);
  auto theta = torch::tensor({1.0, -2.0}, torch::kFloat64).requires_grad_();
  TheirOptimizer theirs({theta}, their_options);
  for (int step = 0; step < 20; ++step) {
    ours.step(their_options.lr());
    theta.mutable_grad() = torch::tensor({3.0, 1.0}, torch::kFloat64) * theta.detach();
    theirs.step();
  }
  CHECK(torch::allclose(ours.theta, theta, 1e-12));
}

}  // namespace

TEST_CASE("AdaGrad takes the steps of Goodfellow et al., algorithm 8.4") {
  OptimizerOptions options;
  options.name = "adagrad";
  options.delta = 1e-2;
  Quadratic ours(options);
  double theta[2]{1, -2}, r[2]{0, 0};
  const double curvature[2]{3, 1};
  for (int step = 0; step < 20; ++step) {
    ours.step(0.5);
    for (int i = 0; i < 2; ++i) {
      const double g = curvature[i] * theta[i];
      r[i] += g * g;
      theta[i] -= 0.5 / (1e-2 + std::sqrt(r[i])) * g;
      CHECK(ours.at(i) == Approx(theta[i]).epsilon(1e-12));
    }
  }
}

TEST_CASE("AdaGrad makes the steps of LibTorch's own where their constants are equal") {
  OptimizerOptions options;
  options.name = "adagrad";
  options.delta = 1e-10;
  options.weight_decay = 0.1;
  const auto theirs = torch::optim::AdagradOptions(0.3).eps(1e-10).weight_decay(0.1);
  check_same_steps<torch::optim::Adagrad>(options, theirs);
}

TEST_CASE("SGD makes the steps of LibTorch's own") {
  for (const auto& [momentum, nesterov] : std::vector<std::pair<double, bool>>{{0, false}, {0.9, false}, {0.9, true}}) {
    OptimizerOptions options{"sgd", momentum, nesterov, 0.05, 1e-7};
    const auto theirs = torch::optim::SGDOptions(0.1).momentum(momentum).nesterov(nesterov).weight_decay(0.05);
    check_same_steps<torch::optim::SGD>(options, theirs);
  }
}

TEST_CASE("RMSProp makes the steps of LibTorch's own") {
  OptimizerOptions options = usual_options("rmsprop");
  options.weight_decay = 0.1;
  options.rho = 0.9;
  const auto theirs = torch::optim::RMSpropOptions(0.02).alpha(0.9).eps(1e-8).weight_decay(0.1);
  check_same_steps<torch::optim::RMSprop>(options, theirs);
}

TEST_CASE("Adam makes the steps of LibTorch's own") {
  OptimizerOptions options = usual_options("adam");
  options.weight_decay = 0.1;
  const auto theirs = torch::optim::AdamOptions(0.05).weight_decay(0.1);
  check_same_steps<torch::optim::Adam>(options, theirs);
}

TEST_CASE("AdamW makes the steps of LibTorch's own") {
  OptimizerOptions options = usual_options("adamw");
  check_same_steps<torch::optim::AdamW>(options, torch::optim::AdamWOptions(0.05));
  options.weight_decay = 0.3;
  options.betas = {0.8, 0.95};
  options.delta = 1e-3;
  const auto theirs = torch::optim::AdamWOptions(0.05).weight_decay(0.3).betas({0.8, 0.95}).eps(1e-3);
  check_same_steps<torch::optim::AdamW>(options, theirs);
}

TEST_CASE("one rule serves tensors and numbers") {
  for (const std::string& name : optimizer_names()) {
    INFO(name);
    const OptimizerOptions options = usual_options(name);
    Quadratic tensors(options);
    double theta[2]{1, -2};
    std::vector<double> memory[2]{std::vector<double>(memory_of(options)), std::vector<double>(memory_of(options))};
    for (int step = 1; step <= 20; ++step) {
      tensors.step(0.1);
      for (int i = 0; i < 2; ++i) {
        const auto move = move_of<double>(options, step, (i == 0 ? 3 : 1) * theta[i], memory[i]);
        theta[i] = (1 - 0.1 * move.decay) * theta[i] - 0.1 * move.direction / move.divisor.value_or(1);
        CHECK(tensors.at(i) == Approx(theta[i]).epsilon(1e-13));
      }
    }
  }
}

TEST_CASE("gd adds the gradients of an epoch up, and steps with the last") {
  OptimizerOptions options = usual_options("gd");
  options.weight_decay = 0.5;
  auto theta = torch::tensor({1.0, -2.0}, torch::kFloat64).requires_grad_();
  const auto optimizer = make_optimizer(options, {{"theta", theta}});
  const auto step = [&](double a, double b, MinibatchShare share) {
    theta.mutable_grad() = torch::tensor({a, b}, torch::kFloat64);
    optimizer->step(0.1, share);
  };
  for (int epoch = 0; epoch < 2; ++epoch) {
    const auto before = theta.detach().clone();
    step(1, 2, {0.75, false});
    CHECK(torch::equal(theta.detach(), before));
    step(5, -2, {0.25, true});
    const auto mean = torch::tensor({2.0, 1.0}, torch::kFloat64);
    CHECK(torch::allclose(theta.detach(), before - 0.1 * (mean + 0.5 * before), 1e-14));
  }
}

TEST_CASE("a restored memory goes on where it was") {
  const auto options = GENERATE(usual_options("momentum"), usual_options("adam"), usual_options("adamw"));
  Quadratic whole(options), first(options), second(options);
  for (int step = 0; step < 6; ++step) whole.step(0.1);
  for (int step = 0; step < 3; ++step) first.step(0.1);
  const torch::NoGradGuard no_gradients;
  second.theta.copy_(first.theta);
  second.optimizer->restore(first.optimizer->memory(), 3);
  for (int step = 0; step < 3; ++step) second.step(0.1);
  CHECK(torch::equal(second.theta, whole.theta));
  CHECK_THROWS_AS(second.optimizer->restore({}, 0), Error);
  CHECK_THROWS_AS(second.optimizer->restore({{"other", torch::zeros({2})}}, 0), Error);
}

TEST_CASE("optimizers that do not exist or cannot work are refused") {
  const auto refused = [](OptimizerOptions options) { CHECK_THROWS_AS(make_optimizer(options, {}), UsageError); };
  refused({"adamm", 0, false, 0, 1e-7});
  refused({"momentum", 0, false, 0, 1e-7});
  refused({"rmsprop", 0, false, 0, 1e-7, 1.0});
  refused({"adam", 0, false, 0, 1e-7, 0.99, {0.9, 1}});
  refused({"sgd", 1.0, false, 0, 1e-7});
  refused({"sgd", 0, true, 0, 1e-7});
  refused({"sgd", 0, false, -1, 1e-7});
  refused({"adagrad", 0, false, 0, 0});
}
