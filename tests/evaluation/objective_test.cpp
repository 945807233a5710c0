#include "evaluation/objective.h"

#include <torch/nn/functional/loss.h>
#include <torch/utils.h>

#include <cmath>
#include <functional>
#include <stdexcept>

#include "base/error.h"
#include "catch.h"
#include "engines.h"
#include "evaluation/engines/eager.h"
#include "evaluation/evaluator.h"
#include "evaluation/program.h"
#include "models/network.h"
#include "models/registry.h"

using namespace lossatlas;

namespace {

/// A program of tests: a function of its parameters and the first input.
class Formula : public Program {
 public:
  using Function = std::function<at::Tensor(const std::vector<at::Tensor>&, const at::Tensor&)>;

  Formula(std::size_t parameters, Function function) : function_(std::move(function)) {
    for (std::size_t p = 0; p < parameters; ++p) parameters_.push_back(torch::zeros({0}));
  }

  void load(const NetworkTensors& state) override {
    for (std::size_t p = 0; p < parameters_.size(); ++p) parameters_[p].set_data(state.parameters[p].tensor);
  }
  const std::vector<at::Tensor>& parameters() const override { return parameters_; }
  at::Tensor run(const Batch& batch) override { return function_(parameters_, batch.inputs.front()); }

 private:
  std::vector<at::Tensor> parameters_;
  Function function_;
};

/// Regression with two outputs: tanh(x A) B.
at::Tensor regression(const std::vector<at::Tensor>& p, const at::Tensor& x) { return x.mm(p[0]).tanh().mm(p[1]); }

/// A language model: an embedding, its running mean as context, and the embedding again as the head. [N, T, V].
at::Tensor language(const std::vector<at::Tensor>& p, const at::Tensor& tokens) {
  const auto context = p[0].index({tokens}).cumsum(1);
  return context.matmul(p[0].t()) + p[1];
}

NetworkTensors state_of_tensors(std::initializer_list<at::Tensor> tensors) {
  NetworkTensors state;
  for (const at::Tensor& tensor : tensors) state.parameters.push_back({"p", tensor});
  return state;
}

NetworkTensors in_double(const NetworkTensors& state) {
  NetworkTensors doubles;
  for (const auto& [name, tensor] : state.parameters) doubles.parameters.push_back({name, tensor.to(torch::kFloat64)});
  return doubles;
}

/// Next-token cross-entropy: a sample's loss is the mean over its tokens that count (target not negative); perplexity's
/// logarithm is over the tokens of all samples.
class NextToken : public Criterion {
 public:
  const std::vector<Measure>& measures() const override { return measures_; }

  at::Tensor losses(const at::Tensor& outputs, const Batch& batch) const override {
    return of_tokens(outputs, batch.targets).sum(1) / batch.targets.ge(0).sum(1);
  }

  void add(const at::Tensor& outputs, const Batch& batch, Tally& tally) const override {
    const at::Tensor& targets = batch.targets;
    const auto tokens = of_tokens(outputs.to(torch::kFloat64), targets);
    for (std::int64_t n = 0; n < targets.size(0); ++n) {
      const auto own = tokens[n].masked_select(targets[n].ge(0));
      tally.add(0, own.mean().item<double>());
      for (std::int64_t i = 0; i < own.numel(); ++i) tally.add(1, own[i].item<double>());
    }
  }

 private:
  static at::Tensor of_tokens(const at::Tensor& outputs, const at::Tensor& targets) {
    namespace F = torch::nn::functional;
    const auto options = F::CrossEntropyFuncOptions().reduction(torch::kNone).ignore_index(-100);
    return F::cross_entropy(outputs.transpose(1, 2), targets, options);
  }

  std::vector<Measure> measures_{{"loss", ""}, {"token_loss", "", Measure::Over::parts}};
};

constexpr std::int64_t kSamples = 23, kBatch = 8;

struct Example {
  std::shared_ptr<const SampleSource> samples;
  std::shared_ptr<const Criterion> criterion;
  NetworkTensors state;
  Formula::Function function;

