#include "evaluation/graph_problem.h"

#include <torch/csrc/autograd/autograd.h>
#include <torch/nn/functional/loss.h>
#include <torch/utils.h>

#include <cmath>
#include <map>
#include <numeric>

#include "base/error.h"
#include "catch.h"
#include "evaluation/evaluator.h"

using namespace lossatlas;
namespace F = torch::nn::functional;

namespace {

std::shared_ptr<const ProblemFile> file_of(const std::string& name) {
  const auto folder = std::filesystem::path(LOSSATLAS_TEST_FILES) / "problems";
  return std::make_shared<const ProblemFile>(folder / (name + ".lossatlas"));
}

Engine engine_of_file(const std::shared_ptr<const ProblemFile>& file, EngineOptions options,
                      std::shared_ptr<const SampleSource> recalibration = nullptr) {
  return {make_problem(file),
          {.first = samples_of(*file, Split::train, torch::kCPU), .recalibration = std::move(recalibration)},
          options,
          torch::kCPU};
}

NetworkState state_of_file(const ProblemFile& file) { return copy_state(state_of(file), torch::kCPU); }

/// The network of convolutions.lossatlas in double: its losses [24], or with batch norm in training mode what it
/// normalizes.
struct Convolutions {
  std::map<std::string, at::Tensor> parameters, buffers;
  at::Tensor images, labels;

  explicit Convolutions(const ProblemFile& file)
      : images(file.data().inputs[0].to(torch::kFloat64)), labels(file.data().inputs[1]) {
    for (const auto& parameter : file.parameters()) parameters[parameter.name] = parameter.tensor.to(torch::kFloat64);
    for (const auto& buffer : file.buffers()) buffers[buffer.name] = buffer.tensor.to(torch::kFloat64);
  }

  at::Tensor convolved(const at::Tensor& some) const {
    return torch::conv2d(some, parameters.at("0.weight"), parameters.at("0.bias"), 2, 1);
  }

  at::Tensor logits() const {
    const auto x = torch::batch_norm(convolved(images), parameters.at("1.weight"), parameters.at("1.bias"),
                                     buffers.at("1.running_mean"), buffers.at("1.running_var"), false, 0, 1e-5, false);
    return torch::linear(x.relu().mean({2, 3}), parameters.at("5.weight"), parameters.at("5.bias"));
  }

  at::Tensor losses() const {
    return F::cross_entropy(logits(), labels, F::CrossEntropyFuncOptions().reduction(torch::kNone));
  }
};

double relative_error(const at::Tensor& found, const at::Tensor& wanted) {
  return ((found.to(torch::kFloat64) - wanted).norm() / wanted.norm()).item<double>();
}

}  // namespace

TEST_CASE("a problem file has the losses of its network in double, by every engine") {
  const auto file = file_of("convolutions");
  const Convolutions by_hand(*file);
  const torch::NoGradGuard no_gradients;
  for (const auto choice : {EngineChoice::eager, EngineChoice::fused}) {
    for (const std::int64_t batch : {24, 7, 23}) {  // of 23 one sample is left: it is padded to two
      const Engine engine = engine_of_file(file, {.batch_size = batch, .engine = choice});
      CHECK(engine.is_fused() == (choice == EngineChoice::fused));
      const Evaluation found = engine.make_evaluator()->evaluate(state_of_file(*file));
      CHECK(found.loss == Approx(by_hand.losses().mean().item<double>()).epsilon(1e-6));
      const auto correct = by_hand.logits().argmax(1).eq(by_hand.labels).to(torch::kFloat64);
      CHECK(found.accuracy == Approx(100 * correct.mean().item<double>()));
      CHECK(found.images == 24);
    }
  }
}

TEST_CASE("gradients and Hessian-vector products of a problem file are those of autograd in double") {
  const auto file = file_of("convolutions");
  Convolutions by_hand(*file);
  const Engine engine = engine_of_file(file, {.batch_size = 10, .engine = EngineChoice::eager});
  const auto objective = engine.make_objective();
  REQUIRE(objective->capabilities().hessian_vector);
  const NetworkState state = state_of_file(*file);
  NetworkState gradient = zeros_like(state, StatePart::parameters), product = zeros_like(state, StatePart::parameters);
  NetworkState direction = zeros_like(state, StatePart::parameters);
  torch::manual_seed(5);
  for (const auto& [name, tensor] : direction.parameters) tensor.normal_();
  objective->evaluate(state, {0, 24},
                      {.gradient = &gradient, .directions = {&direction, 1}, .products = {&product, 1}});

  std::vector<at::Tensor> parameters;
  for (const auto& [name, tensor] : state.parameters) {
    parameters.push_back(by_hand.parameters.at(name).requires_grad_());
  }
  const auto wanted = torch::autograd::grad({by_hand.losses().sum()}, parameters, {}, true, true);
  at::Tensor slope = torch::zeros({}, torch::kFloat64);
  for (std::size_t p = 0; p < parameters.size(); ++p) {
    CHECK(relative_error(gradient.parameters[p].tensor, wanted[p].detach()) < 1e-5);
    slope = slope + (wanted[p] * direction.parameters[p].tensor.to(torch::kFloat64)).sum();
  }
  const auto products = torch::autograd::grad({slope}, parameters);
  for (std::size_t p = 0; p < parameters.size(); ++p) {
    CHECK(relative_error(product.parameters[p].tensor, products[p]) < 1e-5);
  }
  CHECK_FALSE(engine_of_file(file, {.engine = EngineChoice::fused}).capabilities().hessian_vector);
}

