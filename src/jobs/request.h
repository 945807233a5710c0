#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/processors.h"
#include "evaluation/loss.h"
#include "landscape/surface.h"
#include "optimizers/options.h"
#include "optimizers/schedule.h"

namespace lossatlas {

// What jobs are asked for. Nothing here was checked; no member needs LibTorch.

/// Images, and how their pixels enter the network.
struct DataRequest {
  std::string data;               // "synthetic[:N]" or "cifar10:DIR"
  std::vector<double> mean, std;  // one a channel, or one for all; empty: the checkpoint's, else the data's own
};

/// The network; what is missing is the checkpoint's, else follows from the data.
struct NetworkRequest {
  std::string arch;
  std::int64_t classes = 0;  // 0: the checkpoint's, else the data's
  std::int64_t width = 0;    // 0: the checkpoint's, else the architecture's own
};

inline constexpr std::int64_t kDefaultBatch = 128;  // images

/// What all jobs that evaluate a landscape are asked: what is evaluated, on which images, how, and into what.
struct LandscapeRequest {
  std::filesystem::path checkpoint = {};
  NetworkRequest network = {};
  DataRequest data = {};
  std::filesystem::path out = "outputs/surface.h5";
  std::string split = "train";  // or test, or both
  std::int64_t samples = 0;     // 0: all
  std::uint64_t sample_seed = 0;
  std::string loss = "cross-entropy";
  Extras extras = {};
  std::string batch_norm = {};         // stored or recalibrate; "": recalibrate between networks, else stored
  std::int64_t batch_norm_images = 0;  // 0: 1000, or all where there are fewer
  std::int64_t batch_size = 0;         // 0: 128; on CUDA with tf32 or bf16 1024
  std::string device = "cpu";
  std::string engine = "auto", instruction_set = "auto", dtype = "fp32";
  int threads = usable_processors();
  bool force = false, resume = false, join = false;
  std::filesystem::path log = {};  // a file that the caller writes meanwhile; "" for none

  /// True where an existing file is continued, not replaced.
  bool goes_on() const { return resume || join; }
};

/// Where directions come from.
enum class PlaneSource { random, points, file, pca };

std::string_view name_of(PlaneSource source);

/// Along which directions parameters move.
struct PlaneRequest {
  PlaneSource source = PlaneSource::random;
  std::vector<std::filesystem::path> files;  // the checkpoints that the plane goes through, or the file of directions
  std::string run;                           // of pca: a run folder, or files and patterns with commas between them
  std::string normalization = "filter", ignore = "bias,bn", distribution = "gaussian";
  std::uint64_t seed = 0;
  bool orthogonal = false;
  std::string type;  // "": weights for random directions, states between checkpoints, what a file holds
  std::filesystem::path save_directions;
  std::size_t repeat = 1;
};

struct SurfaceRequest {
  LandscapeRequest landscape;
  PlaneRequest plane;
  std::size_t columns = 51, rows = 51;
  std::optional<Axis> x, y;  // without: -1 to 1; through checkpoints what holds them. Their points are columns and rows
  double tolerance = 0;      // of the range of log loss; 0: none
  std::int64_t budget = 0;   // image evaluations; 0: none

  /// True where few evaluations stand for all images at every point.
  bool in_levels() const { return tolerance > 0 || budget > 0; }
};

struct LineRequest {
  LandscapeRequest landscape{.out = "outputs/line.h5", .split = "both"};
  PlaneRequest direction;
  std::filesystem::path to;  // a second checkpoint, at 1; "": none
  /// Without: -1 to 1; with `to` the range nearest to -0.5 to 1.5 that has 0 and 1 among its points.
  std::optional<Axis> x;
  std::size_t points = 0;    // 0: 51; with `to` 61
  std::size_t lines = 1;     // random directions
};

/// Of the line: those asked for, else the usual ones.
std::size_t points_of(const LineRequest& request);

struct TrajectoryRequest {
  LandscapeRequest landscape{.out = "outputs/trajectory.h5"};
  std::vector<std::string> runs;         // run folders
  std::vector<std::string> checkpoints;  // further runs: files and patterns with commas between them
  std::size_t columns = 25, rows = 25;
  std::optional<Axis> x, y;        // without: what holds the paths
  std::string projection = "cos";  // or lstsq
  std::string type;                // "": states
  std::filesystem::path directions, save_directions, save_projection;
};

struct CurveRequest {
  LandscapeRequest landscape{
      .out = "outputs/path.h5", .split = "both", .batch_norm = "recalibrate", .batch_size = kDefaultBatch};
  std::filesystem::path from, to;
  std::string shape = "bezier";  // or polygon
  std::size_t bends = 1;
  std::int64_t epochs = 30;
  double learning_rate = 0.015, momentum = 0.9;
  double weight_decay = 5e-4;  // λ: λ/2 ‖θ(t)‖² is added to the loss
  bool augment = false;
  std::uint64_t seed = 0;
  std::size_t points = 61;           // values of t, from 0 to 1
  std::filesystem::path save_bends;  // PREFIX of .bend-1.pt, …; "": `out` without its suffix
  std::filesystem::path plane_out;   // "": no surface of the plane through the ends and a bend
  std::size_t columns = 21, rows = 21;  // of that plane
};

struct TrainRequest {
  NetworkRequest network;
  DataRequest data;
  OptimizerOptions optimizer;
  double learning_rate = 0.1;
  RateSchedule schedule;  // in epochs; its length 0: all epochs
  std::int64_t batch_size = 128;
  std::int64_t epochs = 10;
  std::uint64_t seed = 0;
  bool augment = false;
  std::int64_t save_every = 1;  // epochs
  std::string device = "cpu";
  int threads = usable_processors();
  std::filesystem::path out = "outputs/run";
  bool resume = false, force = false;
};

}  // namespace lossatlas
