#include "landscape/plane.h"

#include <ATen/TensorOperators.h>

#include <algorithm>
#include <array>
#include <stdexcept>

namespace lossatlas {
namespace {

/// On the CPU, some numbers at a time, so that their sums stay in the first-level cache: origin, directions and out are
/// each passed once.
void place_on_cpu(const at::Tensor& origin, const std::vector<at::Tensor>& directions,
                  std::span<const double> coordinates, const at::Tensor& out) {
  constexpr std::size_t kAtATime = 1024;
  std::array<double, kAtATime> sums;
  const auto from = numbers_of(origin), to = numbers_of(out);
  for (std::size_t first = 0; first < to.size(); first += kAtATime) {
    const std::size_t count = std::min(kAtATime, to.size() - first);
    for (std::size_t i = 0; i < count; ++i) sums[i] = static_cast<double>(from[first + i]);
    for (std::size_t k = 0; k < directions.size(); ++k) {
      const float* direction = directions[k].data_ptr<float>() + first;
      for (std::size_t i = 0; i < count; ++i) sums[i] += coordinates[k] * static_cast<double>(direction[i]);
    }
    for (std::size_t i = 0; i < count; ++i) to[first + i] = static_cast<float>(sums[i]);
  }
}

/// On any device; some numbers at a time, so that what is wide takes little memory.
void place_on_device(const at::Tensor& origin, const std::vector<at::Tensor>& directions,
                     std::span<const double> coordinates, const at::Tensor& out) {
  constexpr std::int64_t kAtATime = 1 << 24;
  for (std::int64_t first = 0; first < out.numel(); first += kAtATime) {
    const std::int64_t count = std::min(kAtATime, out.numel() - first);
    const auto wide = [&](const at::Tensor& flat) { return flat.narrow(0, first, count).to(at::kDouble); };
    auto value = wide(origin);
    for (std::size_t k = 0; k < directions.size(); ++k) value.add_(wide(directions[k]) * coordinates[k]);
    out.narrow(0, first, count).copy_(value);
  }
}

}  // namespace

Planes::Planes(Plane plane) : origin_(plane.origin) {
  kept_.emplace_back(0, std::make_shared<const Plane>(std::move(plane)));
}

Planes::Planes(NetworkState origin, MakeDirections directions, Locate locate)
    : origin_(std::move(origin)), make_(std::move(directions)), locate_(std::move(locate)) {}

std::shared_ptr<const Plane> Planes::at(std::size_t repeat) const {
  const std::scoped_lock lock(mutex_);
  auto found = std::find_if(kept_.begin(), kept_.end(), [&](const auto& kept) { return kept.first == repeat; });
  if (found == kept_.end()) {
    if (!make_) throw std::logic_error("Planes: there is one plane");
    const auto device = origin_.flat.device();
    Plane plane{origin_, make_(repeat)};
    if (locate_) plane.locate = [this, repeat](std::span<const double> at) { return locate_(repeat, at); };
    for (Direction& direction : plane.directions) direction = state_on(direction, device);
    kept_.emplace_front(repeat, std::make_shared<const Plane>(std::move(plane)));
    if (kept_.size() > 2) kept_.pop_back();
    return kept_.front().second;
  }
  std::rotate(kept_.begin(), found, found + 1);
  return kept_.front().second;
}

void place(const Plane& plane, std::span<const double> coordinates, NetworkState& point) {
  if (coordinates.size() != plane.directions.size()) throw std::logic_error("place: coordinates and directions");
  const auto moves_statistics = [](const Direction& direction) { return type_of(direction) == DirectionType::states; };
  const bool all = std::all_of(plane.directions.begin(), plane.directions.end(), moves_statistics);
  const std::int64_t count = all ? point.flat.numel() : point.parameter_end;
  std::vector<at::Tensor> directions;
  for (const Direction& direction : plane.directions) directions.push_back(direction.flat.narrow(0, 0, count));
  const at::Tensor origin = plane.origin.flat.narrow(0, 0, count), out = point.flat.narrow(0, 0, count);
  (out.is_cpu() ? place_on_cpu : place_on_device)(origin, directions, coordinates, out);
}

void place_on_grid(const Plane& plane, std::span<const double> coordinates, NetworkState& point) {
  if (plane.locate) return place(plane, plane.locate(coordinates), point);
  place(plane, coordinates, point);
}

}  // namespace lossatlas
