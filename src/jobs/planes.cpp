#include "jobs/planes.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <map>
#include <memory>
#include <sstream>
#include <stdexcept>

#include "base/error.h"
#include "base/files.h"
#include "base/sha256.h"
#include "base/text.h"
#include "jobs/outputs.h"
#include "jobs/runs_plane.h"
#include "landscape/checkpoint_plane.h"
#include "landscape/direction_file.h"
#include "storage/hdf5.h"

namespace lossatlas {
namespace {

constexpr double kMargin = 0.2;  // of the points' extent

ChosenPlane random_plane(const PlaneOptions& options, std::size_t count, const LandscapeInputs& inputs) {
  DirectionOptions direction = options.direction;
  direction.type = options.type.value_or(DirectionType::weights);
  direction.slices = slices_of(inputs);
  ChosenPlane plane;
  plane.settings.plane = "random";
  plane.settings.seed = direction.seed;
  plane.settings.normalization = name_of(direction.normalization);
  plane.settings.ignore = name_of(direction.ignore);
  plane.settings.distribution = name_of(direction.distribution);
  plane.settings.orthogonal = options.is_orthogonal;
  plane.settings.dir_type = name_of(direction.type);
  if (!direction.parameters.empty()) plane.settings.parameters = direction.parameters;
  plane.directions = [=, origin = inputs.origin, is_orthogonal = options.is_orthogonal](std::size_t repeat) {
    std::vector<Direction> directions;
    for (std::size_t k = 0; k < count; ++k) {
      directions.push_back(random_direction(origin, static_cast<std::uint32_t>(count * repeat + k), direction));
    }
    for (std::size_t k = 1; k < count && is_orthogonal; ++k) {
      make_orthogonal(std::span(directions).first(k), directions[k], origin, direction);
    }
    return directions;
  };
  return plane;
}

/// A file's bytes, so that what is read is what is hashed; none if it cannot be read: whoever opens it says why.
std::string bytes_of(const std::filesystem::path& file) {
  if (!kind_of(file).empty()) return "";
  std::ostringstream bytes;
  bytes << std::ifstream(file, std::ios::binary).rdbuf();
  return std::move(bytes).str();
}

ChosenPlane plane_of_file(const PlaneOptions& options, std::size_t count, const LandscapeInputs& inputs) {
  const auto& file = options.files.front();
  const std::string bytes = bytes_of(file);
  auto directions = read_directions(Hdf5Reader(file, std::as_bytes(std::span(bytes))), inputs.origin);
  if (directions.size() < count) {
    throw Error("{}: holds {} direction{}, a surface of {} axes takes {}", file.string(), directions.size(),
                directions.size() == 1 ? "" : "s", count, count);
  }
  directions.resize(count);
  for (std::size_t k = 0; k < count; ++k) {
    const double length = norm(directions[k]);
    if (!std::isfinite(length)) throw Error("{}: direction {} holds numbers that are not finite", file.string(), k + 1);
    if (length == 0) throw Error("{}: direction {} is zero", file.string(), k + 1);
  }
  const DirectionType type = type_of(directions.front());
  if (options.type && *options.type != type) {
    throw Error("{}: holds directions of {}, `dir_type` asks for {}", file.string(), name_of(type),
                name_of(*options.type));
  }
  ChosenPlane plane;
  plane.direction_file = file;
  plane.settings.plane = "file";
  plane.settings.directions = identity_of(file, sha256_of_text(bytes));
  plane.settings.dir_type = name_of(type);
  plane.directions = [directions](std::size_t) { return directions; };
  return plane;
}

ChosenPlane plane_through(const PlaneOptions& options, std::size_t count, const LandscapeInputs& inputs) {
  const DirectionType type = options.type.value_or(DirectionType::states);
  const auto& files = options.files;
  const NamedState origin{inputs.checkpoint.string(), inputs.origin};
  std::vector<NamedState> others;
  for (std::size_t k = 0; k < count; ++k) others.push_back({files[k].string(), read_state(files[k], inputs)});
  const auto directions = directions_through(origin, others, type);
  ChosenPlane plane;
  plane.unit = norm(directions.front());
  plane.files = files;
  plane.files.insert(plane.files.begin(), inputs.checkpoint);
  plane.settings.plane = "points";
  plane.settings.points.emplace();
  for (const auto& file : plane.files) plane.settings.points->push_back(identity_of_checkpoint(file, inputs));
  plane.settings.dir_type = name_of(type);
  const auto names = short_names(plane.files);
  for (std::size_t i = 0; i < plane.files.size(); ++i) {
    Projection at = project(read_state(plane.files[i], inputs), {inputs.origin, directions});
    if (i == 1) {  // the end of the first direction, without the rounding
      at = {std::vector<double>(count, 0), 0};
      at.coordinates[0] = 1;
    }
    plane.points.push_back({names[i], at.coordinates, at.distance});
  }
  plane.directions = [directions](std::size_t) { return directions; };
  return plane;
}

}  // namespace

std::string_view name_of(PlaneSource source) {
  if (source == PlaneSource::random) return "random";
  if (source == PlaneSource::pca) return "pca";
  if (source == PlaneSource::eigen) return "eigen";
  return source == PlaneSource::points ? "points" : "file";
}

namespace {

/// "1,3", "1,low", "low": one eigenvector for each axis.
std::vector<int> eigen_of(const std::string& words, std::size_t axes) {
  const auto refuse = [&](const std::string& why) {
    throw UsageError("`plane` eigen{}: {}; requires {} of 1 (the largest), 2, … and low (the smallest), as in eigen:{}",
                     words.empty() ? "" : ":" + words, why, axes == 1 ? "one" : fmt::format("{}", axes),
                     axes == 1   ? "2"
                     : axes == 2 ? "1,low"
                                 : "1,2,low");
  };
  std::vector<int> places;
  for (std::size_t k = 0; k < axes && (words.empty() || words == "low"); ++k) {
    const int number = static_cast<int>(k) + 1;
    places.push_back(words.empty() ? number : -number);
  }
  if (!places.empty()) return places;
  for (const std::string_view word : split_at(words, ',')) {
    int number = word == "low" ? -1 : 0;
    if (number == 0) {
      const auto end = std::from_chars(word.data(), word.data() + word.size(), number);
      if (end.ec != std::errc() || end.ptr != word.data() + word.size() || number < 1 || number > 1000) {
        refuse(fmt::format("'{}' is no eigenvector", word));
      }
    }
    if (std::find(places.begin(), places.end(), number) != places.end()) refuse(fmt::format("{} twice", word));
    places.push_back(number);
  }
  if (places.size() != axes) refuse(fmt::format("{} for {} ax{}s", places.size(), axes, axes == 1 ? "i" : "e"));
  return places;
}

}  // namespace

PlaneOptions check(const PlaneRequest& request, std::size_t axes) {
  PlaneOptions options;
  options.source = request.source;
  options.files = request.files;
  if (request.source == PlaneSource::pca) options.runs = {run_of_words("`plane` pca:RUN", request.run)};
  options.direction = {request.seed, normalization_of(request.normalization), ignore_of(request.ignore),
                       distribution_of(request.distribution)};
  options.direction.parameters = request.parameters;
  const bool is_eigen = request.source == PlaneSource::eigen;
  if (!request.parameters.empty() && !is_eigen && request.source != PlaneSource::random) {
    throw UsageError("`parameters`: applies to random directions and eigenvectors; these directions are given");
  }
  if (is_eigen) options.eigen = eigen_of(request.eigen, axes);
  options.eigen_samples = request.eigen_samples;
  options.eigen_trace = request.eigen_trace;
  if (is_eigen && request.type == "states") {
    throw UsageError("`dir_type` states: eigenvectors move weights alone");
  }
  options.is_orthogonal = request.orthogonal;
  if (!request.type.empty()) options.type = direction_type_of(request.type);
  if (request.repeat == 1) return options;
  if (request.source != PlaneSource::random) {
    throw UsageError("`repeat` {}: draws its directions; this plane is given", request.repeat);
  }
  if (!request.save_directions.empty()) {
    throw UsageError("`repeat` {}: draws its directions, a file of them holds those of one", request.repeat);
  }
  return options;
}

std::filesystem::path take_origin(const LandscapeRequest& request, PlaneOptions& options, std::size_t directions,
                                  std::vector<std::string>& notes) {
  std::filesystem::path origin = checkpoint_of(request.checkpoint, notes);
  auto& files = options.files;
  if (options.source == PlaneSource::points) {
    for (auto& file : files) file = checkpoint_of(file, notes);
    for (std::size_t i = 0; i < files.size(); ++i) {
      for (std::size_t j = 0; j < i; ++j) {
        if (same_file(files[i], files[j])) throw UsageError("`plane` points: {} is named twice", files[i].string());
      }
    }
    if (origin.empty()) origin = files.front();
    const auto among =
        std::find_if(files.begin(), files.end(), [&](const auto& file) { return same_file(file, origin); });
    if (among != files.end()) files.erase(among);
  }
  if (origin.empty() && options.source == PlaneSource::pca) origin = options.runs.front().files.back();
  if (origin.empty()) origin = request.problem;
  if (origin.empty()) throw UsageError(kNoCheckpoint);
  if (options.source == PlaneSource::points && files.size() < directions) {
    throw UsageError("`plane` points: {} axes take {} checkpoints, that at the origin included", directions,
                     directions + 1);
  }
  return origin;
}

SumOptions sums_of(const LandscapeRequest& request, const LandscapeOptions& options) {
  return {request.threads, options.arithmetic.instruction_set};
}

ChosenPlane choose_plane(const PlaneOptions& options, std::size_t count, const LandscapeInputs& inputs,
                         const SumOptions& sums) {
  switch (options.source) {
    case PlaneSource::pca: {
      const DirectionType type = options.type.value_or(DirectionType::states);
      return plane_of_pca(index_runs(options.runs, inputs), inputs, type, ProjectionRule::cos, sums);
    }
    case PlaneSource::eigen: throw std::logic_error("choose_plane: eigenvectors");
    case PlaneSource::file: return plane_of_file(options, count, inputs);
    case PlaneSource::points: return plane_through(options, count, inputs);
    case PlaneSource::random: break;
  }
  return random_plane(options, count, inputs);
}

std::vector<std::string> short_names(const std::vector<std::filesystem::path>& files) {
  std::vector<std::string> names(files.size());
  std::vector<std::filesystem::path> rest(files.size());
  for (std::size_t i = 0; i < files.size(); ++i) {
    const auto path = std::filesystem::absolute(files[i]).lexically_normal();
    names[i] = path.stem().string();
    rest[i] = path.parent_path();
  }
  const auto count = [&](const std::string& name) { return std::count(names.begin(), names.end(), name); };
  for (bool grew = true; grew;) {
    grew = false;
    const auto before = names;
    for (std::size_t i = 0; i < names.size(); ++i) {
      if (std::count(before.begin(), before.end(), before[i]) == 1) continue;
      if (rest[i].filename() == "checkpoints") rest[i] = rest[i].parent_path();
      if (rest[i].filename().empty()) continue;
      names[i] = rest[i].filename().string() + "/" + names[i];
      rest[i] = rest[i].parent_path();
      grew = true;
    }
  }
  for (std::size_t i = 0; i < names.size(); ++i) {  // one file twice
    if (count(names[i]) > 1) names[i] += fmt::format(" ({})", i + 1);
  }
  return names;
}

Axis axis_around(const std::vector<MarkedPoint>& points, std::size_t axis, std::size_t count) {
  if (count == 1) return {0, 0, 1};
  double low = points.front().coordinates[axis], high = low;
  for (const MarkedPoint& point : points) {
    low = std::min(low, point.coordinates[axis]);
    high = std::max(high, point.coordinates[axis]);
  }
  const double margin = kMargin * (high - low);
  return {low - margin, high + margin, count};
}

std::string range_field(std::size_t axis) {
  const std::string name = axis_name(axis);
  return name.size() == 1 ? "`" + name + "`" : fmt::format("`axis` {}", axis + 1);
}

}  // namespace lossatlas
