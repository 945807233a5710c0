#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "cli/landscape_inputs.h"
#include "cli/run_files.h"
#include "landscape/differences.h"
#include "landscape/direction.h"
#include "landscape/plane.h"
#include "landscape/surface.h"

namespace lossatlas {

/// The words that say along which directions parameters move.
struct PlaneWords {
  std::string plane = "random";  // or points:A,B,C, file:F, pca:RUN
  std::string normalization = "filter", ignore = "bias,bn", distribution = "gaussian";
  std::uint64_t seed = 0;
  bool orthogonal = false;
  std::string type;  // "": weights for random directions, states between checkpoints, what a file holds
  std::filesystem::path directions, save_directions;
  std::size_t repeat = 1;
  std::vector<CLI::Option*> of_random;  // what only random directions read

  /// --plane, --orthogonal and --repeat: what takes two directions.
  void add_plane_to(CLI::App& command);
  /// The words of single directions, from --norm to --save-directions.
  void add_directions_to(CLI::App& command);
};

/// Where directions come from.
enum class PlaneSource { random, points, file, pca };

std::string_view name_of(PlaneSource source);

/// The words, as far as they are checked without a file.
struct PlaneOptions {
  PlaneSource source = PlaneSource::random;
  std::vector<std::filesystem::path> files;  // the checkpoints that the plane goes through, or the file of directions
  std::vector<RunFiles> runs;                // of pca
  DirectionOptions direction;
  bool is_orthogonal = false;
  std::optional<DirectionType> type;  // as asked for
};

/// Throws UsageError for wrong words.
PlaneOptions check(const PlaneWords& words);

/// Throws UsageError where a word stands that only random directions read.
void refuse_words_of_random(const PlaneWords& words);

/// The checkpoint at the origin: --checkpoint, which may be one of the plane's, else the first of them; what is left in
/// `options.files` are the others. Of a run folder it is the last epoch, as a line in `notes` says. Throws UsageError
/// where there is none, or where too few are left to span `directions` directions.
std::filesystem::path take_origin(const std::filesystem::path& checkpoint, PlaneOptions& options,
                                  std::size_t directions, std::vector<std::string>& notes);

/// The plane, or line, that the words chose.
struct ChosenPlane {
  Planes::MakeDirections directions;         // on the CPU
  Planes::Locate locate = nullptr;           // null: a grid's coordinates are multiples of the directions
  nlohmann::json settings;                   // plane, and what decides it
  std::filesystem::path direction_file;      // where the directions were read from, if they were
  std::vector<MarkedPoint> points;           // checkpoints that are marked, without their own losses
  std::vector<std::filesystem::path> files;  // of the points
  double unit = kNotKnown;                   // length of its directions, where it is one
  Trajectory trajectory;                     // of pca: the paths, without losses
  std::vector<std::string> notes;            // for people, on how it was made
};

/// The threads and the instruction set that the words ask for.
SumOptions sums_of(const LandscapeWords& words, const LandscapeOptions& options);

/// A plane (count = 2) or a line (1) around the inputs' origin. Reads the files that it takes. Throws Error naming the
/// file that does not fit. `sums`: of what is read of many checkpoints.
ChosenPlane choose_plane(const PlaneOptions& options, std::size_t count, const LandscapeInputs& inputs,
                         const SumOptions& sums);

/// The last parts of each path that tell all of them apart: "epoch-0003", or "sgd/epoch-0003" beside another run's.
std::vector<std::string> short_names(const std::vector<std::filesystem::path>& files);

/// A range that holds the coordinates of all points, with a margin of a fifth of their extent on either side.
Axis axis_around(const std::vector<MarkedPoint>& points, double MarkedPoint::*coordinate, std::size_t count);

}  // namespace lossatlas
