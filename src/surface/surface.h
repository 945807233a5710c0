#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "data/split.h"
#include "grid/grid.h"
#include "grid/measure.h"
#include "surface/axis_curvature.h"
#include "surface/eigen_maps.h"
#include "surface/trajectory.h"

namespace lossatlas {

/// State of a grid point, as the file stores it.
enum class PointState : std::uint8_t { missing = 0, evaluated = 1, reconstructed = 2 };

/// The values of one measure, [members, n_N, …, n_y, n_x]; NaN where nothing was evaluated.
struct Field {
  Measure measure;
  std::vector<double> values;
  std::vector<double> standard_errors;  // empty if the measure has none
};

/// The samples of one split that make the values.
struct Samples {
  Split split = Split::train;
  std::vector<std::int64_t> indices;  // within the split, in the order in which they are used
  std::vector<std::int64_t> counts;   // how many made the value, at each point; 0 where it is missing
};

/// A checkpoint in the plane or beside it.
struct MarkedPoint {
  std::string name;
  std::vector<double> coordinates;            // of its projection
  double distance = 0;                        // Euclidean, out of the plane; 0 on it
  std::map<std::string, double> values = {};  // its own and the plane's there, by dataset (path_values)

  /// NaN if it is not known.
  double value(const std::string& dataset) const;
  /// Whether a loss was evaluated: it may be NaN itself, and there may be no accuracy.
  bool is_known(const std::string& loss, const std::string& accuracy) const;
};

/// A curve in the plane, or its projection: a point for each t.
struct PlaneCurve {
  std::string name;
  std::vector<double> t, x, y;
};

/// A point of the first look of a surface in levels, image by image.
struct PilotPoint {
  std::size_t point = 0;  // in the grid
  ImageResults images;    // in the order of the surface's samples
};

// What the values of a surface are: one of these. Several grids of values are its members.

struct Single {};
/// As many draws of random directions, each with its surface.
struct Repeats {
  std::size_t count = 1;
};
/// As many random directions, each with its line.
struct FanLines {
  std::size_t count = 1;
};
/// Values on ever more images: a member for each of these numbers, ascending, the last of which is all.
struct Levels {
  std::vector<std::int64_t> sizes;
  std::vector<PilotPoint> pilot = {};  // as far as it is known; balances the order of the samples
};
/// Along a curve between two networks, and at the same t along the straight line.
struct CurveWithChord {};

using Form = std::variant<Single, Repeats, FanLines, Levels, CurveWithChord>;

/// Members of a curve.
inline constexpr std::size_t kCurveMember = 0, kChordMember = 1;

/// Values of measures over a grid.
struct Surface {
  Grid grid;
  Form form;
  std::vector<Field> fields;      // the loss over the first split first
  std::vector<PointState> state;  // distinguishes a missing point from one whose loss is NaN
  std::vector<Samples> samples;   // of the first split, and of the second if there are two
  std::vector<MarkedPoint> points;
  std::vector<PlaneCurve> curves;
  double unit = kNotKnown;                               // length of all directions, where it is the same
  Trajectory trajectory;                                 // paths of optimizers through the plane
  std::string direction_file;                            // "" if directions depend only on the seed
  nlohmann::json settings = nlohmann::json::object();    // all that decides the values
  nlohmann::json provenance = nlohmann::json::object();  // how this file came about: may differ between equal surfaces
  /// The loss at the origin beside that of the untouched checkpoint: images, surface, checkpoint, equal; null if
  /// they were not compared.
  nlohmann::json centre_check;
  /// At the origin along each axis, of the first member's directions; empty if it is not known.
  std::optional<EigenMaps> maps = {};  // of a plane, if they were asked for
  std::vector<AxisCurvature> axis_curvatures;

  /// A grid with no point evaluated. `measures`: the loss over a split first.
  Surface(Grid grid, const std::vector<Measure>& measures, Form form = Single{});

  /// All points, those of every member.
  std::size_t size() const { return state.size(); }
  std::size_t members() const;
  /// That point of the grid in one of the members.
  std::size_t index_in(std::size_t member, std::size_t point) const { return member * grid.size() + point; }
  /// True along one direction or curve.
  bool is_line() const { return grid.dimensions() == 1; }
  bool is_curve() const { return std::holds_alternative<CurveWithChord>(form); }
  bool is_single() const { return std::holds_alternative<Single>(form); }
  const Levels* levels() const { return std::get_if<Levels>(&form); }
  Levels* levels() { return std::get_if<Levels>(&form); }

  Split split() const { return samples.front().split; }
  bool has_both_splits() const { return samples.size() > 1; }
  std::vector<Measure> measures() const;
  /// By the name of their measure; null if there is none.
  const Field* find(std::string_view measure) const;
  /// Throws std::logic_error if there is none.
  const std::vector<double>& values_of(std::string_view measure) const;
  /// Of the first split; the accuracy in percent, NaN if it was not measured.
  std::vector<double>& loss() { return fields[0].values; }
  const std::vector<double>& loss() const { return fields[0].values; }
  const std::vector<double>& loss_errors() const { return fields[0].standard_errors; }
  std::vector<double> accuracy() const;
  bool has_accuracy() const { return find(measure_name("accuracy", split())) != nullptr; }

  void set(std::size_t index, const Evaluation& evaluation);
  Evaluation at(std::size_t index) const;
  /// Points that were evaluated; those that are reconstructed from others are not among them.
  std::size_t evaluated() const;
  std::size_t reconstructed() const;
  std::size_t missing() const;
  /// Points whose loss was evaluated and is not finite.
  std::size_t not_finite() const;
};

/// What one of the samples is called: an "image", or of a problem file a "sample".
std::string_view sample_word(const Surface& surface);

/// "surface", "line" or "curve".
std::string_view kind_of(const Surface& surface);

/// "51x41 over x -1:1 and y -0.5:0.5".
std::string grid_text(const Surface& surface);

/// A surface without points of the same grid and measures, with the same settings, marked points and paths.
Surface empty_like(const Surface& surface, Form form = Single{});

/// The mean over the members at each point, where all of them are evaluated; standard errors are averaged, since all
/// members see the same images.
Surface mean_of(const Surface& all);

/// One of several members, as a surface of its own.
Surface member_of(const Surface& all, std::size_t member);

/// The name of the measure that holds the half-widths of a surface in levels: "train_loss_error".
std::string error_name(Split split);

}  // namespace lossatlas
