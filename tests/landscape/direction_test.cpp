#include "landscape/direction.h"

#include <fmt/format.h>
#include <omp.h>
#include <torch/utils.h>

#include <cmath>

#include "base/error.h"
#include "base/stopwatch.h"
#include "catch.h"
#include "evaluation/evaluator.h"
#include "landscape/direction_file.h"
#include "models/network.h"
#include "models/registry.h"
#include "storage/hdf5.h"
#include "temporary_folder.h"

using namespace lossatlas;

namespace {

NetworkState state_of(const std::string& architecture) {
  torch::manual_seed(7);
  NetworkSpec spec;
  spec.architecture = architecture;
  if (architecture == "resnet20") spec.width = 4;
  const auto network = make_network(spec);
  const torch::NoGradGuard no_gradients;
  for (auto& parameter : network->parameters()) {
    if (parameter.dim() == 1) parameter.uniform_(0.5, 1.5);  // batch norm starts with ones and zeros
  }
  return copy_state(state_of(*network), torch::kCPU);
}

/// One parameter of a direction.
NetworkTensors one(const NetworkTensors& direction, std::size_t p) { return {{direction.parameters[p]}, {}}; }

torch::Tensor filter_norms(const torch::Tensor& tensor) {
  return tensor.detach().to(torch::kFloat64).flatten(1).norm(2, 1);
}

}  // namespace

