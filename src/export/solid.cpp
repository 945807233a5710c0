#include "export/solid.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "base/error.h"
#include "base/files.h"

namespace lossatlas {
namespace {

using Point = std::array<double, 3>;

/// Builds the body over a grid of nx x ny points whose x and y rise.
class Builder {
 public:
  Builder(std::size_t nx, std::size_t ny, std::vector<Point> top) : nx_(nx), ny_(ny) { solid_.points = std::move(top); }

  Solid build() {
    add_top();
    add_walls_and_base();
    return std::move(solid_);
  }

 private:
  double height(std::size_t point) const { return solid_.points[point][2]; }

  /// Each cell as two triangles along the diagonal of the smaller rise, which leaves ridges and valleys smooth.
  void add_top() {
    for (std::size_t row = 0; row + 1 < ny_; ++row) {
      for (std::size_t column = 0; column + 1 < nx_; ++column) {
        const std::size_t a = row * nx_ + column, b = a + 1, c = b + nx_, d = a + nx_;
        if (std::abs(height(a) - height(c)) <= std::abs(height(b) - height(d))) {
          solid_.triangles.insert(solid_.triangles.end(), {{a, b, c}, {a, c, d}});
        } else {
          solid_.triangles.insert(solid_.triangles.end(), {{a, b, d}, {b, c, d}});
        }
      }
    }
  }

  /// The points of the border, counterclockwise as seen from above.
  std::vector<std::size_t> border() const {
    std::vector<std::size_t> points;
    for (std::size_t column = 0; column + 1 < nx_; ++column) points.push_back(column);
    for (std::size_t row = 0; row + 1 < ny_; ++row) points.push_back(row * nx_ + nx_ - 1);
    for (std::size_t column = nx_ - 1; column > 0; --column) points.push_back((ny_ - 1) * nx_ + column);
    for (std::size_t row = ny_ - 1; row > 0; --row) points.push_back(row * nx_);
    return points;
  }

  void add_walls_and_base() {
    const auto above = border();
    const std::size_t first = solid_.points.size();
    for (const std::size_t point : above)
      solid_.points.push_back({solid_.points[point][0], solid_.points[point][1], 0});
    const std::size_t middle = solid_.points.size();
    solid_.points.push_back({0, 0, 0});
    for (std::size_t i = 0; i < above.size(); ++i) {
      const std::size_t next = (i + 1) % above.size();
      const std::size_t below = first + i, below_next = first + next;
      solid_.triangles.insert(
          solid_.triangles.end(),
          {{above[i], below, below_next}, {above[i], below_next, above[next]}, {middle, below_next, below}});
    }
  }

