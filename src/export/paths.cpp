#include "export/paths.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "base/error.h"
#include "storage/hdf5.h"

namespace lossatlas {
namespace {

/// Column `index` of values [m, count].
std::vector<double> column_of(const std::vector<double>& values, std::size_t count, std::size_t index) {
  std::vector<double> column;
  for (std::size_t i = index; i < values.size(); i += count) column.push_back(values[i]);
  return column;
}

/// Values [m] under their name, and values [m, 1] or [m, 2] by coordinate: "gradient_x", "gradient_y".
void add_values(Path& path, const std::string& name, const std::vector<double>& values, const Shape& shape) {
  const std::size_t count = shape.size() == 1 ? 1 : shape[1];
  for (std::size_t i = 0; i < count; ++i) {
    auto column = column_of(values, count, i);
    if (name == "position") {
      (i == 0 ? path.x : path.y) = std::move(column);
    } else if (name == "x" || name == "y") {
      (name == "x" ? path.x : path.y) = std::move(column);
    } else {
      path.columns.push_back({count == 1 ? name : name + (i == 0 ? "_x" : "_y"), std::move(column)});
    }
  }
}

Path read_path(const Hdf5Reader& reader, const std::string& group, const std::string& name) {
  Path path;
  path.name = name;
  if (!reader.is_group(group)) throw Error("{}: {} is not a group", reader.file().string(), group);
  for (const std::string& member : reader.members(group)) {
    const std::string dataset = group + "/" + member;
    if (!reader.is_dataset(dataset)) continue;
    const Shape shape = reader.shape(dataset);
    if (shape.size() != 1 && !(shape.size() == 2 && (shape[1] == 1 || shape[1] == 2))) {
      path.left_out.push_back(
          fmt::format("{} is left out: its shape is [{}], not one number a place", dataset, fmt::join(shape, ", ")));
      continue;
    }
    const Stored stored = reader.stored(dataset);
    if (stored == Stored::text) {
      path.labels = reader.read_texts(dataset);
    } else if (stored != Stored::other) {
      add_values(path, member, reader.read<double>(dataset), shape);
    } else {
      path.left_out.push_back(fmt::format("{} is left out: its elements are not numbers", dataset));
    }
  }
  const auto fits = [&](const auto& values) { return values.size() == path.x.size(); };
  const bool all_fit =
      std::all_of(path.columns.begin(), path.columns.end(), [&](const Column& c) { return fits(c.values); });
  if (!all_fit || !(path.y.empty() || fits(path.y)) || !(path.labels.empty() || fits(path.labels))) {
    throw Error("{}: the values of {} are not of one length", reader.file().string(), group);
  }
  return path;
}

/// The members of a group of paths, in the order that their attribute says, else of their names: 9 before 10.
std::vector<Path> read_all(const Hdf5Reader& reader, const std::string& group) {
  std::vector<std::pair<std::int64_t, Path>> paths;
  if (!reader.has(group)) return {};
  for (const std::string& name : reader.members(group)) {
    const std::string place = group + "/" + name;
    const auto order = reader.has_attribute(place, "order") ? reader.integer_attribute(place, "order") : 0;
    paths.emplace_back(order, read_path(reader, place, name));
  }
  std::stable_sort(paths.begin(), paths.end(), [](const auto& a, const auto& b) {
    return std::pair(a.first, a.second.name.size()) < std::pair(b.first, b.second.name.size());
  });
  std::vector<Path> sorted;
  for (auto& [order, path] : paths) sorted.push_back(std::move(path));
  return sorted;
}

}  // namespace

std::vector<Path> read_paths(const std::filesystem::path& file) {
  const Hdf5Reader reader(file);
  auto paths = read_all(reader, "/lossatlas/runs");
  for (Path& curve : read_all(reader, "/lossatlas/curves")) {
    curve.are_checkpoints = false;
    paths.push_back(std::move(curve));
  }
  for (Path& descent : read_all(reader, "/lossatlas/descents")) {
    const std::string group = "/lossatlas/descents/" + descent.name;
    if (reader.has_attribute(group, "label")) descent.name = reader.text_attribute(group, "label");
    std::vector<double> steps(descent.x.size());
    std::iota(steps.begin(), steps.end(), 0.0);
    descent.columns.insert(descent.columns.begin(), {"step", std::move(steps)});
    paths.push_back(std::move(descent));
  }
  if (reader.has("/lossatlas/points")) {
    paths.push_back(read_path(reader, "/lossatlas/points", "points"));
    paths.back().is_line = false;
  }
  return paths;
}

}  // namespace lossatlas