  std::unique_ptr<Objective> objective() const {
    return make_eager_objective(std::make_unique<Formula>(state.parameters.size(), function), criterion, samples,
                                kBatch);
  }
};

Example regression_example(at::Tensor weights = {}) {
  torch::manual_seed(4);
  const auto x = torch::randn({kSamples, 3}), y = torch::randn({kSamples, 2});
  return {std::make_shared<TensorSamples>(Batch{{x}, y, weights}), make_squared_error(),
          state_of_tensors({torch::randn({3, 5}), torch::randn({5, 2})}), regression};
}

Example language_example() {
  torch::manual_seed(5);
  const auto tokens = torch::randint(0, 11, {kSamples, 6}, torch::kLong);
  auto targets = torch::randint(0, 11, {kSamples, 6}, torch::kLong);
  targets.index_put_({torch::arange(kSamples).remainder(2).to(torch::kBool), torch::indexing::Slice(4)}, -100);
  return {std::make_shared<TensorSamples>(Batch{{tokens}, targets}), std::make_shared<NextToken>(),
          state_of_tensors({torch::randn({11, 4}), torch::randn({11})}), language};
}

/// Losses of all samples in double, by LibTorch alone.
at::Tensor losses_in_double(const Example& example, const NetworkTensors& state) {
  std::vector<at::Tensor> parameters;
  for (const auto& [name, tensor] : in_double(state).parameters) parameters.push_back(tensor);
  const Batch all = example.samples->batch(0, kSamples);
  const auto& input = all.inputs.front();
  const auto x = input.is_floating_point() ? input.to(torch::kFloat64) : input;
  return example.criterion->losses(example.function(parameters, x), all);
}

NetworkState gradient_of(Objective& objective, const NetworkTensors& state, SampleRange range) {
  NetworkState gradient = zeros_like(state, StatePart::parameters);
  objective.evaluate(state, range, {.gradient = &gradient});
  return gradient;
}

/// All numbers of a gradient, one after another.
at::Tensor numbers(const NetworkTensors& gradient) {
  std::vector<at::Tensor> all;
  for (const auto& [name, tensor] : gradient.parameters) all.push_back(tensor.flatten().to(torch::kFloat64));
  return torch::cat(all);
}

double distance(const at::Tensor& found, const at::Tensor& wanted) {
  return ((found - wanted).norm() / wanted.norm()).item<double>();
}

}  // namespace

TEST_CASE("a regression of floats is measured as LibTorch measures it in double") {
  const Example example = regression_example();
  SampleValues each = values_for(*example.criterion);
  const Measurement found = example.objective()->evaluate(example.state, {0, kSamples}, {.each = &each});
  const auto wanted = losses_in_double(example, example.state);
  REQUIRE(found.size() == 1);
  CHECK(found[0].count == kSamples);
  CHECK(found[0].mean() == Approx(wanted.mean().item<double>()).epsilon(1e-6));
  CHECK(found[0].standard_error(1e9) == Approx(wanted.std().item<double>() / std::sqrt(kSamples)).epsilon(1e-6));
  REQUIRE(each.at(0).size() == kSamples);
  for (std::int64_t n = 0; n < kSamples; ++n) {
    CHECK(each[0][static_cast<std::size_t>(n)] == Approx(wanted[n].item<double>()).epsilon(1e-5));
  }
}

TEST_CASE("the squared error of known numbers") {
  Measurement sum(1);
  Tally tally(sum);
  const auto criterion = make_squared_error();
  criterion->add(torch::tensor({{1.f, 2.f}, {0.f, 3.f}}), {{}, torch::tensor({{1.f, 0.f}, {1.f, 3.f}})}, tally);
  CHECK(sum[0].total == 2.5);  // (0 + 4) / 2 + (1 + 0) / 2
  CHECK_THROWS_WITH(criterion->losses(torch::zeros({2, 1}), {{}, torch::zeros({2})}), ContainsSubstring("one shape"));
}

