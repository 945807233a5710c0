#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/fields.h"
#include "base/processors.h"
#include "data/data_set.h"
#include "evaluation/loss.h"
#include "optimizers/options.h"
#include "optimizers/schedule.h"

namespace lossatlas {

// What jobs are asked for. Nothing here was checked; no member needs LibTorch. json_of and from_json_of (base/fields.h)
// write and read requests, difference() compares them.

template <>
struct FieldsOf<Extras> {
  template <class Visit>
  static constexpr void fields(Visit&& visit) {
    using R = Extras;
    visit("class_loss", &R::class_losses);
    visit("top5", &R::top5);
    visit("l2", &R::weight_decay);
  }
};

template <>
struct FieldsOf<OptimizerOptions> {
  template <class Visit>
  static constexpr void fields(Visit&& visit) {
    using R = OptimizerOptions;
    visit("optimizer", &R::name);
    visit("momentum", &R::momentum);
    visit("nesterov", &R::nesterov);
    visit("weight_decay", &R::weight_decay);
    visit("delta", &R::delta);
    visit("rho", &R::rho);
    visit("betas", &R::betas);
  }
};

template <>
struct FieldsOf<RateSchedule> {
  template <class Visit>
  static constexpr void fields(Visit&& visit) {
    using R = RateSchedule;
    visit("lr_schedule", &R::name);
    visit("lr_steps", &R::drops);
    visit("lr_factor", &R::drop_factor);
    visit("warmup", &R::warmup);
    visit("lr_epochs", &R::length);
  }
};

/// Samples, and how pixels enter the network.
struct DataRequest {
  std::string data;               // "cifar10:DIR" and others (data/data_set.h)
  std::string test_data = {};     // of the test split; "": that of `data`
  std::vector<double> mean, std;  // one a channel, or one for all; empty: the checkpoint's, else the data's own
  std::vector<std::int64_t> resize = ImageOptions().resize;  // of pictures: a side, or two; 0: none
  std::vector<std::int64_t> crop = ImageOptions().crop;
  std::string interpolation = ImageOptions().interpolation;
  bool skip_bad = false;
  std::filesystem::path image_cache = {};          // "": the user's
  std::map<std::string, std::string> copies = {};  // DataSpec::copies; no field: it is this process's own

  template <class Visit>
  static constexpr void fields(Visit&& visit) {
    using R = DataRequest;
    visit("data", &R::data);
    visit("test_data", &R::test_data);
    visit("mean", &R::mean);
    visit("std", &R::std);
    visit("resize", &R::resize);
    visit("crop", &R::crop);
    visit("interpolation", &R::interpolation);
    visit("skip_bad", &R::skip_bad);
    visit("image_cache", &R::image_cache);
  }
};

/// The network; what is missing is the checkpoint's, else follows from the data.
struct NetworkRequest {
  std::string arch;
  std::int64_t classes = 0;  // 0: the checkpoint's, else the data's
  std::int64_t width = 0;    // 0: the checkpoint's, else the architecture's own

  template <class Visit>
  static constexpr void fields(Visit&& visit) {
    using R = NetworkRequest;
    visit("arch", &R::arch);
    visit("classes", &R::classes);
    visit("width", &R::width);
  }
};

inline constexpr std::int64_t kDefaultBatch = 128;  // images

/// What all jobs that evaluate a landscape are asked: what is evaluated, on which images, how, and into what.
struct LandscapeRequest {
  std::filesystem::path problem = {};     // a file of export_problem: network, loss and data
  std::filesystem::path checkpoint = {};  // "": the problem's own parameters
  std::string key = {};                   // the entry of checkpoints that holds the weights; "": the usual ones
  NetworkRequest network = {};
  DataRequest data = {};
  std::filesystem::path out = "outputs/surface.h5";
  std::string split = "train";  // or test, or both
  std::int64_t samples = 0;     // 0: all; -n: n, or all if there are fewer
  std::uint64_t sample_seed = 0;
  std::string loss = {};  // "": the problem's, else cross-entropy
  Extras extras = {};
  std::string batch_norm = {};         // stored or recalibrate; "": recalibrate between networks, else stored
  std::int64_t batch_norm_images = 0;  // 0: 1000, or all if there are fewer
  std::int64_t batch_size = 0;         // 0: the problem's, else 128; on CUDA with tf32 or bf16 1024
  std::string device = "cpu";
  std::string engine = "auto", instruction_set = "auto", dtype = "fp32";
  int threads = usable_processors();
  bool curvature = false;  // also second derivatives by autodiff
  double step = 0;         // of second differences of the loss, in multiples of a direction; 0: the usual
  bool force = false, resume = false;
  bool broadcast = false;          // with several ranks: rank 0 sends what is read to the others
  std::string shard = {};          // "3/16": compute this part alone, into a file beside `out` (jobs/shard.h); "": all
  std::filesystem::path log = {};  // a file that the caller writes meanwhile; "" for none

