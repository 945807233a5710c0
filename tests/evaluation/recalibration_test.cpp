#include "evaluation/recalibration.h"

#include <torch/nn/functional/activation.h>
#include <torch/nn/functional/conv.h>
#include <torch/utils.h>

#include <cmath>
#include <map>

#include "base/error.h"
#include "catch.h"
#include "engines.h"
#include "evaluation/evaluator.h"
#include "families.h"
#include "models/network.h"
#include "models/registry.h"

using namespace lossatlas;

namespace {

NetworkSpec resnet_spec() {
  NetworkSpec spec;
  spec.architecture = "resnet20";
  spec.width = 4;
  return spec;
}

std::shared_ptr<const DataSet> training_images(const std::string& words) {
  return std::make_shared<const DataSet>(load_data(words, Split::train));
}

/// A ResNet20 by hand, in float64, each batch norm with the mean and variance of the batch. They are added, by the
/// buffer's name, to the averages.
class ByHand {
 public:
  explicit ByHand(const NetworkTensors& state) {
    for (const auto& [name, tensor] : state.parameters) parameters_[name] = tensor.to(torch::kFloat64);
  }

  void run(torch::Tensor x, double share) {
    share_ = share;
    x = norm("bn1", conv("conv1", x, 1)).relu();
    for (int stage = 1; stage <= 3; ++stage) {
      for (int number = 0; number < 3; ++number) {
        x = block(fmt::format("layer{}.{}", stage, number), x, stage > 1 && number == 0 ? 2 : 1);
      }
    }
  }

  std::map<std::string, torch::Tensor> averages;

 private:
  torch::Tensor conv(const std::string& name, const torch::Tensor& x, std::int64_t stride) {
    const auto& weight = parameters_.at(name + ".weight");
    return torch::conv2d(x, weight, {}, stride, weight.size(2) / 2);
  }

  torch::Tensor norm(const std::string& name, const torch::Tensor& x) {
    const auto mean = x.mean({0, 2, 3}), variance = x.var({0, 2, 3}, false);
    const double n = static_cast<double>(x.numel()) / static_cast<double>(x.size(1));
    add(name + ".running_mean", mean);
    add(name + ".running_var", variance * (n / (n - 1)));
    const auto wide = [](const torch::Tensor& v) { return v.view({1, -1, 1, 1}); };
    return (x - wide(mean)) / (wide(variance) + 1e-5).sqrt() * wide(parameters_.at(name + ".weight")) +
           wide(parameters_.at(name + ".bias"));
  }

  void add(const std::string& name, const torch::Tensor& values) {
    averages[name] = averages.contains(name) ? averages[name] + share_ * values : share_ * values;
  }

  torch::Tensor block(const std::string& name, const torch::Tensor& x, std::int64_t stride) {
    auto skip = x;
    if (parameters_.contains(name + ".shortcut.0.weight")) {
      skip = norm(name + ".shortcut.1", conv(name + ".shortcut.0", x, stride));
    }
    const auto inner = norm(name + ".bn1", conv(name + ".conv1", x, stride)).relu();
    return (norm(name + ".bn2", conv(name + ".conv2", inner, 1)) + skip).relu();
  }

  std::map<std::string, torch::Tensor> parameters_;
  double share_ = 0;
};

NetworkState fresh_state(std::uint64_t seed = 7) {
  torch::manual_seed(seed);
  return copy_state(state_of(*make_network(resnet_spec())), torch::kCPU);
}

std::unique_ptr<Recalibration> make_fused(const NetworkSpec& spec, std::shared_ptr<const DataSet> images) {
  return make_fused_recalibration(make_recalibration_graph(spec), source_of(std::move(images)), best_instruction_set());
}

}  // namespace

TEST_CASE("statistics are averages over the batches, weighted by their images") {
  const torch::NoGradGuard no_gradients;
  const auto data = training_images("synthetic:300");
  const NetworkState state = fresh_state();
  ByHand by_hand(state);
  const Images batches(data, torch::kCPU);
  for (std::int64_t first = 0; first < 300; first += 128) {  // the last batch is of 44
    const std::int64_t count = std::min<std::int64_t>(128, 300 - first);
    by_hand.run(batches.normalized(first, count).to(torch::kFloat64), static_cast<double>(count) / 300);
  }
  const bool fused = GENERATE(false, true);
  const auto recalibration =
      fused ? make_fused(resnet_spec(), data) : make_eager_recalibration(resnet_spec(), source_of(data), torch::kCPU);
  recalibration->apply(fresh_state(8));
  const NetworkTensors found = recalibration->apply(state);  // what came before leaves no trace
  std::size_t compared = 0;
  for (const auto& [name, tensor] : found.buffers) {
    if (name.ends_with("num_batches_tracked")) continue;
    INFO(name);
    CHECK(torch::allclose(tensor.to(torch::kFloat64), by_hand.averages.at(name), 1e-4, 1e-5));
    ++compared;
  }
  CHECK(compared == by_hand.averages.size());
  for (std::size_t p = 0; p < state.parameters.size(); ++p) {
    CHECK(found.parameters[p].tensor.data_ptr() == state.parameters[p].tensor.data_ptr());
  }
}