TEST_CASE("sequences of whole numbers have losses over samples and over tokens") {
  const Example example = language_example();
  const Measurement found = example.objective()->evaluate(example.state, {0, kSamples});
  CHECK(found[0].mean() == Approx(losses_in_double(example, example.state).mean().item<double>()).epsilon(1e-5));
  // 12 whole sequences, and 11 whose last two tokens do not count.
  CHECK(found[1].count == 12 * 6 + 11 * 4);
  const Batch all = example.samples->batch(0, kSamples);
  std::vector<at::Tensor> parameters;
  for (const auto& [name, tensor] : in_double(example.state).parameters) parameters.push_back(tensor);
  const auto log_p = language(parameters, all.inputs.front()).log_softmax(2);
  const auto counts = all.targets.ge(0);
  const auto own = log_p.gather(2, all.targets.clamp_min(0).unsqueeze(2)).squeeze(2);
  CHECK(found[1].mean() == Approx(-own.masked_select(counts).mean().item<double>()).epsilon(1e-5));
}

TEST_CASE("the gradient is that of the sum of losses, in the layout of the state") {
  for (const Example& example : {regression_example(), language_example()}) {
    const auto objective = example.objective();
    REQUIRE(objective->capabilities().gradient);
    const NetworkState found = gradient_of(*objective, example.state, {0, kSamples});
    CHECK(found.flat.numel() == copy_state(example.state, torch::kCPU).parameter_end);
    const NetworkTensors doubles = in_double(example.state);

    // autograd, in double
    for (const auto& [name, tensor] : doubles.parameters) tensor.requires_grad_(true);
    losses_in_double(example, doubles).sum().backward();
    NetworkTensors wanted;
    for (const auto& [name, tensor] : doubles.parameters) wanted.parameters.push_back({name, tensor.grad()});
    CHECK(distance(numbers(found), numbers(wanted)) < 1e-5);

    // finite differences of the first number of each parameter, in double
    const torch::NoGradGuard no_gradients;
    constexpr double kStep = 1e-5;
    for (std::size_t p = 0; p < doubles.parameters.size(); ++p) {
      const auto first = doubles.parameters[p].tensor.view(-1)[0];
      const auto loss_after = [&](double step) {
        first.add_(step);
        return losses_in_double(example, doubles).sum().item<double>();
      };
      const double above = loss_after(kStep), below = loss_after(-2 * kStep);
      first.add_(kStep);
      const double slope = found.parameters[p].tensor.view(-1)[0].item<double>();
      CHECK(slope == Approx((above - below) / (2 * kStep)).epsilon(1e-4).margin(1e-4));
    }
  }
}

TEST_CASE("sums and gradients of parts of the samples add up, and what is added goes on") {
  const Example example = regression_example();
  const auto objective = example.objective();
  const Measurement whole = objective->evaluate(example.state, {0, kSamples});
  Measurement parts = objective->evaluate(example.state, {0, 10});
  parts += example.objective()->evaluate(example.state, {10, kSamples});
  CHECK(parts[0].count == whole[0].count);
  CHECK(parts[0].total == Approx(whole[0].total).epsilon(1e-12));
  NetworkState gradient = gradient_of(*objective, example.state, {0, 10});
  objective->evaluate(example.state, {10, kSamples}, {.gradient = &gradient});
  CHECK(distance(gradient.flat, gradient_of(*objective, example.state, {0, kSamples}).flat) < 1e-5);

  Measurement steps(1);
  objective->load(example.state);
  objective->add(objective->samples(), {0, kBatch}, steps);
  objective->add(objective->samples(), {kBatch, kSamples}, steps);
  CHECK(steps[0].total == whole[0].total);  // batch by batch, the same additions
}

TEST_CASE("padding counts nowhere") {
  const auto weights = torch::ones({kSamples});
  for (const std::int64_t padded : {2, 7, 8, 22}) weights[padded] = 0;
  const Example whole = regression_example(), padded = regression_example(weights);
  Example kept = whole;
  const Batch all = whole.samples->batch(0, kSamples);
  const auto indices = weights.nonzero().flatten();
  kept.samples = std::make_shared<TensorSamples>(
      Batch{{all.inputs.front().index_select(0, indices)}, all.targets.index_select(0, indices)});
  padded.samples->batch(7, 1).inputs.front().fill_(1000);
  SampleValues each = values_for(*padded.criterion);
  const auto objective = padded.objective();
  const Measurement found = objective->evaluate(padded.state, {0, kSamples}, {.each = &each});
  const Measurement wanted = kept.objective()->evaluate(kept.state, {0, kSamples - 4});
  CHECK(found[0].count == kSamples - 4);
  CHECK(each[0].size() == kSamples - 4);
  CHECK(found[0].total == Approx(wanted[0].total).epsilon(1e-12));
  const NetworkState gradient = gradient_of(*objective, padded.state, {0, kSamples});
  CHECK(distance(gradient.flat, gradient_of(*kept.objective(), kept.state, {0, kSamples - 4}).flat) < 1e-5);
  CHECK_THROWS_WITH(regression_example(torch::full({kSamples}, -0.5)), ContainsSubstring("weight"));
  CHECK_THROWS_WITH(TensorSamples(Batch{{torch::zeros({3, 1})}, torch::zeros({4})}), ContainsSubstring("first axis"));
}