  template <class Visit>
  static constexpr void fields(Visit&& visit) {
    using R = LandscapeRequest;
    visit("problem", &R::problem);
    visit("checkpoint", &R::checkpoint);
    visit("key", &R::key);
    visit(kInPlace, &R::network);
    visit(kInPlace, &R::data);
    visit("out", &R::out);
    visit("split", &R::split);
    visit("samples", &R::samples);
    visit("sample_seed", &R::sample_seed);
    visit("loss", &R::loss);
    visit(kInPlace, &R::extras);
    visit("bn", &R::batch_norm);
    visit("bn_images", &R::batch_norm_images);
    visit("batch_size", &R::batch_size);
    visit("device", &R::device);
    visit("engine", &R::engine);
    visit("instruction_set", &R::instruction_set);
    visit("dtype", &R::dtype);
    visit("threads", &R::threads);
    visit("curvature", &R::curvature);
    visit("step", &R::step);
    visit("force", &R::force);
    visit("resume", &R::resume);
    visit("broadcast", &R::broadcast);
    visit("shard", &R::shard);
    visit("log", &R::log);
  }
};

/// Where directions come from.
enum class PlaneSource { random, points, file, pca, eigen };

std::string_view name_of(PlaneSource source);
NLOHMANN_JSON_SERIALIZE_ENUM(PlaneSource, {{PlaneSource::random, "random"},
                                           {PlaneSource::points, "points"},
                                           {PlaneSource::file, "file"},
                                           {PlaneSource::pca, "pca"},
                                           {PlaneSource::eigen, "eigen"}})

/// Along which directions parameters move.
struct PlaneRequest {
  PlaneSource source = PlaneSource::random;
  std::vector<std::filesystem::path> files;  // the checkpoints that the plane goes through, or the file of directions
  std::string run;                           // of pca: a run folder, or files and patterns with commas between them
  std::string eigen = {};                    // which eigenvectors, as in "1,low"; "": the largest
  std::int64_t eigen_samples = 0;            // that their Hessian is over; -1: all; 0: 1000, or all if there are fewer
  std::size_t eigen_trace = 16;              // random probes for the trace beside them; 0: no trace
  std::vector<std::string> parameters = {};  // patterns of those that move; empty: all
  std::string normalization = "filter", ignore = "bias,bn", distribution = "gaussian";
  std::uint64_t seed = 0;
  bool orthogonal = false;
  std::string type;  // "": weights for random directions, states between checkpoints, what a file holds
  std::filesystem::path save_directions;
  std::size_t repeat = 1;

  template <class Visit>
  static constexpr void fields(Visit&& visit) {
    using R = PlaneRequest;
    visit("plane", &R::source);
    visit("files", &R::files);
    visit("run", &R::run);
    visit("eigen", &R::eigen);
    visit("eigen_samples", &R::eigen_samples);
    visit("eigen_trace", &R::eigen_trace);
    visit("parameters", &R::parameters);
    visit("norm", &R::normalization);
    visit("ignore", &R::ignore);
    visit("distribution", &R::distribution);
    visit("seed", &R::seed);
    visit("orthogonal", &R::orthogonal);
    visit("dir_type", &R::type);
    visit("save_directions", &R::save_directions);
    visit("repeat", &R::repeat);
  }
};

struct SurfaceRequest {
  LandscapeRequest landscape;
  PlaneRequest plane;
  std::size_t axes = 2;               // directions; more than two draw no picture, but slices of one
  std::vector<std::size_t> grid{51};  // points along each axis, x first; one number is that of all
  /// By the name of the axis: x, y, z, w, axis5, … Without: -1 to 1; through checkpoints what holds them.
  std::map<std::string, std::array<double, 2>> ranges;
  std::size_t curvature_products = 0;  // with `curvature`: of the Hessian at each point; 0: 10
  std::size_t scale_probes = 0;        // of the trace at scale h at each point; 0: not measured
  double tolerance = 0;                // of the range of log loss; 0: none
  std::int64_t budget = 0;             // image evaluations; 0: none

