#include "export/paths.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "storage/hdf5.h"

namespace lossatlas {
namespace {

Path read_path(const Hdf5Reader& reader, const std::string& group, const std::string& name) {
  Path path;
  path.name = name;
  if (!reader.is_group(group)) throw Error("{}: {} is not a group", reader.file().string(), group);
  for (const std::string& member : reader.members(group)) {
    const std::string dataset = group + "/" + member;
    if (!reader.is_dataset(dataset) || reader.shape(dataset).size() != 1) continue;
    const Stored stored = reader.stored(dataset);
    if (stored == Stored::text) {
      path.labels = reader.read_texts(dataset);
    } else if (member == "x" || member == "y") {
      (member == "x" ? path.x : path.y) = reader.read<double>(dataset);
    } else if (stored != Stored::other) {
      path.columns.push_back({member, reader.read<double>(dataset)});
    }
  }
  const auto fits = [&](const auto& values) { return values.size() == path.x.size(); };
  const bool all_fit = std::all_of(path.columns.begin(), path.columns.end(), [&](const Column& c) { return fits(c.values); });
  if (!all_fit || !(path.y.empty() || fits(path.y)) || !(path.labels.empty() || fits(path.labels))) {
    throw Error("{}: the values of {} are not of one length", reader.file().string(), group);
  }
  return path;
}

/// The members of a group of paths, in the order that their attribute says, else of their names.
std::vector<Path> read_all(const Hdf5Reader& reader, const std::string& group) {
  std::vector<std::pair<std::int64_t, Path>> paths;
  if (!reader.has(group)) return {};
  for (const std::string& name : reader.members(group)) {
    const std::string place = group + "/" + name;
    const auto order = reader.has_attribute(place, "order") ? reader.integer_attribute(place, "order") : 0;
    paths.emplace_back(order, read_path(reader, place, name));
  }
  std::stable_sort(paths.begin(), paths.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
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
  if (reader.has("/lossatlas/points")) {
    paths.push_back(read_path(reader, "/lossatlas/points", "points"));
    paths.back().is_line = false;
  }
  return paths;
}

}  // namespace lossatlas
