#pragma once

#include <span>
#include <vector>

#include "landscape/direction.h"
#include "models/network.h"

namespace lossatlas {

/// The points θ + Σ c_k d_k for coordinates c: a plane for two directions, a line for one. All tensors on one device.
struct Plane {
  NetworkState origin;
  std::vector<Direction> directions;
};

/// A copy of the plane on a device.
Plane copy_plane(const Plane& plane, torch::Device device);

/// Writes the parameters of the point into `point`, which has the origin's shapes; buffers are left alone. Each number
/// is computed in double and rounded once, and origin and directions are never written: no drift, and at coordinates 0
/// the origin's own bits.
void place(const Plane& plane, std::span<const double> coordinates, NetworkState& point);

}  // namespace lossatlas