  /// True if all images at every point are reconstructed from few evaluations.
  bool in_levels() const { return tolerance > 0 || budget > 0; }

  template <class Visit>
  static constexpr void fields(Visit&& visit) {
    using R = SurfaceRequest;
    visit(kInPlace, &R::landscape);
    visit(kInPlace, &R::plane);
    visit("axes", &R::axes);
    visit("grid", &R::grid);
    visit("ranges", &R::ranges);
    visit("scale_curvature", &R::scale_probes);
    visit("curvature_products", &R::curvature_products);
    visit("tolerance", &R::tolerance);
    visit("budget", &R::budget);
  }
};

struct LineRequest {
  LandscapeRequest landscape{.out = "outputs/line.h5", .split = "both"};
  PlaneRequest direction;
  std::filesystem::path to;  // a second checkpoint, at 1; "": none
  /// Without: -1 to 1; with `to` the range nearest to -0.5 to 1.5 that has 0 and 1 among its points.
  std::optional<std::array<double, 2>> x;
  std::size_t points = 0;  // 0: 51; with `to` 61
  std::size_t lines = 1;   // random directions

  template <class Visit>
  static constexpr void fields(Visit&& visit) {
    using R = LineRequest;
    visit(kInPlace, &R::landscape);
    visit(kInPlace, &R::direction);
    visit("to", &R::to);
    visit("x", &R::x);
    visit("points", &R::points);
    visit("lines", &R::lines);
  }
};

/// Of the line: those asked for, else the usual ones.
std::size_t points_of(const LineRequest& request);

struct TrajectoryRequest {
  LandscapeRequest landscape{.out = "outputs/trajectory.h5"};
  std::vector<std::string> runs;         // run folders
  std::vector<std::string> checkpoints;  // further runs: files and patterns with commas between them
  std::array<std::size_t, 2> grid{25, 25};
  std::optional<std::array<double, 2>> x, y;  // without: what holds the paths
  std::string projection = "cos";             // or lstsq
  std::string type;                           // "": states
  std::filesystem::path directions, save_directions, save_projection;

  template <class Visit>
  static constexpr void fields(Visit&& visit) {
    using R = TrajectoryRequest;
    visit(kInPlace, &R::landscape);
    visit("run", &R::runs);
    visit("checkpoints", &R::checkpoints);
    visit("grid", &R::grid);
    visit("x", &R::x);
    visit("y", &R::y);
    visit("project", &R::projection);
    visit("dir_type", &R::type);
    visit("directions", &R::directions);
    visit("save_directions", &R::save_directions);
    visit("save_projection", &R::save_projection);
  }
};

struct CurveRequest {
  LandscapeRequest landscape{.out = "outputs/curve.h5", .split = "both", .batch_norm = "recalibrate", .batch_size = 0};
  std::filesystem::path from, to;
  std::string shape = "bezier";  // or polygon
  std::size_t bends = 1;
  std::int64_t epochs = 30;
  double learning_rate = 0.015, momentum = 0.9;
  double weight_decay = 5e-4;  // λ: λ/2 ‖θ(t)‖² is added to the loss
  bool augment = false;
  std::uint64_t seed = 0;
  std::size_t points = 61;                  // values of t, from 0 to 1
  std::filesystem::path save_bends;         // PREFIX of .bend-1.pt, …; "": `out` without its suffix
  std::filesystem::path plane_out;          // "": no surface of the plane through the ends and a bend
  std::array<std::size_t, 2> grid{21, 21};  // of that plane

