#include "landscape/checkpoint_plane.h"

#include <ATen/TensorOperators.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace lossatlas {
namespace {

constexpr double kOnOneLine = 1e-4;  // sine of an angle: what float32 leaves of three states on a line is smaller
constexpr double kRounding = 1e-6;   // of a length: what float32 leaves of a state that lies in the plane

/// to − from, each number rounded once; whole numbers do not move.
Direction subtract(const NetworkTensors& to, const NetworkTensors& from, DirectionType type) {
  const auto wide = [](const at::Tensor& tensor) { return tensor.detach().to(at::kCPU, at::kDouble); };
  Direction result = zeros_like(to, part_of(type));
  for (const auto list : {&NetworkTensors::parameters, &NetworkTensors::buffers}) {
    for (std::size_t i = 0; i < (result.*list).size(); ++i) {
      const at::Tensor& out = (result.*list)[i].tensor;
      if (out.is_floating_point()) out.copy_(wide((to.*list)[i].tensor) - wide((from.*list)[i].tensor));
    }
  }
  return result;
}

/// factor · (moved − Σ shareₖ · fixedₖ), each number rounded once; of the buffers where `moved` has them.
Direction combine(std::span<const Direction> fixed, const Direction& moved, std::span<const double> shares,
                  double factor) {
  const auto wide = [](const at::Tensor& tensor) { return tensor.to(at::kDouble); };
  Direction result = zeros_like(moved, StatePart::all);
  for (const auto list : {&NetworkTensors::parameters, &NetworkTensors::buffers}) {
    for (std::size_t i = 0; i < (result.*list).size(); ++i) {
      const at::Tensor& out = (result.*list)[i].tensor;
      if (!out.is_floating_point()) continue;
      auto value = wide((moved.*list)[i].tensor);
      for (std::size_t k = 0; k < fixed.size(); ++k) value.sub_(wide((fixed[k].*list)[i].tensor), shares[k]);
      out.copy_(value.mul_(factor));
    }
  }
  return result;
}

/// Solves A x = b by elimination, A positive definite.
std::vector<double> solve(std::vector<std::vector<double>> a, std::vector<double> b) {
  for (std::size_t k = 0; k < b.size(); ++k) {
    for (std::size_t row = k + 1; row < b.size(); ++row) {
      const double factor = a[row][k] / a[k][k];
      for (std::size_t column = k; column < b.size(); ++column) a[row][column] -= factor * a[k][column];
      b[row] -= factor * b[k];
    }
  }
  for (std::size_t k = b.size(); k-- > 0;) {
    for (std::size_t column = k + 1; column < b.size(); ++column) b[k] -= a[k][column] * b[column];
    b[k] /= a[k][k];
  }
  return b;
}

}  // namespace

Direction direction_between(const NamedState& from, const NamedState& to, DirectionType type) {
  Direction direction = subtract(to.state, from.state, type);
  if (norm(direction) == 0) {
    throw Error("{} and {} hold the same parameters: there is no direction from one to the other", from.name, to.name);
  }
  return direction;
}

std::vector<Direction> directions_through(const NamedState& origin, std::span<const NamedState> others,
                                          DirectionType type) {
  std::vector<Direction> directions{direction_between(origin, others[0], type)};
  const double length = norm(directions[0]);
  for (std::size_t k = 1; k < others.size(); ++k) {
    const Direction other = direction_between(origin, others[k], type);
    for (std::size_t i = 0; i < k; ++i) direction_between(others[i], others[k], DirectionType::weights);  // not equal
    std::vector<double> shares;
    for (const Direction& fixed : directions) {
      const double own = norm(fixed);
      shares.push_back(dot(fixed, other) / (own * own));
    }
    const double rest = norm(combine(directions, other, shares, 1));
    if (rest <= kOnOneLine * norm(other)) {
      if (k == 1) {
        throw Error("{}, {} and {} lie on one line: they span no plane", origin.name, others[0].name, others[1].name);
      }
      throw Error("{} lies in the plane of the checkpoints before it: it adds no direction", others[k].name);
    }
    directions.push_back(combine(directions, other, shares, length / rest));
  }
  return directions;
}

Projection project(const NetworkTensors& state, const Plane& plane) {
  Direction way = subtract(state, plane.origin, DirectionType::weights);
  const auto& d = plane.directions;
  Projection found;
  if (d.size() == 2) {  // the normal equations of two directions
    const double xx = dot(d[0], d[0]), xy = dot(d[0], d[1]), yy = dot(d[1], d[1]);
    const double x = dot(way, d[0]), y = dot(way, d[1]), determinant = xx * yy - xy * xy;
    found.coordinates = {(x * yy - y * xy) / determinant, (y * xx - x * xy) / determinant};
  } else {
    std::vector<std::vector<double>> products(d.size(), std::vector<double>(d.size()));
    std::vector<double> with;
    for (std::size_t i = 0; i < d.size(); ++i) {
      for (std::size_t k = 0; k < d.size(); ++k) products[i][k] = dot(d[i], d[k]);
      with.push_back(dot(way, d[i]));
    }
    found.coordinates = solve(std::move(products), std::move(with));
  }
  const double length = norm(way);
  for (std::size_t k = 0; k < d.size(); ++k)
    way = combine(std::span(d).subspan(k, 1), way, std::span(found.coordinates).subspan(k, 1), 1);
  found.distance = norm(way);
  if (found.distance < kRounding * length) found.distance = 0;
  return found;
}

}  // namespace lossatlas
