#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

#include "landscape/direction.h"
#include "models/state.h"

namespace lossatlas {

/// The points θ + Σ c_k d_k for coordinates c: a line for one direction, a plane for two. All tensors on one device;
/// directions of one type.
struct Plane {
  NetworkState origin;
  std::vector<Direction> directions;
  /// Multiples of the directions at coordinates of a grid, where these are not the multiples: along a curve. May be
  /// null.
  std::function<std::vector<double>(std::span<const double> coordinates)> locate = nullptr;
};

/// The planes of a surface through one origin: one for each repeat, made when it is asked for. Any thread may ask.
class Planes {
 public:
  using MakeDirections = std::function<std::vector<Direction>(std::size_t repeat)>;
  using Locate = std::function<std::vector<double>(std::size_t repeat, std::span<const double> coordinates)>;

  /// A single plane.
  Planes(Plane plane);
  /// `directions` are made on the CPU and moved to the origin's device. The two planes used last are kept. `locate`:
  /// that of each plane, or null.
  Planes(NetworkState origin, MakeDirections directions, Locate locate = nullptr);

  std::shared_ptr<const Plane> at(std::size_t repeat) const;
  const NetworkState& origin() const { return origin_; }

 private:
  NetworkState origin_;
  MakeDirections make_;
  Locate locate_;
  mutable std::mutex mutex_;
  mutable std::deque<std::pair<std::size_t, std::shared_ptr<const Plane>>> kept_;  // the one used last in front
};

/// Writes the parameters of the point into `point`, which has the origin's shapes, and along directions of states its
/// batch-norm statistics; other buffers are not changed. Each number is computed in double and rounded once, and origin
/// and directions are never written: no drift, and at coordinates 0 the origin's own bits. As many coordinates as
/// directions.
void place(const Plane& plane, std::span<const double> coordinates, NetworkState& point);

/// The same at coordinates of a grid.
void place_on_grid(const Plane& plane, std::span<const double> coordinates, NetworkState& point);

}  // namespace lossatlas