  std::size_t nx_, ny_;
  Solid solid_;
};

/// The relief with x and y rising.
void sort_axes(Relief& relief) {
  const std::size_t nx = relief.x.size();
  if (relief.x.front() > relief.x.back()) {
    std::reverse(relief.x.begin(), relief.x.end());
    for (auto row = relief.z.begin(); row != relief.z.end(); row += static_cast<std::ptrdiff_t>(nx)) {
      std::reverse(row, row + static_cast<std::ptrdiff_t>(nx));
    }
  }
  if (relief.y.front() > relief.y.back()) {
    std::reverse(relief.y.begin(), relief.y.end());
    for (std::size_t low = 0, high = relief.y.size() - 1; low < high; ++low, --high) {
      const auto row = [&](std::size_t i) { return relief.z.begin() + static_cast<std::ptrdiff_t>(i * nx); };
      std::swap_ranges(row(low), row(low + 1), row(high));
    }
  }
}

void fill_holes(Relief& relief) {
  const std::size_t holes = relief.holes();
  if (holes == 0) return;
  const auto is_lower = [](double a, double b) { return std::isnan(a) || a < b; };
  const double height = *std::max_element(relief.z.begin(), relief.z.end(), is_lower);
  for (double& z : relief.z) {
    if (std::isnan(z)) z = height;
  }
  relief.notes.push_back(
      fmt::format("{} point{} without a value, filled at the highest, {:.6g}", holes, holes == 1 ? "" : "s", height));
}

/// Millimetres along one axis, its middle at 0. Printers' programs tell points apart by their float32 coordinates.
std::vector<double> millimetres(const std::vector<double>& axis, double scale) {
  std::vector<double> lengths;
  for (const double value : axis) lengths.push_back((value - axis.front() - (axis.back() - axis.front()) / 2) * scale);
  const auto same = [](double a, double b) { return static_cast<float>(a) == static_cast<float>(b); };
  if (std::adjacent_find(lengths.begin(), lengths.end(), same) != lengths.end()) {
    throw Error("coordinates are too close to each other for a solid of this size");
  }
  return lengths;
}

std::array<float, 3> single(const Point& point) {
  return {static_cast<float>(point[0]), static_cast<float>(point[1]), static_cast<float>(point[2])};
}

/// The unit normal of a triangle, from its corners as they are written.
std::array<float, 3> normal_of(const std::array<std::array<float, 3>, 3>& corners) {
  Point u, v;
  for (std::size_t i = 0; i < 3; ++i) {
    u[i] = static_cast<double>(corners[1][i]) - static_cast<double>(corners[0][i]);
    v[i] = static_cast<double>(corners[2][i]) - static_cast<double>(corners[0][i]);
  }
  const Point n{u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]};
  const double length = std::hypot(n[0], n[1], n[2]);
  return single({n[0] / length, n[1] / length, n[2] / length});
}

}  // namespace

Solid solid_of(Relief& relief, const SolidSize& size) {
  sort_axes(relief);
  fill_holes(relief);
  const auto [low, high] = std::minmax_element(relief.z.begin(), relief.z.end());
  const double lowest = *low, range = *high - *low;
  const double scale = size.side / std::max(relief.x.back() - relief.x.front(), relief.y.back() - relief.y.front());
  const auto x = millimetres(relief.x, scale), y = millimetres(relief.y, scale);
  std::vector<Point> top;
  top.reserve(relief.z.size());
  for (std::size_t i = 0; i < relief.z.size(); ++i) {
    const double part = range > 0 ? (relief.z[i] - lowest) / range : 0;
    top.push_back({x[i % x.size()], y[i / x.size()], size.base + size.relief * part});
  }
  return Builder(x.size(), y.size(), std::move(top)).build();
}

void write_stl(const std::filesystem::path& file, const Solid& solid, const std::string& title) {
  static_assert(std::endian::native == std::endian::little);
  std::string bytes(80, '\0');
  title.copy(bytes.data(), 79);
  const auto append = [&](const auto& value) { bytes.append(reinterpret_cast<const char*>(&value), sizeof value); };
  append(static_cast<std::uint32_t>(solid.triangles.size()));
  for (const auto& triangle : solid.triangles) {
    const std::array<std::array<float, 3>, 3> corners{
        single(solid.points[triangle[0]]), single(solid.points[triangle[1]]), single(solid.points[triangle[2]])};
    append(normal_of(corners));
    append(corners);
    append(std::uint16_t{0});
  }
  make_folder_of(file);
  write_atomically(file, [&](const ByteSink& sink) { sink(std::as_bytes(std::span(bytes))); });
}

void write_obj(const std::filesystem::path& file, const Solid& solid, const std::string& title) {
  std::string text = "# " + title + "\n";
  for (const auto& [x, y, z] : solid.points) text += fmt::format("v {:.6g} {:.6g} {:.6g}\n", x, z, -y);
  for (const auto& [a, b, c] : solid.triangles) text += fmt::format("f {} {} {}\n", a + 1, b + 1, c + 1);
  make_folder_of(file);
  write_atomically(file, [&](const ByteSink& sink) { sink(std::as_bytes(std::span(text))); });
}

}  // namespace lossatlas
