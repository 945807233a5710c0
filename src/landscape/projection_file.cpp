#include "landscape/projection_file.h"

#include "storage/hdf5.h"

namespace lossatlas {

void write_projection(const std::filesystem::path& file, const Trajectory& trajectory, ProjectionRule rule,
                      const std::vector<Direction>& directions) {
  Hdf5Writer writer;
  const auto write = [&](const char* name, std::vector<double> Projected::*coordinate, const Direction& direction) {
    const double unit = rule == ProjectionRule::cos ? norm(direction) : 1;
    std::vector<double> values;
    for (const RunPath& run : trajectory.runs) {
      for (const double value : run.points.*coordinate) values.push_back(value * unit);
    }
    writer.write<double>(name, values, {values.size()});
  };
  write("/proj_xcoord", &Projected::x, directions[0]);
  write("/proj_ycoord", &Projected::y, directions[1]);
  writer.attribute("/", "project", name_of(rule));
  writer.save(file);
}

}  // namespace lossatlas
