#include "surface/trajectory.h"

#include <ATen/ops/linalg_svd.h>
#include <torch/utils.h>

#include <array>
#include <cmath>

#include "base/error.h"
#include "catch.h"
#include "checkpoint/checkpoint.h"
#include "landscape/differences.h"
#include "landscape/pca.h"
#include "landscape/projection_file.h"
#include "storage/hdf5.h"
#include "temporary_folder.h"

using namespace lossatlas;

namespace {

torch::Tensor gram_of(const torch::Tensor& points) { return points.mm(points.t()).contiguous(); }

Pca pca_of(const torch::Tensor& points, std::size_t components) {
  const auto gram = gram_of(points);
  const auto n = static_cast<std::size_t>(points.size(0));
  return pca_of_gram({gram.data_ptr<double>(), n * n}, n, components);
}

torch::Tensor combined(const Pca& pca, std::size_t k, const torch::Tensor& points) {
  return torch::tensor(pca.combinations[k], torch::kFloat64).unsqueeze(0).mm(points).squeeze(0);
}

/// Parameters "a" [2, count - 2] and "b" [2] from `count` numbers, and one statistic.
NetworkTensors state_from(const torch::Tensor& numbers, double statistic) {
  const auto all = numbers.to(torch::kFloat32).contiguous();
  const std::int64_t count = all.numel();
  return {
      {{"a", all.slice(0, 0, count - 2).view({2, -1}).clone()}, {"b", all.slice(0, count - 2).clone()}},
      {{"running_mean", torch::full({3}, static_cast<float>(statistic))}, {"num_batches_tracked", torch::tensor(5)}}};
}

/// Checkpoints whose parameters are the rows, the last of which is the origin.
class Rows {
 public:
  explicit Rows(const torch::Tensor& rows) {
    for (std::int64_t i = 0; i < rows.size(0); ++i) {
      const NetworkState state = copy_state(state_from(rows[i], static_cast<double>(i)), torch::kCPU);
      write_checkpoint(folder_ / fmt::format("{}.pt", i), all_tensors(state), {});
      indices_.push_back(index_checkpoint(folder_ / fmt::format("{}.pt", i)));
      origin_ = state;
    }
  }

  Differences differences(int threads, InstructionSet set = best_instruction_set(), double few_products = 1e10) const {
    std::vector<const CheckpointIndex*> checkpoints;
    for (const CheckpointIndex& index : indices_) checkpoints.push_back(&index);
    return {origin_, checkpoints, {threads, set, few_products}};
  }

 private:
  TemporaryFolder folder_;
  std::vector<CheckpointIndex> indices_;
  NetworkState origin_;
};

struct Plane2 {
  std::vector<Direction> directions;
  Pca pca;
  Projected points;
};

Plane2 plane_of(const Rows& rows, int threads = 2) {
  const Differences differences = rows.differences(threads);
  Plane2 plane;
  plane.pca = differences.pca(10);
  Products products;
  plane.directions = differences.combine(std::span(plane.pca.combinations).first(2), DirectionType::states, products);
  plane.points = project(products, ProjectionRule::cos);
  return plane;
}

torch::Tensor random_rows(std::int64_t rows, std::int64_t columns, std::uint64_t seed) {
  torch::manual_seed(seed);
  return torch::randn({rows, columns}, torch::kFloat64);
}

}  // namespace

TEST_CASE("components follow from the Gram matrix alone, whatever the origin") {
  const auto points = random_rows(6, 9, 1);
  const auto centred = points - points.mean(0, true);
  const auto [u, s, v] = at::linalg_svd(centred, false);
  for (const auto& given : {points, points - points[5], points + 7}) {
    const Pca pca = pca_of(given, 4);
    REQUIRE(pca.explained_variance.size() == 4);
    for (std::int64_t k = 0; k < 4; ++k) {
      const double value = s[k].item<double>(), total = s.square().sum().item<double>();
      const auto at = static_cast<std::size_t>(k);
      CHECK(pca.singular_values[at] == Approx(value).epsilon(1e-10));
      CHECK(pca.explained_variance[at] == Approx(value * value / 5).epsilon(1e-10));
      CHECK(pca.explained_variance_ratio[at] == Approx(value * value / total).epsilon(1e-10));
      const auto component = combined(pca, at, given);
      CHECK(std::abs(component.dot(v[k]).item<double>()) == Approx(1).epsilon(1e-10));
      CHECK(component.norm().item<double>() == Approx(1).epsilon(1e-10));
    }
  }
  CHECK(pca_of(points, 99).explained_variance.size() == 6);
  const Pca nothing = pca_of(torch::ones({4, 3}, torch::kFloat64), 2);
  CHECK(nothing.explained_variance == std::vector<double>{0, 0});
  CHECK(nothing.explained_variance_ratio == std::vector<double>{0, 0});
}

