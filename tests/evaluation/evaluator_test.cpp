#include "evaluation/evaluator.h"

#include <torch/nn/functional/loss.h>
#include <torch/utils.h>

#include <array>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "catch.h"
#include "engines.h"
#include "evaluation/device.h"
#include "models/network.h"
#include "models/registry.h"

using namespace lossatlas;

namespace {

NetworkSpec small_spec(const std::string& architecture = "resnet20") {
  NetworkSpec spec;
  spec.architecture = architecture;
  spec.width = architecture == "resnet20" ? 4 : 0;
  return spec;
}

std::shared_ptr<const DataSet> small_data() {
  return std::make_shared<const DataSet>(load_data("synthetic:40", Split::train));
}

}  // namespace

TEST_CASE("batches are the normalized pixels") {
  const auto data = small_data();
  const Images batches(data, torch::kCPU);
  const auto batch = batches.normalized(3, 2);
  REQUIRE(batch.sizes() == torch::IntArrayRef({2, 3, 32, 32}));
  const float* values = batch.data_ptr<float>();
  const auto pixels = data->pixels.numbers<std::uint8_t>();
  for (std::size_t i = 0; i < 2 * 3072; ++i) {
    REQUIRE(values[i] == static_cast<float>((pixels[3 * 3072 + i] / 255.0 - 0.5) / 0.25));
  }
  // Floats are values already.
  DataSet floats = *data;
  std::vector<float> numbers(pixels.size());
  std::transform(pixels.begin(), pixels.end(), numbers.begin(), [](std::uint8_t pixel) { return pixel / 255.0f; });
  floats.pixels = Array(data->pixels.shape(), numbers);
  const Images same(std::make_shared<const DataSet>(floats), torch::kCPU);
  CHECK(torch::allclose(same.normalized(3, 2), batch, 1e-5, 1e-6));
  std::vector<float> read(2 * 3072);
  same.read(3, 2, read);
  CHECK(std::equal(read.begin(), read.end(), same.normalized(3, 2).data_ptr<float>()));
}

TEST_CASE("every engine agrees with the network run by hand") {
  const auto engine_choice = GENERATE(EngineChoice::eager, EngineChoice::fused);
  torch::manual_seed(1);
  const auto network = make_network(small_spec());
  network->eval();
  const auto data = small_data();
  const Engine engine = engine_over({small_spec(), {.batch_size = 16, .engine = engine_choice}}, data);
  CHECK(engine.is_fused() == (engine_choice == EngineChoice::fused));
  const Evaluation e = engine.make_evaluator()->evaluate(copy_state(state_of(*network), torch::kCPU));

  const torch::NoGradGuard no_gradients;
  const auto logits = network->forward(Images(data, torch::kCPU).normalized(0, 40)).to(torch::kFloat64);
  const auto labels = torch::arange(40).remainder(10);
  const double loss = torch::nn::functional::cross_entropy(logits, labels).item<double>();
  CHECK(e.loss == Approx(loss).epsilon(1e-6));
  CHECK(e.accuracy == Approx(100 * logits.argmax(1).eq(labels).to(torch::kFloat64).mean().item<double>()));
  CHECK(e.images == 40);
}

namespace {

/// Images on a device whose memory holds no more than so many at once.
class TightMemory : public Images {
 public:
  TightMemory(std::shared_ptr<const DataSet> data, std::int64_t most)
      : Images(std::move(data), torch::kCPU), most_(most) {}

  Batch batch(std::int64_t first, std::int64_t count) const override {
    TORCH_CHECK_WITH(OutOfMemoryError, count <= most_, "CUDA out of memory");
    return Images::batch(first, count);
  }

 private:
  std::int64_t most_;
};

}  // namespace