TEST_CASE("the mean over sequences is weighted by their tokens") {
  const auto file = file_of("tokens");
  const Engine engine = engine_of_file(file, {.batch_size = 6});
  CHECK_FALSE(engine.capabilities().why_not_fused.empty());
  const auto problem = make_problem(file);
  const auto program = problem->make_program(torch::kCPU);
  program->load(state_of_file(*file));
  const torch::NoGradGuard no_gradients;
  const auto samples = samples_of(*file, Split::train, torch::kCPU);
  const auto rows = program->run(samples->batch(0, 20));
  REQUIRE(file->outputs() == std::vector<std::string>{"loss", "accuracy", "weight"});
  CHECK(rows.select(1, 2).eq(5).all().item<bool>());
  const double wanted = (rows.select(1, 0) * rows.select(1, 2)).sum().item<double>() / 100;
  const Evaluation found = engine.make_evaluator()->evaluate(state_of_file(*file));
  CHECK(found.loss == Approx(wanted).epsilon(1e-6));
  CHECK(found.images == 20);
  CHECK(measures_of(*problem->criterion(), Split::train, {}, false, "samples")[0].unit == "nats");
}

TEST_CASE("some samples of a problem file, in another order") {
  const auto file = file_of("convolutions");
  const auto all = samples_of(*file, Split::train, torch::kCPU);
  const std::vector<std::int64_t> indices{20, 3, 7, 7};
  const auto some = all->subset(indices);
  REQUIRE(some->size() == 4);
  const Batch batch = some->batch(1, 2);
  CHECK(torch::equal(batch.inputs[0][0], file->data().inputs[0][3]));
  CHECK(torch::equal(batch.inputs[1], file->data().inputs[1].index({torch::tensor({3, 7})})));
  CHECK_FALSE(batch.weights.defined());
  const Batch one = some->batch(3, 1);
  CHECK(one.inputs[0].size(0) == 2);
  CHECK(weights_of(one) == std::vector<double>{1, 0});
  CHECK_THROWS_WITH(samples_of(*file_of("tokens"), Split::test, torch::kCPU), ContainsSubstring("no test split"));
}

TEST_CASE("statistics of a problem file's batch norms are averages over the batches") {
  const auto file = file_of("convolutions");
  Convolutions by_hand(*file);
  const torch::NoGradGuard no_gradients;
  const auto samples = samples_of(*file, Split::train, torch::kCPU);
  const auto recalibration = make_problem(file)->make_recalibration(samples, torch::kCPU);
  const NetworkState state = state_of_file(*file);
  const NetworkTensors found = recalibration->apply(state);
  at::Tensor mean = torch::zeros({4}, torch::kFloat64), variance = mean.clone();
  const std::int64_t batch = file->batch_size();
  for (std::int64_t first = 0; first < 24; first += batch) {
    const std::int64_t count = std::min<std::int64_t>(batch, 24 - first);
    const auto x = by_hand.convolved(by_hand.images.narrow(0, first, count));
    mean += x.mean({0, 2, 3}) * (static_cast<double>(count) / 24);
    variance += x.var({0, 2, 3}, true) * (static_cast<double>(count) / 24);
  }
  CHECK(relative_error(found.buffers[0].tensor, mean) < 1e-5);
  CHECK(relative_error(found.buffers[1].tensor, variance) < 1e-5);
  CHECK_FALSE(torch::equal(found.buffers[0].tensor, state.buffers[0].tensor));
  const NetworkTensors again = recalibration->apply(state);
  CHECK(torch::equal(found.buffers[1].tensor, again.buffers[1].tensor));
  CHECK_THROWS_WITH(make_problem(file_of("tokens"))->check_recalibration(), ContainsSubstring("train mode"));
}
