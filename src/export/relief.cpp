#include "export/relief.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "export/spline.h"

namespace lossatlas {
namespace {

/// "1 point", "3 points".
std::string points_text(std::size_t count) { return fmt::format("{} point{}", count, count == 1 ? "" : "s"); }

std::vector<double> evenly(double low, double high, std::size_t points) {
  std::vector<double> values(points);
  const double step = (high - low) / static_cast<double>(points - 1);
  for (std::size_t i = 0; i < points; ++i) values[i] = low + static_cast<double>(i) * step;
  values.back() = high;
  return values;
}

/// Counts what is missing, and puts values that are not finite where the cut is.
void replace_missing(Relief& relief, const GridFile& grid, const HeightOptions& options) {
  std::size_t missing = 0, broken = 0;
  for (std::size_t i = 0; i < relief.z.size(); ++i) {
    if (std::isfinite(relief.z[i])) continue;
    ++(grid.state[i] == 0 ? missing : broken);
    const bool is_cut = grid.state[i] != 0 && options.zmax && !(relief.z[i] < 0);
    relief.z[i] = is_cut ? *options.zmax : NAN;
  }
  if (missing > 0) relief.notes.push_back(fmt::format("{} not evaluated", points_text(missing)));
  if (broken > 0) {
    relief.notes.push_back(fmt::format("{} not finite{}", points_text(broken),
                                       options.zmax ? fmt::format(", drawn at {}", *options.zmax) : ""));
  }
}

void interpolate(Relief& relief, std::size_t points) {
  if (std::min(relief.x.size(), relief.y.size()) < kLeastForSpline) {
    throw Error("`interp` {}: requires at least {} points along x and y, the grid is {}x{}", points, kLeastForSpline,
                relief.x.size(), relief.y.size());
  }
  if (const std::size_t holes = relief.holes(); holes > 0) {
    throw Error("`interp` {}: requires a value at every point ({})", points, fmt::join(relief.notes, "; "));
  }
  const auto [x_low, x_high] = std::minmax_element(relief.x.begin(), relief.x.end());
  const auto [y_low, y_high] = std::minmax_element(relief.y.begin(), relief.y.end());
  auto at_x = evenly(*x_low, *x_high, points), at_y = evenly(*y_low, *y_high, points);
  relief.z = bicubic_spline(relief.x, relief.y, relief.z, at_x, at_y);
  relief.x = std::move(at_x);
  relief.y = std::move(at_y);
}

void cut(Relief& relief, double zmax) {
  std::size_t count = 0;
  for (double& z : relief.z) {
    if (!(z > zmax)) continue;
    z = zmax;
    ++count;
  }
  if (count > 0) relief.notes.push_back(fmt::format("{} above {} cut there", points_text(count), zmax));
}

void take_logarithm(Relief& relief) {
  constexpr double kShift = 0.1;
  std::size_t count = 0;
  for (double& z : relief.z) {
    if (z <= -kShift) ++count;
    z = z > -kShift ? std::log(z + kShift) : NAN;
  }
  if (count > 0) relief.notes.push_back(fmt::format("{} at -0.1 or below have no logarithm", points_text(count)));
}

/// The index of the cell that holds `place`, and how far it lies in it; nothing outside.
struct Cell {
  std::size_t index;
  double part;
};

std::optional<Cell> cell_of(const std::vector<double>& axis, double place) {
  const bool rises = axis.front() < axis.back();
  const double low = std::min(axis.front(), axis.back()), high = std::max(axis.front(), axis.back());
  if (!(place >= low && place <= high)) return std::nullopt;
  const auto above = std::upper_bound(axis.begin() + 1, axis.end() - 1, place,
                                      [rises](double p, double knot) { return rises ? p < knot : p > knot; });
  const auto i = static_cast<std::size_t>(above - axis.begin()) - 1;
  return Cell{i, (place - axis[i]) / (axis[i + 1] - axis[i])};
}

}  // namespace

std::size_t Relief::holes() const {
  return static_cast<std::size_t>(std::count_if(z.begin(), z.end(), [](double value) { return std::isnan(value); }));
}

double Relief::height_at(double at_x, double at_y) const {
  const auto column = cell_of(x, at_x), row = cell_of(y, at_y);
  if (!column || !row) return NAN;
  const std::size_t corner = row->index * x.size() + column->index;
  const auto along_x = [&](std::size_t i) { return (1 - column->part) * z[i] + column->part * z[i + 1]; };
  return (1 - row->part) * along_x(corner) + row->part * along_x(corner + x.size());
}

Relief relief_of(const GridFile& grid, const Column& field, const HeightOptions& options) {
  if (!grid.is_plane() || grid.axes[0].values.size() < 2 || grid.axes[1].values.size() < 2) {
    throw Error("{}: {}, not a plane: only csv and npz can be made of it", grid.file.string(),
                grid.axes[0].name == "epoch" ? "a training history"
                : grid.is_plane()            ? "one row or column of points"
                : grid.axes.size() > 2       ? "a grid of more than two axes"
                                             : "values along one line");
  }
  Relief relief{
      .field = field.name, .x = grid.axes[0].values, .y = grid.axes[1].values, .z = field.values, .notes = {}};
  replace_missing(relief, grid, options);
  if (relief.holes() == relief.z.size()) {
    throw Error("{}: holds no finite value of {}: nothing to mesh", grid.file.string(), field.name);
  }
  if (options.interpolate > 0) interpolate(relief, options.interpolate);
  if (options.zmax) cut(relief, *options.zmax);
  if (options.log) take_logarithm(relief);
  if (relief.holes() == relief.z.size()) {
    throw Error("{}: no value of {} has a logarithm: nothing to mesh", grid.file.string(), field.name);
  }
  return relief;
}

}  // namespace lossatlas