TEST_CASE("a batch that does not fit into memory is halved until it does, for all evaluators") {
  torch::manual_seed(1);
  const auto network = make_network(small_spec());
  const NetworkState state = copy_state(state_of(*network), torch::kCPU);
  const auto engine_of_batch = [&](std::int64_t batch_size) {
    return engine_over({small_spec(), {.batch_size = batch_size, .engine = EngineChoice::eager}}, small_data());
  };
  const Engine plenty = engine_of_batch(8);
  const Evaluation expected = plenty.make_evaluator()->evaluate(state);

  const Engine tight = engine_of_batch(32).with_samples(std::make_shared<TightMemory>(small_data(), 10));
  const auto first = tight.make_evaluator(), second = tight.make_evaluator();
  CHECK(first->evaluate(state).loss == expected.loss);
  CHECK(tight.batch_size() == 8);
  CHECK(second->evaluate(state).loss == expected.loss);
  CHECK(tight.batch_size() == 8);
  CHECK(tight.options().batch_size == 32);

  const Engine none = engine_of_batch(4).with_samples(std::make_shared<TightMemory>(small_data(), 0));
  CHECK_THROWS_AS(none.make_evaluator()->evaluate(state), c10::OutOfMemoryError);
}

TEST_CASE("an evaluator takes each state anew and leaves it as it was") {
  torch::manual_seed(2);
  const auto network = make_network(small_spec("lenet"));
  const Engine engine = engine_over({small_spec("lenet")}, small_data());
  const auto evaluator = engine.make_evaluator();
  NetworkState state = copy_state(state_of(*network), torch::kCPU);
  const NetworkState kept = copy_state(state, torch::kCPU);
  const double before = evaluator->evaluate(state).loss;
  CHECK(evaluator->evaluate(state).loss == before);
  for (std::size_t p = 0; p < kept.parameters.size(); ++p) {
    CHECK(torch::equal(state.parameters[p].tensor, kept.parameters[p].tensor));
  }
  NetworkState other = copy_state(state, torch::kCPU);
  other.parameters.back().tensor.add_(torch::arange(10));
  CHECK(evaluator->evaluate(other).loss != before);
  CHECK(evaluator->evaluate(state).loss == before);
}

TEST_CASE("one pass over the images serves several sizes") {
  const auto engine_choice = GENERATE(EngineChoice::eager, EngineChoice::fused);
  torch::manual_seed(5);
  const NetworkState state = copy_state(state_of(*make_network(small_spec())), torch::kCPU);
  EngineWords words{small_spec(), {.batch_size = 8, .engine = engine_choice}};
  words.extras = {true, true, 0.5};
  words.population = 40;
  const Engine engine = engine_over(words, small_data());
  const auto all = engine.make_evaluator()->evaluate(state, std::array<std::int64_t, 3>{8, 24, 40});
  REQUIRE(all.size() == 3);
  for (const Evaluation& part : all) {
    const auto indices = [&] {
      std::vector<std::int64_t> first(static_cast<std::size_t>(part.images));
      std::iota(first.begin(), first.end(), 0);
      return first;
    }();
    const auto data = std::make_shared<const DataSet>(subset(*small_data(), indices));
    const Evaluation alone = engine_over(words, data).make_evaluator()->evaluate(state);
    CHECK(part.loss == alone.loss);
    CHECK(part.loss_se == alone.loss_se);
    CHECK(part.accuracy == alone.accuracy);
    CHECK(part.images == alone.images);
    REQUIRE(part.more.size() == 12);
    for (const auto& [kind, value] : part.more) {
      CHECK((value == alone.value(kind) || (std::isnan(value) && std::isnan(alone.value(kind)))));
    }
  }
}

TEST_CASE("the L2 term is of all parameters") {
  torch::manual_seed(6);
  const NetworkState state = copy_state(state_of(*make_network(small_spec())), torch::kCPU);
  EngineWords words{small_spec()};
  words.extras.weight_decay = 0.01;
  double squares = 0;
  for (const auto& [name, tensor] : state.parameters) {
    squares += tensor.to(torch::kFloat64).square().sum().item<double>();
  }
  const Evaluation e = engine_over(words, small_data()).make_evaluator()->evaluate(state);
  REQUIRE(e.more.size() == 1);
  CHECK(e.value("l2") == Approx(0.005 * squares).epsilon(1e-12));
}

