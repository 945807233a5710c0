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

/// factor · (moved − share · fixed), each number rounded once; of the buffers where `moved` has them.
Direction combine(const Direction& fixed, const Direction& moved, double share, double factor) {
  const auto wide = [](const at::Tensor& tensor) { return tensor.to(at::kDouble); };
  Direction result = zeros_like(moved, StatePart::all);
  for (const auto list : {&NetworkTensors::parameters, &NetworkTensors::buffers}) {
    for (std::size_t i = 0; i < (result.*list).size(); ++i) {
      const at::Tensor& out = (result.*list)[i].tensor;
      if (!out.is_floating_point()) continue;
      out.copy_(wide((moved.*list)[i].tensor).sub_(wide((fixed.*list)[i].tensor), share).mul_(factor));
    }
  }
  return result;
}

}  // namespace

Direction direction_between(const NamedState& from, const NamedState& to, DirectionType type) {
  Direction direction = subtract(to.state, from.state, type);
  if (norm(direction) == 0) {
    throw Error("{} and {} hold the same parameters: there is no direction from one to the other", from.name, to.name);
  }
  return direction;
}

std::vector<Direction> directions_through(const NamedState& a, const NamedState& b, const NamedState& c,
                                          DirectionType type) {
  Direction first = direction_between(a, b, type);
  const Direction other = direction_between(a, c, type);
  direction_between(b, c, DirectionType::weights);  // throws where they are equal
  const double length = norm(first), share = dot(first, other) / (length * length);
  const double rest = norm(combine(first, other, share, 1));
  if (rest <= kOnOneLine * norm(other)) {
    throw Error("{}, {} and {} lie on one line: they span no plane", a.name, b.name, c.name);
  }
  Direction second = combine(first, other, share, length / rest);
  return {std::move(first), std::move(second)};
}

Projection project(const NetworkTensors& state, const Plane& plane) {
  Direction way = subtract(state, plane.origin, DirectionType::weights);
  const auto& d = plane.directions;
  Projection found;
  if (d.size() == 1) {
    found.coordinates = {dot(way, d[0]) / dot(d[0], d[0])};
  } else {  // the normal equations of two directions
    const double xx = dot(d[0], d[0]), xy = dot(d[0], d[1]), yy = dot(d[1], d[1]);
    const double x = dot(way, d[0]), y = dot(way, d[1]), determinant = xx * yy - xy * xy;
    found.coordinates = {(x * yy - y * xy) / determinant, (y * xx - x * xy) / determinant};
  }
  const double length = norm(way);
  for (std::size_t k = 0; k < d.size(); ++k) way = combine(d[k], way, found.coordinates[k], 1);
  found.distance = norm(way);
  if (found.distance < kRounding * length) found.distance = 0;
  return found;
}

}  // namespace lossatlas