TEST_CASE("the path of gradient descent on a quadratic bowl has the PCA that geometric sums give") {
  // L = ½ Σ λ_k θ_k², so θ_k after t steps is θ_k (1 - η λ_k)^t.
  constexpr int kSteps = 12;
  const std::array start{3.0, -2.0}, rate{0.9, 0.5};
  const auto rows = torch::zeros({kSteps, 8}, torch::kFloat64);
  for (int t = 0; t < kSteps; ++t) {
    for (int k = 0; k < 2; ++k)
      rows[t][k + 2] = start[static_cast<std::size_t>(k)] * std::pow(rate[static_cast<std::size_t>(k)], t);
  }
  const auto sum = [](double ratio) { return (1 - std::pow(ratio, kSteps)) / (1 - ratio); };
  const auto covariance = [&](std::size_t a, std::size_t b) {
    return start[a] * start[b] * (sum(rate[a] * rate[b]) - sum(rate[a]) * sum(rate[b]) / kSteps) / (kSteps - 1);
  };
  const double mean = (covariance(0, 0) + covariance(1, 1)) / 2, half = (covariance(0, 0) - covariance(1, 1)) / 2;
  const double root = std::hypot(half, covariance(0, 1));
  const Plane2 plane = plane_of(Rows(rows));
  CHECK(plane.pca.explained_variance[0] == Approx(mean + root).epsilon(1e-6));
  CHECK(plane.pca.explained_variance[1] == Approx(mean - root).epsilon(1e-6));
  CHECK(plane.pca.explained_variance_ratio[2] < 1e-12);
  // The first axis is the eigenvector of the covariance.
  const double angle = std::atan2(2 * covariance(0, 1), 2 * half) / 2;
  const auto axis = plane.directions[0].parameters[0].tensor.flatten();
  CHECK(std::abs(axis[2].item<double>() * std::cos(angle) + axis[3].item<double>() * std::sin(angle)) ==
        Approx(1).epsilon(1e-6));
}