TEST_CASE("data that the network cannot take are refused") {
  NetworkSpec spec = small_spec("lenet");
  spec.input = {1, 28, 28};
  CHECK_THROWS_WITH(engine_over({spec}, small_data()), ContainsSubstring("3x32x32"));
  spec = small_spec("lenet");
  spec.classes = 5;
  CHECK_THROWS_WITH(engine_over({spec}, small_data()), ContainsSubstring("10 classes"));
  DataSet many = *small_data();
  spec.classes = 1000;
  many.classes = 1000;
  CHECK_NOTHROW(engine_over({spec}, std::make_shared<const DataSet>(many)));
}

TEST_CASE("batches are read as floats as they are made into tensors") {
  const auto data = small_data();
  const Images batches(data, torch::kCPU);
  auto read = torch::empty({7, 3, 32, 32});
  batches.read(5, 7, {read.data_ptr<float>(), static_cast<std::size_t>(read.numel())});
  CHECK(torch::equal(read, batches.normalized(5, 7)));
}

TEST_CASE("engines are named") {
  CHECK(engine_of("fused") == EngineChoice::fused);
  CHECK(name_of(EngineChoice::automatic) == "auto");
  CHECK_THROWS_AS(engine_of("quick"), UsageError);
}

TEST_CASE("devices are opened by name") {
  CHECK(open_device("cpu").is_cpu());
  CHECK_THROWS_AS(open_device("gpu"), UsageError);
  CHECK_THROWS_AS(open_device("cuda:"), UsageError);
  CHECK_THROWS_AS(open_device("cuda:999"), Error);
}

TEST_CASE("CUDA agrees with the CPU", "[cuda]") {
  torch::Device cuda = torch::kCPU;
  try {
    cuda = open_device("cuda");
  } catch (const Error& error) {
    WARN("skipped: " << error.what());
    return;
  }
  const auto data = small_data();
  for (const std::string architecture : {"resnet20", "vgg11", "densenet121", "lenet"}) {
    torch::manual_seed(3);
    const auto network = make_network(small_spec(architecture));
    const auto state = copy_state(state_of(*network), torch::kCPU);
    const double wanted = engine_over({small_spec(architecture)}, data).make_evaluator()->evaluate(state).loss;
    const auto at = [&](EngineChoice choice, Precision precision) {
      const EngineOptions options{.batch_size = 16, .engine = choice, .precision = precision};
      const Engine engine = engine_over({small_spec(architecture), options}, data, cuda);
      CHECK(engine.is_fused() == (choice != EngineChoice::eager));
      const OwnStream stream(cuda);
      const auto evaluator = engine.make_evaluator();
      const double loss = evaluator->evaluate(copy_state(state, cuda)).loss;
      CHECK(evaluator->evaluate(copy_state(state, cuda)).loss == loss);
      return loss;
    };
    CAPTURE(architecture);
    CHECK(at(EngineChoice::eager, Precision::fp32) == Approx(wanted).epsilon(1e-5));  // TF32 stays off
    CHECK(at(EngineChoice::automatic, Precision::fp32) == Approx(wanted).epsilon(1e-5));
    CHECK(at(EngineChoice::fused, Precision::tf32) == Approx(wanted).epsilon(2e-3));
    CHECK(at(EngineChoice::fused, Precision::bf16) == Approx(wanted).epsilon(2e-2));
    CHECK(at(EngineChoice::automatic, Precision::fp32) == Approx(wanted).epsilon(1e-5));  // and is off again
  }
  CHECK(instruction_set(cuda) != "CUDA");  // the name of the GPU
}
