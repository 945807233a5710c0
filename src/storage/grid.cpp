#include "storage/grid.h"

#include <algorithm>
#include <array>
#include <cstdint>

namespace lossatlas {

void write_axis(Hdf5Writer& writer, const std::string& name, const std::string& scale, const std::string& meaning,
                std::span<const double> values) {
  writer.write<double>(name, values, {values.size()});
  writer.write<double>(scale, values, {values.size()});
  writer.attribute(scale, "long_name", meaning);
  writer.attach_scale(name, 0, scale);
}

std::vector<std::uint8_t> evaluated_of(std::span<const double> losses) {
  const bool marks = std::none_of(losses.begin(), losses.end(), [](double loss) { return loss < 0 && loss != -1; });
  std::vector<std::uint8_t> evaluated;
  for (const double loss : losses) evaluated.push_back(marks && loss == -1 ? 0 : 1);
  return evaluated;
}

void write_vtkhdf(Hdf5Writer& writer, std::span<const double> x, std::span<const double> y,
                  const std::vector<std::string>& datasets) {
  if (x.size() < 2 || y.size() < 2) return;
  const auto last = [](std::span<const double> axis) { return static_cast<std::int64_t>(axis.size()) - 1; };
  const auto step = [&](std::span<const double> axis) {
    return (axis.back() - axis.front()) / static_cast<double>(last(axis));
  };
  const std::array<std::int64_t, 2> version{1, 0};
  const std::array<std::int64_t, 6> extent{0, last(x), 0, last(y), 0, 0};
  const std::array<double, 3> origin{x.front(), y.front(), 0}, spacing{step(x), step(y), 1};
  const std::array<double, 9> direction{1, 0, 0, 0, 1, 0, 0, 0, 1};
  writer.make_group("/VTKHDF");
  writer.attribute<std::int64_t>("/VTKHDF", "Version", version);
  writer.ascii_attribute("/VTKHDF", "Type", "ImageData");
  writer.attribute<std::int64_t>("/VTKHDF", "WholeExtent", extent);
  writer.attribute<double>("/VTKHDF", "Origin", origin);
  writer.attribute<double>("/VTKHDF", "Spacing", spacing);
  writer.attribute<double>("/VTKHDF", "Direction", direction);
  for (const auto& name : datasets) writer.hard_link("/" + name, "/VTKHDF/PointData/" + name);
}

}  // namespace lossatlas