TEST_CASE("a path that lies in a plane is projected exactly") {
  const auto basis = std::get<0>(at::linalg_svd(random_rows(400'002, 2, 2), false)).t();  // two orthonormal rows
  const auto coordinates = random_rows(8, 2, 3) * 5;
  const auto rows = coordinates.mm(basis) + random_rows(1, 400'002, 4);
  const Plane2 plane = plane_of(Rows(rows));
  const auto difference = [&](std::size_t i, std::size_t j) {
    return (coordinates[static_cast<std::int64_t>(i)] - coordinates[static_cast<std::int64_t>(j)])
        .norm()
        .item<double>();
  };
  for (std::size_t i = 0; i < 8; ++i) {
    for (std::size_t j = 0; j < 8; ++j) {
      const double drawn = std::hypot(plane.points.x[i] - plane.points.x[j], plane.points.y[i] - plane.points.y[j]);
      CHECK(drawn == Approx(difference(i, j)).epsilon(1e-4).margin(1e-4));
    }
    CHECK(plane.points.length[i] == Approx(difference(i, 7)).epsilon(1e-4).margin(1e-4));
    CHECK(plane.points.distance[i] < 1e-3);  // what rounding of 400,002 parameters to float32 leaves
  }
  CHECK(plane.points.x[7] == 0);
  CHECK(plane.points.distance[7] == 0);
}

TEST_CASE("components are of unit length, orthogonal, of one sign, and carry the statistics along") {
  const Plane2 plane = plane_of(Rows(random_rows(5, 20, 5)));
  for (std::size_t k = 0; k < 2; ++k) {
    const Direction& direction = plane.directions[k];
    CHECK(norm(direction) == Approx(1).epsilon(1e-6));
    const auto all = torch::cat({direction.parameters[0].tensor.flatten(), direction.parameters[1].tensor});
    CHECK(all.max().item<float>() >= -all.min().item<float>());
    // Statistic i is i, counted from the origin's 4: the same combination of them, with the sign of the direction.
    double expected = 0;
    for (std::size_t i = 0; i < 5; ++i) expected += plane.pca.combinations[k][i] * (static_cast<double>(i) - 4);
    CHECK(std::abs(direction.buffers[0].tensor[0].item<double>()) == Approx(std::abs(expected)).epsilon(1e-5));
    CHECK(direction.buffers[1].tensor.sum().item<float>() == 0);  // num_batches_tracked
  }
  CHECK(std::abs(cosine(plane.directions[0], plane.directions[1])) < 1e-6);
}

TEST_CASE("products in float find the components that products in double do, or give way to them") {
  constexpr std::int64_t kRows = 12, kColumns = 300'000;
  const auto way = torch::linspace(-1, 1, kRows, torch::kFloat64).unsqueeze(1);
  const auto pca_with = [&](double bend, double scale) {
    // Along one way, bent into a second, with noise beside them; the origin is its end.
    const auto points = way.mm(random_rows(1, kColumns, 21)) + (bend * way.square()).mm(random_rows(1, kColumns, 22)) +
                        random_rows(kRows, kColumns, 23) * (0.01 * bend);
    const Rows rows(points * scale);
    const Differences differences = rows.differences(2, best_instruction_set(), 0);
    const Pca own = differences.pca(4), exact = pca_of_gram(differences.gram(), kRows, 4);
    double worst = 0;
    for (std::size_t k = 0; k < 2; ++k) {
      CHECK(own.explained_variance[k] == Approx(exact.explained_variance[k]).epsilon(1e-6));
      for (std::size_t i = 0; i < kRows; ++i) {
        const double sign = own.combinations[k][0] * exact.combinations[k][0] < 0 ? -1 : 1;
        const double wanted = exact.combinations[k][i] * exact.singular_values[k];
        worst = std::max(worst, std::abs(sign * own.combinations[k][i] * own.singular_values[k] - wanted));
      }
    }
    return worst;
  };
  const double bent = pca_with(0.5, 1);
  CHECK(bent > 0);  // in float
  CHECK(bent < 1e-6);
  CHECK(pca_with(0.01, 1) == 0);    // nearly straight
  CHECK(pca_with(0.5, 1e17) == 0);  // squares that float cannot hold
  CHECK(pca_with(0.5, 1e-15) == 0);
}

TEST_CASE("every instruction set sums the same but for rounding") {
  const Rows rows(random_rows(7, 1500, 8));
  const auto gram = rows.differences(1).gram();
  for (const InstructionSet set : kInstructionSets) {
    if (!is_available(set)) continue;
    CAPTURE(name_of(set));
    const auto other = rows.differences(2, set).gram();
    for (std::size_t i = 0; i < gram.size(); ++i) CHECK(other[i] == Approx(gram[i]).epsilon(1e-12).margin(1e-9));
  }
}

TEST_CASE("a plane of checkpoints has the same bits on any number of threads") {
  const Rows rows(random_rows(4, 700'000, 6));
  const Plane2 one = plane_of(rows, 1), three = plane_of(rows, 3);
  CHECK(one.pca.explained_variance == three.pca.explained_variance);
  CHECK(one.points.x == three.points.x);
  CHECK(one.points.distance == three.points.distance);
  for (std::size_t k = 0; k < 2; ++k) {
    CHECK(torch::equal(one.directions[k].parameters[0].tensor, three.directions[k].parameters[0].tensor));
  }
  // What a second reading finds along the finished directions is what the first one said.
  const Products again = rows.differences(2).products(one.directions);
  CHECK(project(again, ProjectionRule::cos).x == one.points.x);
}

TEST_CASE("parameters that are not finite are refused by their file") {
  auto rows = random_rows(4, 20, 7);
  rows[2][3] = NAN;
  CHECK_THROWS_WITH(Rows(rows).differences(1).gram(), ContainsSubstring("2.pt") && ContainsSubstring("not finite"));
}

TEST_CASE("projections are written in multiples of the directions, or in their units") {
  Trajectory trajectory;
  for (const char* name : {"sgd", "adagrad"}) {
    RunPath run;
    run.name = name;
    run.points = {{1.5, 0}, {-2, 0}, {0.25, 0}, {3, 0}};
    trajectory.runs.push_back(run);
  }
  const TemporaryFolder folder;
  std::vector<Direction> directions(2);
  directions[0] = copy_state({{{"w", torch::tensor({3.F, 4.F})}}, {}}, torch::kCPU);
  directions[1] = copy_state({{{"w", torch::tensor({0.F, 2.F})}}, {}}, torch::kCPU);
  write_projection(folder / "cos.h5", trajectory, ProjectionRule::cos, directions);
  const Hdf5Reader cos(folder / "cos.h5");
  CHECK(cos.read<double>("/proj_xcoord") == std::vector<double>{7.5, 0, 7.5, 0});
  CHECK(cos.read<double>("/proj_ycoord") == std::vector<double>{-4, 0, -4, 0});
  write_projection(folder / "lstsq.h5", trajectory, ProjectionRule::lstsq, directions);
  CHECK(Hdf5Reader(folder / "lstsq.h5").read<double>("/proj_xcoord") == std::vector<double>{1.5, 0, 1.5, 0});
}
