#pragma once

#include <string>
#include <vector>

#include "landscape/direction.h"
#include "landscape/plane.h"

namespace lossatlas {

/// A network's state, and what errors call it: the file it came from.
struct NamedState {
  std::string name;
  NetworkState state;
};

/// The direction from one state to another, `to` − `from`, rounded once. Throws Error where the parameters are equal.
Direction direction_between(const NamedState& from, const NamedState& to, DirectionType type);

/// Directions of the plane through three states, with its origin at a: d₁ = b − a, and d₂ = c − a made orthogonal to d₁
/// (Gram and Schmidt) and scaled to its length, so that both axes have one unit, ‖b − a‖. Statistics take the same
/// steps as the parameters, so that the plane passes through those of all three. Throws Error where two are equal, or
/// all three lie on one line.
std::vector<Direction> directions_through(const NamedState& a, const NamedState& b, const NamedState& c,
                                          DirectionType type);

/// Where a state's parameters lie.
struct Projection {
  std::vector<double> coordinates;  // of the nearest point of the plane (least squares), one a direction
  double distance = 0;              // to that point, Euclidean
};

/// On a plane or a line whose tensors lie on the CPU.
Projection project(const NetworkTensors& state, const Plane& plane);

}  // namespace lossatlas
