#include "grid/grid.h"

#include <array>
#include <cmath>

namespace lossatlas {

std::string axis_name(std::size_t axis) {
  constexpr std::array kNames{"x", "y", "z", "w"};
  return axis < kNames.size() ? kNames[axis] : "axis" + std::to_string(axis + 1);
}

Grid::Grid(std::vector<Axis> of) : axes(std::move(of)) {
  for (std::size_t k = 0; k < axes.size(); ++k) {
    if (axes[k].name.empty()) axes[k].name = axis_name(k);
  }
}

std::size_t Grid::size() const {
  std::size_t size = 1;
  for (const Axis& axis : axes) size *= axis.points;
  return size;
}

std::vector<std::size_t> Grid::shape() const {
  std::vector<std::size_t> shape;
  for (std::size_t k = axes.size(); k-- > 0;) shape.push_back(axes[k].points);
  return shape;
}

std::vector<std::size_t> Grid::indices_of(std::size_t point) const {
  std::vector<std::size_t> indices;
  for (const Axis& axis : axes) {
    indices.push_back(point % axis.points);
    point /= axis.points;
  }
  return indices;
}

std::size_t Grid::point_of(std::span<const std::size_t> indices) const {
  std::size_t point = 0;
  for (std::size_t k = axes.size(); k-- > 0;) point = point * axes[k].points + indices[k];
  return point;
}

std::vector<double> Grid::coordinates_of(std::size_t point) const {
  const auto indices = indices_of(point);
  std::vector<double> coordinates;
  for (std::size_t k = 0; k < axes.size(); ++k) coordinates.push_back(axes[k].at(indices[k]));
  return coordinates;
}

std::optional<std::size_t> Grid::index_of(std::span<const double> coordinates) const {
  std::vector<std::size_t> indices;
  for (std::size_t k = 0; k < axes.size(); ++k) {
    const auto index = axes[k].index_of(coordinates[k]);
    if (!index) return std::nullopt;
    indices.push_back(*index);
  }
  return point_of(indices);
}

std::optional<std::size_t> Grid::origin() const { return index_of(std::vector<double>(axes.size(), 0)); }

std::size_t Grid::centre() const {
  std::vector<std::size_t> middle;
  for (const Axis& axis : axes) middle.push_back(axis.points / 2);
  return origin().value_or(point_of(middle));
}

std::size_t Grid::nearest_to_origin() const {
  std::vector<std::size_t> nearest;
  for (const Axis& axis : axes) {
    std::size_t best = 0;
    for (std::size_t i = 1; i < axis.points; ++i) {
      if (std::abs(axis.at(i)) < std::abs(axis.at(best))) best = i;
    }
    nearest.push_back(best);
  }
  return point_of(nearest);
}

bool Grid::is_border(std::size_t point) const {
  const auto indices = indices_of(point);
  for (std::size_t k = 0; k < axes.size(); ++k) {
    if (axes[k].points > 1 && (indices[k] == 0 || indices[k] + 1 == axes[k].points)) return true;
  }
  return false;
}

std::vector<std::optional<std::size_t>> places_of(const Grid& grid, const Grid& other) {
  std::vector<std::optional<std::size_t>> places(grid.size());
  if (grid.dimensions() != other.dimensions()) return places;
  std::vector<std::vector<std::optional<std::size_t>>> along(grid.dimensions());  // each axis for itself
  for (std::size_t k = 0; k < grid.dimensions(); ++k) {
    for (const double coordinate : grid.axes[k].coordinates()) along[k].push_back(other.axes[k].index_of(coordinate));
  }
  for (std::size_t point = 0; point < places.size(); ++point) {
    const auto indices = grid.indices_of(point);
    std::vector<std::size_t> there;
    for (std::size_t k = 0; k < indices.size() && along[k][indices[k]]; ++k) there.push_back(*along[k][indices[k]]);
    if (there.size() == indices.size()) places[point] = other.point_of(there);
  }
  return places;
}

}  // namespace lossatlas
