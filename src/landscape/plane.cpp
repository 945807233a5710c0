#include "landscape/plane.h"

#include <ATen/TensorOperators.h>

#include <algorithm>
#include <array>
#include <stdexcept>

#include "evaluation/evaluator.h"

namespace lossatlas {
namespace {

/// to = from + Σ c_k d_k of several directions, block by block, so that the sums stay in the cache.
void add_up(std::span<const float> from, const std::vector<const float*>& directions,
            std::span<const double> coordinates, float* to) {
  constexpr std::size_t kBlock = 2048;
  std::array<double, kBlock> sums;
  for (std::size_t first = 0; first < from.size(); first += kBlock) {
    const std::size_t count = std::min(kBlock, from.size() - first);
    std::copy_n(from.data() + first, count, sums.data());
    for (std::size_t k = 0; k < directions.size(); ++k) {
      const float* direction = directions[k] + first;
      for (std::size_t i = 0; i < count; ++i) sums[i] += coordinates[k] * static_cast<double>(direction[i]);
    }
    for (std::size_t i = 0; i < count; ++i) to[first + i] = static_cast<float>(sums[i]);
  }
}

/// out = origin + Σ c_k d_k on the CPU; of one or two directions in one pass over the memory.
void place_on_cpu(const at::Tensor& origin, const std::vector<const float*>& directions,
                  std::span<const double> coordinates, const at::Tensor& out) {
  const float* from = origin.data_ptr<float>();
  float* to = out.data_ptr<float>();
  const std::int64_t count = origin.numel();
  if (directions.size() > 2) return add_up({from, static_cast<std::size_t>(count)}, directions, coordinates, to);
  const float* first = directions[0];
  const float* second = directions.size() > 1 ? directions[1] : nullptr;
  const double x = coordinates[0];
  const double y = second ? coordinates[1] : 0;
  for (std::int64_t i = 0; i < count; ++i) {
    double value = static_cast<double>(from[i]) + x * static_cast<double>(first[i]);
    if (second) value += y * static_cast<double>(second[i]);
    to[i] = static_cast<float>(value);
  }
}

/// The same through LibTorch, on any device.
void place_on_device(const at::Tensor& origin, const std::vector<at::Tensor>& directions,
                     std::span<const double> coordinates, at::Tensor out) {
  auto value = origin.to(at::kDouble);
  for (std::size_t k = 0; k < directions.size(); ++k) value.add_(directions[k].to(at::kDouble) * coordinates[k]);
  out.copy_(value);
}

void place_entry(const at::Tensor& origin, const std::vector<at::Tensor>& directions,
                 std::span<const double> coordinates, const at::Tensor& out) {
  if (!origin.is_cpu()) return place_on_device(origin, directions, coordinates, out);
  std::vector<const float*> numbers;
  for (const auto& direction : directions) numbers.push_back(direction.data_ptr<float>());
  place_on_cpu(origin, numbers, coordinates, out);
}

/// Entry `index` of each direction.
std::vector<at::Tensor> entries_of(const Plane& plane, std::vector<NamedTensor> Direction::*list, std::size_t index) {
  std::vector<at::Tensor> entries;
  for (const Direction& direction : plane.directions) entries.push_back((direction.*list)[index].tensor);
  return entries;
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
    const auto device = origin_.parameters.front().tensor.device();
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
  for (std::size_t p = 0; p < point.parameters.size(); ++p) {
    place_entry(plane.origin.parameters[p].tensor, entries_of(plane, &Direction::parameters, p), coordinates,
                point.parameters[p].tensor);
  }
  const auto moves = [](const Direction& direction) { return type_of(direction) == DirectionType::states; };
  if (!std::all_of(plane.directions.begin(), plane.directions.end(), moves)) return;
  for (std::size_t b = 0; b < point.buffers.size(); ++b) {
    if (!point.buffers[b].tensor.is_floating_point()) continue;
    place_entry(plane.origin.buffers[b].tensor, entries_of(plane, &Direction::buffers, b), coordinates,
                point.buffers[b].tensor);
  }
}

void place_on_grid(const Plane& plane, std::span<const double> coordinates, NetworkState& point) {
  if (plane.locate) return place(plane, plane.locate(coordinates), point);
  place(plane, coordinates, point);
}

}  // namespace lossatlas
