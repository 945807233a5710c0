#include "landscape/direction.h"

#include <omp.h>
#include <torch/utils.h>

#include <cmath>

#include "base/error.h"
#include "catch.h"
#include "landscape/direction_file.h"
#include "models/registry.h"
#include "storage/hdf5.h"
#include "temporary_folder.h"

using namespace lossatlas;

namespace {

std::vector<NamedTensor> parameters_of(const std::string& architecture) {
  torch::manual_seed(7);
  NetworkSpec spec;
  spec.architecture = architecture;
  if (architecture == "resnet20") spec.width = 4;
  const auto network = make_network(spec);
  const torch::NoGradGuard no_gradients;
  for (auto& parameter : network->parameters()) {
    if (parameter.dim() == 1) parameter.uniform_(0.5, 1.5);  // batch norm starts with ones and zeros
  }
  return state_of(*network).parameters;
}

torch::Tensor filter_norms(const torch::Tensor& tensor) {
  return tensor.detach().to(torch::kFloat64).flatten(1).norm(2, 1);
}

}  // namespace

TEST_CASE("filter normalization gives each filter the norm of the parameter's own") {
  const auto parameters = parameters_of("resnet20");
  const auto direction = random_direction(parameters, 0, {});
  REQUIRE(direction.size() == parameters.size());
  for (std::size_t p = 0; p < direction.size(); ++p) {
    CHECK(direction[p].name == parameters[p].name);
    REQUIRE(direction[p].tensor.sizes() == parameters[p].tensor.sizes());
    if (direction[p].tensor.dim() > 1) {
      CHECK(torch::allclose(filter_norms(direction[p].tensor), filter_norms(parameters[p].tensor), 1e-6));
    } else {
      CHECK(direction[p].tensor.abs().sum().item<float>() == 0);
    }
  }
}

TEST_CASE("every other normalization does what its name says") {
  const auto parameters = parameters_of("lenet");
  const auto draw = [&](Normalization n) { return random_direction(parameters, 1, {5, n, {}}); };
  const auto none = draw(Normalization::none), layer = draw(Normalization::layer), weight = draw(Normalization::weight),
             dfilter = draw(Normalization::dfilter), dlayer = draw(Normalization::dlayer);
  for (std::size_t p = 0; p < parameters.size(); ++p) {
    const auto theta = parameters[p].tensor.detach();
    if (theta.dim() <= 1) continue;
    const double drawn = none[p].tensor.norm().item<double>();
    CHECK(drawn == Approx(std::sqrt(static_cast<double>(theta.numel()))).epsilon(0.2));
    CHECK(layer[p].tensor.norm().item<double>() == Approx(theta.norm().item<double>()).epsilon(1e-5));
    CHECK(torch::equal(weight[p].tensor, none[p].tensor * theta));
    CHECK(torch::allclose(filter_norms(dfilter[p].tensor), torch::ones({theta.size(0)}, torch::kFloat64), 1e-6));
    CHECK(dlayer[p].tensor.norm().item<double>() == Approx(1).epsilon(1e-5));
  }
}

TEST_CASE("one-dimensional parameters that are not ignored are one filter of their own draw") {
  const auto parameters = parameters_of("resnet20");
  const auto x = random_direction(parameters, 0, {1, Normalization::filter, {false, false}});
  const auto y = random_direction(parameters, 1, {1, Normalization::filter, {false, false}});
  double worst = 0;
  for (std::size_t p = 0; p < x.size(); ++p) {
    const auto theta = parameters[p].tensor.detach();
    if (theta.dim() != 1) continue;
    CHECK(x[p].tensor.norm().item<double>() == Approx(theta.norm().item<double>()).epsilon(1e-5));
    CHECK_FALSE(torch::equal(x[p].tensor, theta));
    worst = std::max(worst, std::abs(dot({x[p]}, {y[p]})) / (norm({x[p]}) * norm({y[p]})));
  }
  CHECK(worst > 0);  // these have no common part, unlike Li et al.'s, whose cosine is 1 here
  CHECK(std::abs(dot(x, y)) / (norm(x) * norm(y)) < 0.05);
}

TEST_CASE("ignoring biases or batch norm alone zeroes the one and not the other") {
  const auto parameters = parameters_of("resnet20");
  const auto bias = random_direction(parameters, 0, {1, Normalization::filter, ignore_of("bias")});
  const auto bn = random_direction(parameters, 0, {1, Normalization::filter, ignore_of("bn")});
  for (std::size_t p = 0; p < parameters.size(); ++p) {
    const std::string& name = parameters[p].name;
    if (parameters[p].tensor.dim() != 1) continue;
    const bool linear = name == "linear.bias";
    INFO(name);
    CHECK((norm({bias[p]}) == 0) == linear);
    CHECK((norm({bn[p]}) == 0) == !linear);
  }
  CHECK_THROWS_AS(ignore_of("weights"), UsageError);
}

TEST_CASE("directions depend on seed and number, not on threads") {
  const auto parameters = parameters_of("lenet");
  const int threads = omp_get_max_threads();
  omp_set_num_threads(1);
  const auto one = random_direction(parameters, 0, {3, Normalization::filter, {}});
  omp_set_num_threads(4);
  const auto four = random_direction(parameters, 0, {3, Normalization::filter, {}});
  omp_set_num_threads(threads);
  const auto other_seed = random_direction(parameters, 0, {4, Normalization::filter, {}});
  const auto other_number = random_direction(parameters, 1, {3, Normalization::filter, {}});
  CHECK(torch::equal(one[0].tensor, four[0].tensor));
  CHECK_FALSE(torch::equal(one[0].tensor, other_seed[0].tensor));
  CHECK_FALSE(torch::equal(one[0].tensor, other_number[0].tensor));
  // The bits are part of every file made from a seed.
  CHECK(one[0].tensor.data_ptr<float>()[0] != 0);
}

TEST_CASE("a filter of zeros stays zero") {
  const std::vector<NamedTensor> parameters{{"w", torch::zeros({2, 3})}};
  CHECK(norm(random_direction(parameters, 0, {})) == 0);
}

TEST_CASE("directions are written in Li et al.'s layout and read back") {
  const TemporaryFolder folder;
  const auto parameters = parameters_of("lenet");
  const std::vector<Direction> written{random_direction(parameters, 0, {}), random_direction(parameters, 1, {})};
  write_directions(folder / "d.h5", written);
  const Hdf5Reader reader(folder / "d.h5");
  CHECK(reader.members("/") == std::vector<std::string>{"xdirection", "ydirection"});
  CHECK(reader.members("/xdirection").size() == parameters.size());
  const auto read = read_directions(folder / "d.h5", parameters);
  REQUIRE(read.size() == 2);
  for (std::size_t d = 0; d < 2; ++d) {
    for (std::size_t p = 0; p < parameters.size(); ++p) CHECK(torch::equal(read[d][p].tensor, written[d][p].tensor));
  }
  CHECK_THROWS_WITH(read_directions(folder / "d.h5", parameters_of("mlp")), ContainsSubstring("one architecture"));
  std::vector<NamedTensor> other = parameters;
  other[0].tensor = torch::zeros({5, 5});
  CHECK_THROWS_WITH(read_directions(folder / "d.h5", other), ContainsSubstring("[5, 5]"));
}