  template <class Visit>
  static constexpr void fields(Visit&& visit) {
    using R = CurveRequest;
    visit(kInPlace, &R::landscape);
    visit("from", &R::from);
    visit("to", &R::to);
    visit("shape", &R::shape);
    visit("bends", &R::bends);
    visit("epochs", &R::epochs);
    visit("lr", &R::learning_rate);
    visit("momentum", &R::momentum);
    visit("weight_decay", &R::weight_decay);
    visit("augment", &R::augment);
    visit("seed", &R::seed);
    visit("points", &R::points);
    visit("save_bends", &R::save_bends);
    visit("plane_out", &R::plane_out);
    visit("grid", &R::grid);
  }
};

struct MergeRequest {
  std::vector<std::filesystem::path> files;  // shards
  std::filesystem::path out;
  bool partial = false;  // though points are missing
  bool force = false;    // replaces `out`; though engine, instruction set, batch size or LibTorch of the shards differ

  template <class Visit>
  static constexpr void fields(Visit&& visit) {
    using R = MergeRequest;
    visit("files", &R::files);
    visit("out", &R::out);
    visit("partial", &R::partial);
    visit("force", &R::force);
  }
};

/// Second derivatives of the loss at a checkpoint.
struct CurvatureRequest {
  LandscapeRequest landscape{.out = "outputs/curvature.h5", .samples = -1000};
  std::string matrix = "hessian";                      // or gauss-newton
  std::size_t largest = 5, smallest = 1;               // eigenpairs at either end
  double tolerance = 3e-3;                             // of their residuals, relative
  std::size_t trace_probes = 16;                       // 0: no trace
  std::size_t scale_probes = 0;                        // of the trace at scale `step`; 0: none
  bool by_module = false;                              // also the diagonal and the trace of each module
  std::size_t density_probes = 0, density_steps = 20;  // no probes: no density
  double threshold = 1;                                // eigenvalues beyond ± it are counted
  std::vector<std::string> parameters;                 // patterns of those that count; empty: all
  std::filesystem::path save_directions;               // the eigenvectors, as surfaces take them; "": not
  std::size_t most_products = 1000;                    // for the eigenpairs
  // Of several checkpoints a table of their sharpness:
  std::vector<std::filesystem::path> checkpoints = {};  // two or more, or one with `csv`
  std::string run = {};                                 // a run folder, or files and patterns with commas between them
  std::size_t every = 1;                                // of the run every so many checkpoints, and the last
  std::filesystem::path csv = {};                       // "": no such file
  double rho = 0.05;                                    // ρ of SAM's sharpness: a length in parameters
  double sigma = 0.05;                                  // σ of expected sharpness, in multiples of a direction
  std::size_t draws = 20;                               // its directions
  std::uint64_t seed = 0;

  /// Whether several checkpoints, a run or a table as text are asked for.
  bool is_table() const { return checkpoints.size() > 1 || !run.empty() || !csv.empty(); }

  template <class Visit>
  static constexpr void fields(Visit&& visit) {
    using R = CurvatureRequest;
    visit(kInPlace, &R::landscape);
    visit("operator", &R::matrix);
    visit("top", &R::largest);
    visit("low", &R::smallest);
    visit("tolerance", &R::tolerance);
    visit("trace", &R::trace_probes);
    visit("scale_curvature", &R::scale_probes);
    visit("by_module", &R::by_module);
    visit("density", &R::density_probes);
    visit("density_steps", &R::density_steps);
    visit("threshold", &R::threshold);
    visit("parameters", &R::parameters);
    visit("save_directions", &R::save_directions);
    visit("most_products", &R::most_products);
    visit("checkpoints", &R::checkpoints);
    visit("run", &R::run);
    visit("every", &R::every);
    visit("csv", &R::csv);
    visit("rho", &R::rho);
    visit("sigma", &R::sigma);
    visit("draws", &R::draws);
    visit("seed", &R::seed);
  }
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

  template <class Visit>
  static constexpr void fields(Visit&& visit) {
    using R = TrainRequest;
    visit(kInPlace, &R::network);
    visit(kInPlace, &R::data);
    visit(kInPlace, &R::optimizer);
    visit("lr", &R::learning_rate);
    visit(kInPlace, &R::schedule);
    visit("batch_size", &R::batch_size);
    visit("epochs", &R::epochs);
    visit("seed", &R::seed);
    visit("augment", &R::augment);
    visit("save_every", &R::save_every);
    visit("device", &R::device);
    visit("threads", &R::threads);
    visit("out", &R::out);
    visit("resume", &R::resume);
    visit("force", &R::force);
  }
};

}  // namespace lossatlas
