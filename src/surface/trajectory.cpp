#include "surface/trajectory.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/names.h"
#include "storage/hdf5.h"
#include "surface/products.h"

namespace lossatlas {
namespace {

constexpr NameTable<ProjectionRule, 2> kRuleNames{{{ProjectionRule::cos, "cos"}, {ProjectionRule::lstsq, "lstsq"}}};
constexpr auto kRuns = "/lossatlas/runs";
constexpr auto kPca = "/lossatlas/pca";
constexpr double kParallel = 1e-12;  // 1 - cos²: what is left of two directions that float32 cannot tell apart

struct PcaValues {
  const char* name;
  std::vector<double> Pca::*values;
};
constexpr std::array kPcaValues{PcaValues{"explained_variance_ratio", &Pca::explained_variance_ratio},
                                PcaValues{"explained_variance", &Pca::explained_variance},
                                PcaValues{"singular_values", &Pca::singular_values}};

struct PointValues {
  const char* name;
  std::vector<double> Projected::*values;
};
constexpr std::array kPointValues{PointValues{"x", &Projected::x}, PointValues{"y", &Projected::y},
                                  PointValues{"distance", &Projected::distance},
                                  PointValues{"length", &Projected::length}};

void write_run(Hdf5Writer& writer, const RunPath& run, std::size_t order) {
  const std::string group = fmt::format("{}/{}", kRuns, run.name);
  const Shape shape{run.size()};
  for (const auto& [name, values] : kPointValues) {
    writer.write<double>(fmt::format("{}/{}", group, name), run.points.*values, shape);
  }
  writer.write<std::int64_t>(group + "/epoch", run.epoch, shape);
  writer.write_texts(group + "/file", run.file);
  for (const auto& [name, values] : run.values) writer.write<double>(group + "/" + name, values, shape);
  const std::array number{static_cast<std::int64_t>(order)};
  writer.attribute<std::int64_t>(group, "order", number);
  writer.attribute(group, "label", run.label);
  writer.attribute(group, "optimizer", run.optimizer);
  if (run.unit != RunPath().unit) writer.attribute(group, "unit", run.unit);
}

RunPath read_run(const Hdf5Reader& reader, const std::string& name) {
  const std::string group = fmt::format("{}/{}", kRuns, name);
  RunPath run;
  run.name = name;
  run.label = reader.text_attribute(group, "label");
  run.optimizer = reader.text_attribute(group, "optimizer");
  if (reader.has_attribute(group, "unit")) run.unit = reader.text_attribute(group, "unit");
  run.file = reader.read_texts(group + "/file");
  if (run.file.empty()) throw Error("{}: {} names no checkpoint", reader.file().string(), group);
  const auto read = [&]<class T>(const std::string& dataset, std::vector<T>& values) {
    values = reader.read<T>(group + "/" + dataset);
    if (values.size() == run.size()) return;
    throw Error("{}: {}/{} has {} values, {} checkpoints are named", reader.file().string(), group, dataset,
                values.size(), run.size());
  };
  read("epoch", run.epoch);
  for (const auto& [dataset, values] : kPointValues) read(dataset, run.points.*values);
  for (const std::string& dataset : reader.members(group)) {
    if (dataset.ends_with("_loss") || dataset.ends_with("_acc")) {
      read(dataset, run.values.emplace_back(dataset, std::vector<double>()).second);
    }
  }
  return run;
}

double median_of(std::vector<double> values) {
  if (values.empty()) return std::numeric_limits<double>::quiet_NaN();
  std::sort(values.begin(), values.end());
  return (values[(values.size() - 1) / 2] + values[values.size() / 2]) / 2;
}

}  // namespace

std::string_view name_of(ProjectionRule rule) { return kRuleNames.name_of(rule); }

ProjectionRule projection_rule_of(const std::string& name) { return kRuleNames.parse("`project`", name); }

Projected project(const Products& products, ProjectionRule rule) {
  const double xx = products.among[0][0], xy = products.among[0][1], yy = products.among[1][1];
  const double determinant = xx * yy - xy * xy;
  if (!(xx > 0 && yy > 0)) throw Error("direction {} is zero: there is no plane", xx > 0 ? 2 : 1);
  if (rule == ProjectionRule::lstsq && determinant <= kParallel * xx * yy) {
    throw Error("both directions are parallel: there is no plane to project into by least squares");
  }
  Projected points;
  for (std::size_t i = 0; i < products.squares.size(); ++i) {
    const auto [px, py] = products.with[i];
    const bool least_squares = rule == ProjectionRule::lstsq;
    const double x = least_squares ? (px * yy - py * xy) / determinant : px / xx;
    const double y = least_squares ? (py * xx - px * xy) / determinant : py / yy;
    const double square = products.squares[i] - 2 * (x * px + y * py) + x * x * xx + 2 * x * y * xy + y * y * yy;
    points.x.push_back(x);
    points.y.push_back(y);
    points.distance.push_back(std::sqrt(std::max(square, 0.0)));
    points.length.push_back(std::sqrt(products.squares[i]));
  }
  return points;
}

const std::vector<double>* RunPath::find(std::string_view dataset) const {
  const auto found =
      std::find_if(values.begin(), values.end(), [&](const auto& named) { return named.first == dataset; });
  return found == values.end() ? nullptr : &found->second;
}

PathValues path_values(Split split, bool is_second) {
  const std::string name(name_of(split)), plane = is_second ? "plane_" + name : "plane";
  return {.loss = name + "_loss",
          .accuracy = name + "_acc",
          .plane_loss = plane + "_loss",
          .plane_accuracy = plane + "_acc"};
}

void write_trajectory(Hdf5Writer& writer, const Trajectory& trajectory) {
  for (std::size_t order = 0; order < trajectory.runs.size(); ++order) write_run(writer, trajectory.runs[order], order);
  if (!trajectory.pca.is_known()) return;
  for (const auto& [name, values] : kPcaValues) {
    const auto& numbers = trajectory.pca.*values;
    writer.write<double>(fmt::format("{}/{}", kPca, name), numbers, {numbers.size()});
  }
}

Trajectory read_trajectory(const Hdf5Reader& reader) {
  Trajectory trajectory;
  if (reader.has(kRuns)) {
    std::vector<std::pair<std::int64_t, std::string>> names;
    for (const std::string& name : reader.members(kRuns)) {
      names.emplace_back(reader.integer_attribute(fmt::format("{}/{}", kRuns, name), "order"), name);
    }
    std::sort(names.begin(), names.end());
    for (const auto& [order, name] : names) trajectory.runs.push_back(read_run(reader, name));
  }
  if (reader.has(kPca)) {
    for (const auto& [name, values] : kPcaValues) {
      trajectory.pca.*values = reader.read<double>(fmt::format("{}/{}", kPca, name));
    }
  }
  return trajectory;
}

PathSummary summarize(const RunPath& path, Split split) {
  const PathValues names = path_values(split);
  const auto* own = path.find(names.loss);
  const auto* plane = path.find(names.plane_loss);
  PathSummary summary;
  std::vector<double> distances, differences;
  for (std::size_t i = 0; i < path.size(); ++i) {
    summary.longest = std::max(summary.longest, path.points.length[i]);
    if (path.points.length[i] > 0) {
      distances.push_back(path.points.distance[i]);
      if (path.points.distance[i] > path.points.distance[summary.farthest]) summary.farthest = i;
    }
    const double difference = own && plane ? std::abs((*plane)[i] - (*own)[i]) : std::nan("");
    if (!std::isfinite(difference)) continue;
    if (differences.empty() || difference > summary.largest_difference) {
      summary.largest_difference = difference;
      summary.most_different = i;
    }
    differences.push_back(difference);
  }
  summary.compared = differences.size();
  summary.median_distance = median_of(distances);
  summary.largest_distance = path.size() > 0 ? path.points.distance[summary.farthest] : 0;
  summary.median_difference = median_of(differences);
  if (differences.empty()) summary.largest_difference = std::numeric_limits<double>::quiet_NaN();
  return summary;
}

}  // namespace lossatlas