TEST_CASE("a network's gradient is that of autograd, and asking for it changes no value") {
  NetworkSpec spec;
  spec.architecture = "lenet";
  torch::manual_seed(6);
  const auto network = make_network(spec);
  network->eval();
  const auto data = std::make_shared<const DataSet>(load_data("synthetic:40", Split::train));
  EngineWords words{spec, {.engine = EngineChoice::eager}};
  const NetworkState state = copy_state(state_of(*network), torch::kCPU);
  for (const LossFunction loss : {LossFunction::cross_entropy, LossFunction::mse}) {
    words.loss = loss;
    const Engine engine = engine_over(words, data);
    CHECK(engine.capabilities().gradient);
    const auto objective = engine.make_objective();
    const Measurement plain = objective->evaluate(state, {0, 40});
    NetworkState gradient = zeros_like(state, StatePart::parameters);
    const Measurement again = objective->evaluate(state, {0, 40}, {.gradient = &gradient});
    CHECK(again[0].total == plain[0].total);
    CHECK(objective->evaluate(state, {0, 40})[0].total == plain[0].total);

    const auto logits = network->forward(Images(data, torch::kCPU).normalized(0, 40));
    const auto labels = torch::tensor(data->labels);
    network->zero_grad();
    const auto summed = torch::nn::functional::CrossEntropyFuncOptions().reduction(torch::kSum);
    (loss == LossFunction::mse ? (logits - torch::one_hot(labels, 10)).square().mean(1).sum()
                               : torch::nn::functional::cross_entropy(logits, labels, summed))
        .backward();
    NetworkTensors wanted;
    for (const auto& parameter : network->parameters()) wanted.parameters.push_back({"", parameter.grad()});
    CHECK(distance(numbers(gradient), numbers(wanted)) < 1e-5);
  }
}

TEST_CASE("the fused engine has no gradient, and runs any source of images and criterion") {
  NetworkSpec spec;
  spec.architecture = "lenet";
  torch::manual_seed(7);
  const auto network = make_network(spec);
  network->eval();
  const auto data = std::make_shared<const DataSet>(load_data("synthetic:40", Split::train));
  const Engine engine = engine_over({spec, {.engine = EngineChoice::fused}}, data);
  CHECK_FALSE(engine.capabilities().gradient);
  CHECK(engine.capabilities().why_not_fused.empty());
  CHECK(why_not_fused(spec).empty());
  const auto objective = engine.make_objective();
  const NetworkState state = copy_state(state_of(*network), torch::kCPU);
  NetworkState gradient = zeros_like(state, StatePart::parameters);
  CHECK_THROWS_AS(objective->evaluate(state, {0, 40}, {.gradient = &gradient}), std::logic_error);

  const Measurement images = objective->evaluate(state, {0, 40});
  const auto inputs = Images(data, torch::kCPU).normalized(0, 40);
  const TensorSamples floats(Batch{{inputs}, torch::tensor(data->labels), torch::ones({40})});
  Measurement sum(2);
  objective->add(floats, {0, 40}, sum);
  CHECK(sum[0].total == images[0].total);
  CHECK(sum[1].total == images[1].total);
  const TensorSamples larger(Batch{{torch::zeros({40, 3, 33, 32})}, torch::tensor(data->labels)});
  const Engine whole = engine_over({spec, {.batch_size = 40}}, data);
  CHECK_THROWS_AS(whole.make_objective()->add(larger, {0, 40}, sum), std::logic_error);
}
