#include "landscape/checkpoint_plane.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace lossatlas {
namespace {

constexpr double kOnOneLine = 1e-4;  // sine of an angle: what float32 leaves of three states on a line is smaller
constexpr double kRounding = 1e-6;   // of a length: what float32 leaves of a state that lies in the plane

/// to − from, rounded once; zeros where the entry is not floating-point.
NamedTensor subtract(const NamedTensor& to, const NamedTensor& from) {
  if (!to.tensor.is_floating_point()) {
    return {to.name, at::zeros(to.tensor.sizes(), at::kFloat)};
  }
  const auto wide = [](const at::Tensor& tensor) { return tensor.detach().to(at::kCPU, at::kDouble); };
  return {to.name, (wide(to.tensor) - wide(from.tensor)).to(at::kFloat).contiguous()};
}

/// factor · (moved − share · fixed), each number rounded once; of the buffers where `moved` has them.
Direction combine(const Direction& fixed, const Direction& moved, double share, double factor) {
  const auto wide = [](const at::Tensor& tensor) { return tensor.to(at::kDouble); };
  Direction result;
  for (const auto list : {&Direction::parameters, &Direction::buffers}) {
    for (std::size_t i = 0; i < (moved.*list).size(); ++i) {
      const auto& [name, tensor] = (moved.*list)[i];
      const auto value = wide(tensor).sub_(wide((fixed.*list)[i].tensor), share).mul_(factor);
      (result.*list).push_back({name, value.to(at::kFloat)});
    }
  }
  return result;
}

}  // namespace

Direction direction_between(const NamedState& from, const NamedState& to, DirectionType type) {
  Direction direction;
  for (std::size_t p = 0; p < from.state.parameters.size(); ++p) {
    direction.parameters.push_back(subtract(to.state.parameters[p], from.state.parameters[p]));
  }
  if (norm(direction) == 0) {
    throw Error("{} and {} hold the same parameters: there is no direction from one to the other", from.name, to.name);
  }
  if (type == DirectionType::weights) return direction;
  for (std::size_t b = 0; b < from.state.buffers.size(); ++b) {
    direction.buffers.push_back(subtract(to.state.buffers[b], from.state.buffers[b]));
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

Projection project(const NetworkState& state, const Plane& plane) {
  Direction way;
  for (std::size_t p = 0; p < state.parameters.size(); ++p) {
    way.parameters.push_back(subtract(state.parameters[p], plane.origin.parameters[p]));
  }
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
