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

void write_vtkhdf(Hdf5Writer& writer, const std::vector<std::vector<double>>& axes,
                  const std::vector<std::string>& datasets) {
  const auto is_thin = [](const std::vector<double>& axis) { return axis.size() < 2; };
  if (axes.size() < 2 || axes.size() > 3 || std::any_of(axes.begin(), axes.end(), is_thin)) return;
  const std::array<std::int64_t, 2> version{1, 0};
  std::array<std::int64_t, 6> extent{};  // first and last index along x, y and z
  std::array<double, 3> origin{}, spacing{1, 1, 1};
  for (std::size_t k = 0; k < axes.size(); ++k) {
    extent[2 * k + 1] = static_cast<std::int64_t>(axes[k].size()) - 1;
    origin[k] = axes[k].front();
    spacing[k] = (axes[k].back() - axes[k].front()) / static_cast<double>(extent[2 * k + 1]);
  }
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