TEST_CASE("filter normalization gives each filter the norm of the parameter's own") {
  const auto origin = state_of("resnet20");
  const auto& parameters = origin.parameters;
  const auto direction = random_direction(origin, 0, {}).parameters;
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
  const auto origin = state_of("lenet");
  const auto& parameters = origin.parameters;
  const auto draw = [&](Normalization n) { return random_direction(origin, 1, {5, n, {}}).parameters; };
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

namespace {

/// The norms of the slices along an axis, each of `size` indices, in double, by LibTorch's own reshaping.
at::Tensor slice_norms(const at::Tensor& tensor, std::int64_t axis, std::int64_t size = 1) {
  const auto front = tensor.to(torch::kFloat64).movedim(axis, 0);
  return front.reshape({front.size(0) / size, -1}).norm(2, 1);
}

}  // namespace

TEST_CASE("a slice is what the owning module says: a column, a head, an index of any axis") {
  torch::manual_seed(8);
  const NetworkTensors origin{{{"conv1d.weight", torch::randn({6, 10})},
                               {"attention.weight", torch::randn({12, 5})},
                               {"out.weight", torch::randn({5, 12})},
                               {"bias", torch::randn({6})},
                               {"position", torch::randn({1, 4, 3})}},
                              {}};
  DirectionOptions options{.normalization = Normalization::filter, .ignore = ignore_of("none")};
  options.slices = {
      {.axis = 1}, {.axis = 0, .head = Slices::Head{0, 4}}, {.axis = 0, .head = Slices::Head{1, 4}}, {}, {.axis = 1}};
  const auto compare = [&](std::vector<std::int64_t> axes, std::vector<std::int64_t> sizes) {
    const auto direction = random_direction(origin, 0, options).parameters;
    for (std::size_t p = 0; p < axes.size(); ++p) {
      CAPTURE(name_of(options.normalization), origin.parameters[p].name);
      const auto& theta = origin.parameters[p].tensor;
      CHECK(torch::allclose(slice_norms(direction[p].tensor, axes[p], sizes[p]), slice_norms(theta, axes[p], sizes[p]),
                            1e-6));
      CHECK_FALSE(torch::allclose(direction[p].tensor, theta));
    }
  };
  compare({1, 0, 0, 0, 1}, {1, 1, 1, 6, 1});
  options.normalization = Normalization::column;
  compare({1, 1, 1, 0, 1}, {1, 1, 1, 6, 1});
  options.normalization = Normalization::head;
  compare({1, 0, 1, 0, 1}, {1, 4, 4, 6, 1});

  auto x = random_direction(origin, 0, options), y = random_direction(origin, 1, options);
  make_orthogonal(std::span(&x, 1), y, origin, options);
  CHECK(std::abs(cosine(x, y)) < 1e-7);
  CHECK(
      torch::allclose(slice_norms(y.parameters[2].tensor, 1, 4), slice_norms(origin.parameters[2].tensor, 1, 4), 1e-6));

  options.slices[1] = {.lacks_heads = true};
  CHECK_THROWS_WITH(random_direction(origin, 0, options), ContainsSubstring("attention.weight"));
  options.ignore = ignore_of("attention.*");
  CHECK_NOTHROW(random_direction(origin, 0, options));
  options.slices.clear();
  CHECK_THROWS_WITH(random_direction(origin, 0, options), ContainsSubstring("no parameter"));
}

TEST_CASE("one-dimensional parameters that are not ignored are one filter of their own draw") {
  const auto origin = state_of("resnet20");
  const auto& parameters = origin.parameters;
  const auto x = random_direction(origin, 0, {1, Normalization::filter, {false, false}});
  const auto y = random_direction(origin, 1, {1, Normalization::filter, {false, false}});
  double worst = 0;
  for (std::size_t p = 0; p < parameters.size(); ++p) {
    const auto theta = parameters[p].tensor.detach();
    if (theta.dim() != 1) continue;
    CHECK(x.parameters[p].tensor.norm().item<double>() == Approx(theta.norm().item<double>()).epsilon(1e-5));
    CHECK_FALSE(torch::equal(x.parameters[p].tensor, theta));
    worst = std::max(worst, std::abs(cosine(one(x, p), one(y, p))));
  }
  CHECK(worst > 0);  // these have no common part, unlike Li et al.'s, whose cosine is 1 here
  CHECK(std::abs(dot(x, y)) / (norm(x) * norm(y)) < 0.05);
}

TEST_CASE("ignoring biases or batch norm alone zeroes the one and not the other") {
  const auto origin = state_of("resnet20");
  const auto& parameters = origin.parameters;
  const auto bias = random_direction(origin, 0, {1, Normalization::filter, ignore_of("bias")});
  const auto bn = random_direction(origin, 0, {1, Normalization::filter, ignore_of("bn")});
  for (std::size_t p = 0; p < parameters.size(); ++p) {
    const std::string& name = parameters[p].name;
    if (parameters[p].tensor.dim() != 1) continue;
    const bool linear = name == "linear.bias";
    INFO(name);
    CHECK((norm(one(bias, p)) == 0) == linear);
    CHECK((norm(one(bn, p)) == 0) == !linear);
  }
  CHECK_THROWS_AS(ignore_of("bias,,bn"), UsageError);
}

TEST_CASE("directions depend on seed and number, not on threads") {
  const auto origin = state_of("lenet");
  const int threads = omp_get_max_threads();
  omp_set_num_threads(1);
  const auto one = random_direction(origin, 0, {3, Normalization::filter, {}});
  omp_set_num_threads(4);
  const auto four = random_direction(origin, 0, {3, Normalization::filter, {}});
  omp_set_num_threads(threads);
  const auto other_seed = random_direction(origin, 0, {4, Normalization::filter, {}});
  const auto other_number = random_direction(origin, 1, {3, Normalization::filter, {}});
  CHECK(torch::equal(one.parameters[0].tensor, four.parameters[0].tensor));
  CHECK_FALSE(torch::equal(one.parameters[0].tensor, other_seed.parameters[0].tensor));
  CHECK_FALSE(torch::equal(one.parameters[0].tensor, other_number.parameters[0].tensor));
  // The bits are part of every file made from a seed.
  CHECK(one.parameters[0].tensor.data_ptr<float>()[0] != 0);
}

TEST_CASE("a seed's direction is the same for all times") {
  NetworkTensors origin;
  origin.parameters.push_back({"weight", torch::ones({1, 4})});
  const auto drawn = [&](std::uint32_t number, Distribution distribution) {
    const Direction direction = random_direction(origin, number, {3, Normalization::none, {}, distribution});
    return fmt::format("{}", fmt::join(numbers_of(direction.parameters[0].tensor), " "));  // digits that tell all bits
  };
  CHECK(drawn(0, Distribution::gaussian) == "-1.0473926 0.06653819 0.5833931 0.17467795");
  CHECK(drawn(1, Distribution::gaussian) == "-0.8658797 0.50798297 0.84751934 0.07432125");
  CHECK(drawn(0, Distribution::uniform) == "-0.9977931 0.15305836 0.08610458 -0.02019428");
}

TEST_CASE("a filter of zeros stays zero") {
  const NetworkTensors origin{{{"w", torch::zeros({2, 3})}}, {}};
  CHECK(norm(random_direction(origin, 0, {})) == 0);
}

TEST_CASE("directions are written in Li et al.'s layout and read back") {
  const TemporaryFolder folder;
  const auto origin = state_of("lenet");
  const auto& parameters = origin.parameters;
  const std::vector<Direction> written{random_direction(origin, 0, {}), random_direction(origin, 1, {})};
  write_directions(folder / "d.h5", written);
  const Hdf5Reader reader(folder / "d.h5");
  CHECK(reader.members("/") == std::vector<std::string>{"xdirection", "ydirection"});
  CHECK(reader.members("/xdirection").size() == parameters.size());
  const auto read = read_directions(folder / "d.h5", origin);
  REQUIRE(read.size() == 2);
  for (std::size_t d = 0; d < 2; ++d) {
    for (std::size_t p = 0; p < parameters.size(); ++p)
      CHECK(torch::equal(read[d].parameters[p].tensor, written[d].parameters[p].tensor));
  }
  CHECK_THROWS_WITH(read_directions(folder / "d.h5", state_of("mlp")), ContainsSubstring("one architecture"));
  NetworkState other = origin;
  other.parameters[0].tensor = torch::zeros({5, 5});
  CHECK_THROWS_WITH(read_directions(folder / "d.h5", other), ContainsSubstring("[5, 5]"));
}

TEST_CASE("patterns of names stay, and one that fits nothing is named") {
  const auto origin = state_of("resnet20");
  const auto ignore = ignore_of("bias,layer1.*,*.conv2.weight");
  CHECK(name_of(ignore) == "bias,layer1.*,*.conv2.weight");
  CHECK_FALSE(ignore.bn);
  const auto direction = random_direction(origin, 0, {1, Normalization::filter, ignore});
  const auto free = random_direction(origin, 0, {1, Normalization::filter, ignore_of("bias")});
  for (std::size_t p = 0; p < direction.parameters.size(); ++p) {
    const auto& [name, tensor] = direction.parameters[p];
    INFO(name);
    const bool stays = name.starts_with("layer1.") || name.ends_with(".conv2.weight");
    CHECK(torch::equal(tensor, stays ? torch::zeros_like(tensor) : free.parameters[p].tensor));
  }
  CHECK_THROWS_WITH(random_direction(origin, 0, {1, Normalization::filter, ignore_of("bn,head.*")}),
                    ContainsSubstring("`ignore` head.*"));
  CHECK_THROWS_WITH(random_direction(origin, 0, {1, Normalization::filter, ignore_of("*")}),
                    ContainsSubstring("nothing to move"));
}

TEST_CASE("a uniform draw lies in [-1, 1] with mean 0, and two of them have no common part") {
  const auto origin = state_of("lenet");
  const DirectionOptions options{2, Normalization::none, {}, Distribution::uniform};
  const auto x = random_direction(origin, 0, options), y = random_direction(origin, 1, options);
  for (const auto& [name, tensor] : x.parameters) {
    if (tensor.dim() == 1) continue;
    CHECK(tensor.abs().max().item<double>() <= 1);
    const double deviation = 1 / std::sqrt(3.0), count = static_cast<double>(tensor.numel());
    CHECK(std::abs(tensor.mean().item<double>()) < 5 * deviation / std::sqrt(count));
    CHECK(tensor.std().item<double>() == Approx(deviation).epsilon(5 / std::sqrt(count)));
  }
  CHECK(std::abs(cosine(x, y)) < 0.02);
}

TEST_CASE("a direction made orthogonal keeps its normalization") {
  const auto origin = state_of("resnet20");
  const auto x = random_direction(origin, 0, {});
  auto y = random_direction(origin, 1, {});
  CHECK(std::abs(cosine(x, y)) > 1e-6);
  make_orthogonal(std::span(&x, 1), y, origin, {});
  CHECK(std::abs(cosine(x, y)) < 1e-7);
  for (std::size_t p = 0; p < origin.parameters.size(); ++p) {
    if (y.parameters[p].tensor.dim() < 2) continue;
    CHECK(torch::allclose(filter_norms(y.parameters[p].tensor), filter_norms(origin.parameters[p].tensor), 1e-6));
  }
  auto none = random_direction(origin, 1, {0, Normalization::none, {}});
  make_orthogonal(std::span(&x, 1), none, origin, {0, Normalization::none});
  CHECK(std::abs(cosine(x, none)) < 1e-7);
  const NetworkTensors single{{{"w", torch::ones({1, 3})}}, {}};
  const auto fixed = random_direction(single, 0, {});
  Direction same = copy_state(fixed, torch::kCPU);  // nothing of it is left
  CHECK_THROWS_WITH(make_orthogonal(std::span(&fixed, 1), same, single, {}), ContainsSubstring("cannot be made"));
}

TEST_CASE("directions of states go through a file in the order of the state_dict, with or without the counters") {
  const TemporaryFolder folder;
  const auto origin = state_of("resnet20");
  const auto entries = in_state_dict_order(origin);
  std::vector<std::string> names;
  for (std::size_t i = 0; i < 7; ++i) names.push_back(entries[i].name);
  CHECK(names == std::vector<std::string>{"conv1.weight", "bn1.weight", "bn1.bias", "bn1.running_mean",
                                          "bn1.running_var", "bn1.num_batches_tracked", "layer1.0.conv1.weight"});
  const DirectionOptions options{1, Normalization::filter, ignore_of("none"), Distribution::gaussian,
                                 DirectionType::states};
  const auto written = random_direction(origin, 0, options);
  CHECK(norm(one({written.buffers, {}}, 0)) == Approx(origin.buffers[0].tensor.norm().item<double>()));
  write_directions(folder / "d.h5", {written});
  Hdf5Writer without;  // num_batches_tracked
  const auto all = in_state_dict_order(written);
  for (std::size_t i = 0, number = 0; i < all.size(); ++i) {
    if (all[i].name.ends_with("num_batches_tracked")) continue;
    const Shape shape(all[i].tensor.sizes().begin(), all[i].tensor.sizes().end());
    without.write<float>("/xdirection/" + std::to_string(number++), numbers_of(all[i].tensor), shape);
  }
  without.save(folder / "without.h5");
  for (const char* file : {"d.h5", "without.h5"}) {
    const auto read = read_directions(folder / file, origin);
    REQUIRE(read.size() == 1);
    CHECK((type_of(read[0]) == DirectionType::states));
    for (std::size_t b = 0; b < origin.buffers.size(); ++b) {
      CHECK(torch::equal(read[0].buffers[b].tensor, written.buffers[b].tensor));
    }
  }
}

// Not run by default: landscape_tests "[.speed]" -d yes
TEST_CASE("a pair of directions of a ResNet18", "[.speed]") {
  NetworkSpec spec;
  spec.architecture = "resnet18-cifar";
  const auto origin = copy_state(state_of(*make_network(spec)), torch::kCPU);
  for (std::uint32_t turn = 0; turn < 5; ++turn) {
    const Stopwatch watch;
    const auto x = random_direction(origin, 2 * turn, {}), y = random_direction(origin, 2 * turn + 1, {});
    const double seconds = watch.seconds();
    WARN("directions of 11.2 million numbers: " << seconds << " s, with their cosine " << cosine(x, y) << ": "
                                                << watch.seconds() << " s");
  }
}
