#pragma once

#include <array>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "jobs/inputs.h"
#include "jobs/request.h"
#include "jobs/run_files.h"
#include "landscape/differences.h"
#include "landscape/direction.h"
#include "landscape/plane.h"
#include "surface/settings.h"
#include "surface/surface.h"

namespace lossatlas {

/// A PlaneRequest, as far as it is checked without a file.
struct PlaneOptions {
  PlaneSource source = PlaneSource::random;
  std::vector<std::filesystem::path> files;  // the checkpoints that the plane goes through, or the file of directions
  std::vector<RunFiles> runs;                // of pca
  std::vector<int> eigen;                    // of eigenvectors: 1 the largest, 2 the next, …; -1 the smallest, …
  std::int64_t eigen_samples = 0;            // as in the request
  std::size_t eigen_trace = 0;
  DirectionOptions direction;
  bool is_orthogonal = false;
  std::optional<DirectionType> type;  // as asked for
};

/// For so many axes. Throws UsageError for what does not go together.
PlaneOptions check(const PlaneRequest& request, std::size_t axes);

/// The checkpoint at the origin: --checkpoint, which may be one of the plane's, else the first of them, else the
/// problem file; what is left in `options.files` are the others. Of a run folder it is the last epoch, as a line in
/// `notes` says. Throws UsageError if there is none, or if too few are left to span `directions` directions.
std::filesystem::path take_origin(const LandscapeRequest& request, PlaneOptions& options, std::size_t directions,
                                  std::vector<std::string>& notes);

/// The plane, or line, that was chosen.
struct ChosenPlane {
  Planes::MakeDirections directions;         // on the CPU
  Planes::Locate locate = nullptr;           // null: a grid's coordinates are multiples of the directions
  Settings settings;                         // plane, and what decides it
  std::filesystem::path direction_file;      // where the directions were read from, if they were
  std::vector<MarkedPoint> points;           // checkpoints that are marked, without their own losses
  std::vector<std::filesystem::path> files;  // of the points
  double unit = kNotKnown;                   // length of its directions, where it is one
  std::vector<double> reach = {};            // of eigenvectors: how far each axis goes to either side by default
  Trajectory trajectory;                     // of pca: the paths, without losses
  std::vector<std::string> notes;            // for people, on how it was made
};

/// The threads and the instruction set that are asked for.
SumOptions sums_of(const LandscapeRequest& request, const LandscapeOptions& options);

/// Not for eigenvectors (eigen_plane). A line (count = 1), a plane (2) or a space of more directions around the inputs'
/// origin. Reads the files that it takes. Throws Error naming the file that does not fit. `sums`: of what is read of
/// many checkpoints.
ChosenPlane choose_plane(const PlaneOptions& options, std::size_t count, const LandscapeInputs& inputs,
                         const SumOptions& sums);

/// The last parts of each path that tell all of them apart: "epoch-0003", or "sgd/epoch-0003" beside another run's.
std::vector<std::string> short_names(const std::vector<std::filesystem::path>& files);

/// A range that was asked for.
inline Axis axis_of(const std::array<double, 2>& range, std::size_t points) { return {range[0], range[1], points}; }

/// A range that holds the coordinates of all points along an axis, with a margin of a fifth of their extent on either
/// side.
Axis axis_around(const std::vector<MarkedPoint>& points, std::size_t axis, std::size_t count);

/// What messages call the range of an axis: "`x`", of a fifth "`axis` 5".
std::string range_field(std::size_t axis);

}  // namespace lossatlas