TEST_CASE("every engine evaluates at the estimated statistics") {
  const auto choice = GENERATE(EngineChoice::eager, EngineChoice::fused);
  const NetworkState state = fresh_state();
  const auto data = training_images("synthetic:40"), train = training_images("synthetic:150");
  EngineWords words{resnet_spec(), {.batch_size = 16, .engine = choice}};
  const Engine stored = engine_over(words, data);
  words.recalibration = train;
  const Engine anew = engine_over(words, data);
  const double loss = anew.make_evaluator()->evaluate(state).loss;
  const auto recalibration = choice == EngineChoice::fused
                                 ? make_fused(resnet_spec(), train)
                                 : make_eager_recalibration(resnet_spec(), source_of(train), torch::kCPU);
  CHECK(loss == stored.make_evaluator()->evaluate(recalibration->apply(state)).loss);
  CHECK(std::abs(loss - stored.make_evaluator()->evaluate(state).loss) > 1e-3);
  words.options.engine = EngineChoice::eager;
  CHECK(loss == Approx(engine_over(words, data).make_evaluator()->evaluate(state).loss).epsilon(1e-5));
}

TEST_CASE("a TorchScript network has no batch norms to be reached") {
  NetworkSpec spec = resnet_spec();
  spec.script = "net.pt";
  const auto images = training_images("synthetic:40");
  CHECK_THROWS_WITH(make_eager_recalibration(spec, source_of(images), torch::kCPU), ContainsSubstring("`arch`"));
  CHECK_THROWS_WITH(make_recalibration_graph(spec), ContainsSubstring("`arch`"));
}

namespace {

void check_statistics(Breadth breadth) {
  const torch::NoGradGuard no_gradients;
  for (const ArchitectureInfo& info : architectures_of(breadth)) {
    NetworkSpec spec = info.defaults;
    if (spec.input[1] > 64) spec.input = {3, 49, 40};
    CAPTURE(info.name);
    const auto network = make_network(spec);
    for (const auto& [name, parameter] : state_of(*network).parameters) {
      if (parameter.dim() == 1) parameter.uniform_(0.5, 1.5);  // of batch norms: not 1 and 0
    }
    const NetworkTensors state = state_of(*network);
    DataSet data;
    data.shape = spec.input;
    data.classes = 2;
    data.normalization = {std::vector<double>(static_cast<std::size_t>(spec.input[0]), 0.4),
                          std::vector<double>(static_cast<std::size_t>(spec.input[0]), 0.3)};
    std::vector<std::uint8_t> pixels;
    for (std::size_t i = 0; i < 5 * data.image_size(); ++i) pixels.push_back(static_cast<std::uint8_t>(i * i % 253));
    data.pixels = Array({5, spec.input[0], spec.input[1], spec.input[2]}, std::move(pixels));
    data.labels.assign(5, 0);
    const auto images = std::make_shared<const DataSet>(data);
    const NetworkTensors wanted = make_eager_recalibration(spec, source_of(images), torch::kCPU)->apply(state);
    const auto fused = make_fused(spec, images);
    const NetworkTensors found = fused->apply(state);
    // Without shortcuts each layer makes the roundings of those before larger.
    const bool is_rough = info.name.ends_with("-noshort");
    const std::size_t compared = is_rough ? std::min<std::size_t>(36, wanted.buffers.size()) : wanted.buffers.size();
    for (std::size_t b = 0; b < compared; ++b) {
      const auto& buffer = wanted.buffers[b].tensor;
      if (!buffer.is_floating_point()) continue;
      INFO(wanted.buffers[b].name);
      CHECK((found.buffers[b].tensor - buffer).abs().max().item<double>() <= 2e-4 * buffer.abs().max().item<double>());
    }
  }
}

}  // namespace

TEST_CASE("the statistics of a network of each family are those that LibTorch finds") {
  check_statistics(Breadth::families);
}

TEST_CASE("every architecture's statistics are those that LibTorch finds", "[.full]") {
  check_statistics(Breadth::all);
}

TEST_CASE("statistics do not depend on how a batch is cut, and parameters that are not finite give some that are not") {
  const torch::NoGradGuard no_gradients;
  const auto data = training_images("synthetic:300");
  const NetworkState state = fresh_state();
  const auto graph = make_recalibration_graph(resnet_spec());
  const auto set = GENERATE(InstructionSet::portable, InstructionSet::avx2, InstructionSet::avx512);
  if (!is_available(set)) return;
  const auto first = make_fused_recalibration(graph, source_of(data), best_instruction_set())->apply(state);
  const auto recalibration = make_fused_recalibration(graph, source_of(data), set);
  const auto other = recalibration->apply(state);
  for (std::size_t b = 0; b < first.buffers.size(); ++b) {
    if (!first.buffers[b].tensor.is_floating_point()) continue;
    CHECK(torch::allclose(first.buffers[b].tensor, other.buffers[b].tensor, 1e-4, 1e-5));
  }
  state.parameters.front().tensor.view(-1)[0] = NAN;
  CHECK_FALSE(recalibration->apply(state).buffers.front().tensor.isfinite().all().item<bool>());
}
