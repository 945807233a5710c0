#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/data_set.h"
#include "evaluation/loss.h"
#include "landscape/trajectory.h"

namespace lossatlas {

/// Evenly spaced coordinates along one direction, in multiples of it.
struct Axis {
  double low = -1;
  double high = 1;
  std::size_t points = 51;

  /// low for 0, high for points - 1; a symmetric range passes through an exact 0.
  double at(std::size_t index) const;
  std::vector<double> coordinates() const;
  /// The point at exactly this coordinate, if there is one.
  std::optional<std::size_t> index_of(double coordinate) const;
  /// False for a range that is too wide or too narrow for its points: they would not be different finite numbers.
  bool has_distinct_points() const;
};

enum class SurfaceKind {
  surface,  // along two directions
  line,     // along one: a grid of one row, at y = 0, which its file has no coordinates of
  curve,    // the same of two layers: along a curve, and along the straight line between its ends (path.h)
};

std::string_view name_of(SurfaceKind kind);

/// State of a grid point, as the file stores it.
enum class PointState : std::uint8_t { missing = 0, evaluated = 1, reconstructed = 2 };

/// One more value at each point, by the name of its dataset under /lossatlas: "train_top5_acc".
struct Measure {
  std::string name;
  std::vector<double> values;
};

inline constexpr double kNotKnown = std::numeric_limits<double>::quiet_NaN();

/// A checkpoint in the plane or beside it.
struct MarkedPoint {
  std::string name;
  double x = 0, y = 0;                                      // coordinates of its projection
  double distance = 0;                                      // Euclidean, out of the plane; 0 on it
  double loss = kNotKnown, accuracy = kNotKnown;            // its own, with its own statistics, over the same images
  double test_loss = kNotKnown, test_accuracy = kNotKnown;  // where the surface is of both splits
  /// The line's values at the checkpoint, where the grid of a line between two has no point there.
  double plane_loss = kNotKnown, plane_accuracy = kNotKnown, plane_test_loss = kNotKnown,
         plane_test_accuracy = kNotKnown;
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

/// Loss and accuracy on a grid. Values are [layers, ny, nx], x fastest; NaN where nothing was evaluated, which `state`
/// tells from a loss that is NaN. There is one layer, or one for each of several pairs of directions (repeats), or one
/// for each number of images in `levels`.
struct Surface {
  SurfaceKind kind = SurfaceKind::surface;
  Axis x, y;
  Split split = Split::train;  // of both splits: train, and the test values are in `more`
  std::size_t layers = 1;
  std::vector<std::int64_t> levels;                          // images of each layer, ascending; empty for repeats
  std::vector<double> loss, loss_se, accuracy, accuracy_se;  // accuracies in percent
  std::vector<std::int64_t> images;                          // that made the value; 0 where it is missing
  std::vector<Measure> more;
  std::vector<PointState> state;
  std::vector<std::int64_t> samples;       // indices of the images within the split
  std::vector<std::int64_t> test_samples;  // of both splits: those of the test images
  std::vector<MarkedPoint> points;
  std::vector<PlaneCurve> curves;
  std::vector<PilotPoint> pilot;  // of a surface in levels, as far as it is known; balances the order of `samples`
  double unit = kNotKnown;        // length of both directions, where it is the same
  Trajectory trajectory;          // paths of optimizers through the plane
  std::string direction_file;     // "" where directions come from the seed alone
  nlohmann::json settings = nlohmann::json::object();    // all that decides the values
  nlohmann::json provenance = nlohmann::json::object();  // how this file came about: may differ between equal surfaces
  /// The loss at the origin beside that of the untouched checkpoint: images, surface, checkpoint, equal; null where
  /// they were not compared.
  nlohmann::json centre_check;

  /// A grid with no point evaluated.
  Surface(const Axis& x_axis, const Axis& y_axis, Split which, const std::vector<std::string>& more_names = {},
          std::size_t layer_count = 1);

  /// All points, those of every layer.
  std::size_t size() const { return loss.size(); }
  /// True for a grid of one row that has no y: a line or a curve.
  bool is_flat() const { return kind != SurfaceKind::surface; }
  std::size_t grid_size() const { return x.points * y.points; }
  std::vector<std::string> more_names() const;
  /// True where test values stand in `more` beside those of training.
  bool has_both_splits() const;
  /// Of `more`, by name. Throws std::logic_error where there is no such measure.
  const std::vector<double>& values_of(std::string_view measure) const;
  /// The point at exactly these coordinates, if there is one; of the first layer.
  std::optional<std::size_t> index_of(double at_x, double at_y) const;
  /// That point in another layer.
  std::size_t index_in(std::size_t layer, std::size_t point) const { return layer * grid_size() + point; }
  void set(std::size_t index, const Evaluation& evaluation);
  Evaluation at(std::size_t index) const;
  /// Points that were evaluated; those that are reconstructed from others are not among them.
  std::size_t evaluated() const;
  std::size_t reconstructed() const;
  /// Points whose loss was evaluated and is not finite.
  std::size_t not_finite() const;
};

/// The levels that a file's settings name, and how many layers it has.
std::vector<std::int64_t> levels_of(const nlohmann::json& settings);
std::size_t layers_of(const nlohmann::json& settings);

/// A surface without points of the same kind, axes, split and values, with the same settings, marked points and paths.
Surface empty_like(const Surface& surface, std::size_t layers = 1);

/// The mean over the repeats at each point, where all of them are evaluated; standard errors are averaged, since all
/// repeats see the same images.
Surface mean_of_repeats(const Surface& all);

/// One of several repeats, alone.
Surface repeat_of(const Surface& all, std::size_t repeat);

/// Writes the whole file anew and renames it into place: readers see the old surface or the new one, never half. Its
/// numbers (summary.h) stand in it where no point is missing.
void write_surface(const std::filesystem::path& file, const Surface& surface);

/// The same for a surface in levels: `shown` is what they add up to, which every reader finds at the root.
void write_surface(const std::filesystem::path& file, const Surface& levels, const Surface& shown);

/// Reads a surface or a line: ours, or one of tomgoldstein/loss-landscape (evaluated_of tells what its -1 means).
/// Of a surface in levels, what they add up to. Throws Error for a file that is no surface, and for one of a newer
/// format.
Surface read_surface(const std::filesystem::path& file);

/// The same, but of a surface in levels the levels.
Surface read_layers(const std::filesystem::path& file);

/// The name of the dataset that holds the half-widths of a surface in levels: "train_loss_error".
std::string error_name(Split split);

}  // namespace lossatlas
