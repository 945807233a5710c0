#include <cmath>
#include <limits>

#include "base/error.h"
#include "evaluation/device.h"
#include "jobs/eigen_plane.h"
#include "jobs/inputs.h"
#include "jobs/jobs.h"
#include "jobs/landscape_run.h"
#include "jobs/planes.h"
#include "jobs/rank_run.h"
#include "jobs/shard.h"

namespace lossatlas {
namespace {

constexpr std::size_t kPoints = 51, kPointsBetween = 61;  // 61 from -0.5 to 1.5: both checkpoints are among them
constexpr double kBeyond = 0.5;                           // of the way between two checkpoints, on either side

/// The range nearest to -0.5:1.5 on which 0 and 1 are points, of two or more.
Axis axis_between(std::size_t points) {
  Axis best;
  double nearest = std::numeric_limits<double>::infinity();
  for (std::size_t between = points - 1; between > 0; --between) {  // steps from 0 to 1; of two as near, the finer
    const std::size_t beyond = points - 1 - between, before = beyond / 2, after = beyond - before;
    const auto way = [&](std::size_t steps) { return static_cast<double>(steps) / static_cast<double>(between); };
    const double distance = std::hypot(way(before) - kBeyond, way(after) - kBeyond);
    if (distance >= nearest) continue;
    nearest = distance;
    best = {0 - way(before), way(between + after), points};
  }
  return best;
}

/// `reach`: of an eigenvector. Throws UsageError if one point has no coordinate.
Axis axis_of_line(const LineRequest& request, const std::vector<double>& reach = {}) {
  const std::size_t points = points_of(request);
  if (request.x) return axis_of(*request.x, points);
  if (points == 1) throw UsageError("`points` 1: one point requires its coordinate, as in `x` 0:0");
  if (!reach.empty()) return {-reach[0], reach[0], points};
  return request.to.empty() ? Axis{-1, 1, points} : axis_between(points);
}

/// What was checked without a file.
struct CheckedLine {
  LineRequest request;
  LandscapeOptions landscape;
  PlaneOptions direction;
  Axis x;
  std::vector<std::string> notes;
};

CheckedLine check(LineRequest request) {
  std::vector<std::string> notes;
  settle_split(request.landscape, notes);
  take_shard(request.landscape, request.direction, points_of(request) * request.lines);
  CheckedLine checked{request, check(request.landscape), check(request.direction, 1), {}, notes};
  const bool has_end = !request.to.empty(), has_file = request.direction.source == PlaneSource::file;
  const auto source = request.direction.source;
  if (source == PlaneSource::points || source == PlaneSource::pca) {
    throw UsageError("`plane` {}: a line takes random, eigen or file; through checkpoints use `to`", name_of(source));
  }
  if (has_end && source != PlaneSource::random) {
    throw UsageError("`to`: the line through two checkpoints; cannot be combined with `plane` {}", name_of(source));
  }
  const bool is_given = has_file || source == PlaneSource::eigen;
  if (request.lines > 1 && (has_end || is_given || !request.direction.save_directions.empty())) {
    throw UsageError(
        "`lines` {}: draws its directions; cannot be combined with `to`, a file of directions or eigenvectors",
        request.lines);
  }
  checked.x = axis_of_line(request);
  auto& checkpoint = checked.request.landscape.checkpoint;
  if (checkpoint.empty()) checkpoint = request.landscape.problem;
  if (checkpoint.empty()) throw UsageError(kNoCheckpoint);
  checkpoint = checkpoint_of(checkpoint, checked.notes);
  if (has_end) {
    checked.direction.source = PlaneSource::points;
    checked.direction.files = {checkpoint_of(request.to, checked.notes)};
    checked.landscape.is_between_networks = true;
  }
  return checked;
}

Outcome run(const CheckedLine& checked, const Caller& caller, Observer& observer) {
  const LandscapeRequest& landscape = checked.request.landscape;
  const LandscapeOptions& options = checked.landscape;
  for (const std::string& note : checked.notes) observer.on_note("note: " + note);
  const auto device = open_device(landscape.device);
  const LandscapeInputs inputs = read_inputs(landscape, options, landscape.checkpoint, device, observer);
  if (leads(caller.ranks)) check_writable(landscape.out);
  std::optional<ChosenPlane> eigenvector;
  if (checked.direction.source == PlaneSource::eigen) {
    eigenvector = eigen_plane(checked.direction, landscape, inputs, device, caller.ranks, observer);
    if (!eigenvector) return interrupted_before(caller, observer);
  }
  const ChosenPlane plane =
      eigenvector ? *eigenvector : choose_plane(checked.direction, 1, inputs, sums_of(landscape, options));
  const Engine engine = make_engine(landscape, options, inputs, device);
  Form form = Single{};
  if (checked.request.lines > 1) form = FanLines{checked.request.lines};
  Surface empty(Grid({axis_of_line(checked.request, plane.reach)}), measures_of(landscape.extras, options, inputs),
                form);
  Settings settings;
  settings.repeat = checked.request.lines;
  return run_landscape({.request = landscape,
                        .options = options,
                        .inputs = inputs,
                        .engine = engine,
                        .plane = plane,
                        .save_directions = checked.request.direction.save_directions,
                        .surface = std::move(empty),
                        .settings = settings},
                       caller, observer);
}

}  // namespace

std::size_t points_of(const LineRequest& request) {
  if (request.points > 0) return request.points;
  return request.to.empty() ? kPoints : kPointsBetween;
}

Job prepare(LineRequest request, Caller caller) {
  CheckedLine checked = check(request);
  if (leads(caller.ranks)) {
    check_files(checked.request.landscape, request.direction.save_directions, checked.direction.files);
  }
  return [checked = std::move(checked), caller = std::move(caller)](Observer& observer) {
    return run(checked, caller, observer);
  };
}

}  // namespace lossatlas
