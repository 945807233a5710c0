#pragma once

#include <span>
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

/// The direction from one state to another, `to` − `from`, rounded once. Throws Error if the parameters are equal.
Direction direction_between(const NamedState& from, const NamedState& to, DirectionType type);

/// Directions of the plane through three states, or of the space through more, with its origin at one of them: d₁ leads
/// to the first other state, and each further dₖ to the next, made orthogonal to those before (Gram and Schmidt) and
/// scaled to the length of d₁, so that all axes have one unit. Statistics take the same steps as the parameters, so
/// that the plane passes through those of all states. Throws Error if two are equal, or one adds no direction.
std::vector<Direction> directions_through(const NamedState& origin, std::span<const NamedState> others,
                                          DirectionType type);

/// Where a state's parameters lie.
struct Projection {
  std::vector<double> coordinates;  // of the nearest point of the plane (least squares), one a direction
  double distance = 0;              // to that point, Euclidean
};

/// On a line, a plane or a space of more directions whose tensors lie on the CPU.
Projection project(const NetworkTensors& state, const Plane& plane);

}  // namespace lossatlas
