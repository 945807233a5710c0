#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/fields.h"

namespace lossatlas {

/// A file that was read: known by its bytes, whatever its name.
struct FileIdentity {
  std::string file;  // its name, without its folder
  std::string sha256;

  template <class Visit>
  static constexpr void fields(Visit&& visit) {
    visit("file", &FileIdentity::file);
    visit("sha256", &FileIdentity::sha256);
  }
};

/// The checkpoints of a run; the digest is that of the digests of all of them.
struct RunIdentity {
  std::string file;  // the run's name
  std::string sha256;
  std::uint64_t checkpoints = 0;

  template <class Visit>
  static constexpr void fields(Visit&& visit) {
    visit("file", &RunIdentity::file);
    visit("sha256", &RunIdentity::sha256);
    visit("checkpoints", &RunIdentity::checkpoints);
  }
};

/// An axis of the grid.
struct AxisSetting {
  std::string name;
  std::uint64_t points = 0;
  double low = 0, high = 0;

  template <class Visit>
  static constexpr void fields(Visit&& visit) {
    visit("name", &AxisSetting::name);
    visit("points", &AxisSetting::points);
    visit("low", &AxisSetting::low);
    visit("high", &AxisSetting::high);
  }
};

/// Everything that determines the values of a surface, a line or a curve: /lossatlas@settings of its file. What does
/// not apply is not set.
struct Settings {
  // The network and the data.
  std::optional<std::string> arch;
  std::optional<std::int64_t> classes, width;
  std::optional<std::string> data, test_data, transform;
  std::optional<std::vector<double>> mean, std;  // a channel
  std::optional<FileIdentity> problem;           // that holds both
  std::optional<FileIdentity> checkpoint;        // at the origin
  std::optional<std::string> key;                // the entry of checkpoints, if one was named

  // The images.
  std::optional<std::string> split;  // train, test or both
  std::optional<std::uint64_t> samples;
  std::optional<std::string> samples_sha256;
  std::optional<Nullable<std::uint64_t>> sample_seed;  // null: all images
  std::optional<std::uint64_t> test_samples;
  std::optional<std::string> test_samples_sha256;

  // The values.
  std::optional<std::string> loss;
  std::optional<std::vector<std::string>> measures;  // their names, in order
  std::optional<Nullable<double>> l2;
  std::optional<std::uint64_t> scale_curvature;  // probes of the trace at scale h
  std::optional<double> scale_step;              // h
  std::optional<std::string> bn;                 // stored or recalibrate
  std::optional<std::int64_t> bn_layers;
  std::optional<Nullable<std::uint64_t>> bn_images;
  std::optional<std::string> bn_engine, bn_images_sha256;

  // The arithmetic.
  std::optional<std::string> engine, dtype, device, instruction_set, libtorch;
  std::optional<std::int64_t> batch_size;

  // The plane.
  std::optional<std::string> plane;                // random, points, file, pca, eigen or path
  std::optional<std::vector<std::int64_t>> eigen;  // of each axis: 1 the largest eigenvalue, …; -1 the smallest, …
  std::optional<std::uint64_t> eigen_samples;      // that the Hessian is over
  std::optional<std::vector<double>> eigenvalues;  // of each axis
  std::optional<std::vector<double>> eigenvalue_residuals;
  std::optional<double> trace, trace_se;               // of that Hessian
  std::optional<std::vector<std::string>> parameters;  // patterns of those that move; not set: all
  std::optional<std::uint64_t> seed;
  std::optional<std::string> normalization, ignore, distribution;
  std::optional<bool> orthogonal;
  std::optional<std::string> dir_type;
  std::optional<FileIdentity> directions;
  std::optional<std::vector<FileIdentity>> points;
  std::optional<std::vector<RunIdentity>> runs;
  std::optional<std::string> project;
  // Of two directions a number, of more one for each pair, (1, 2), (1, 3), (2, 3), …; a list of these for several
  // planes.
  std::optional<nlohmann::json> cosine;
  std::optional<nlohmann::json> lengths;  // [K], or one such list for each; of a fan of lines one number for each

  // The grid.
  std::optional<std::string> kind;
  std::optional<std::vector<AxisSetting>> axes;  // the fastest first
  std::optional<std::uint64_t> repeat;
  std::optional<Nullable<std::vector<std::int64_t>>> levels;
  std::optional<Nullable<std::string>> subsets;
  std::optional<Nullable<double>> tolerance;
  std::optional<Nullable<std::int64_t>> budget;
  std::optional<std::string> shard;  // "3/16" (shard.h); the whole has none

  // The curve, and its training.
  std::optional<FileIdentity> from, to;
  std::optional<std::uint64_t> train_images;
  std::optional<std::string> train_images_sha256, curve;
  std::optional<std::uint64_t> bends;
  std::optional<std::int64_t> epochs;
  std::optional<double> lr, momentum, weight_decay;
  std::optional<bool> augment;
  std::optional<std::vector<FileIdentity>> bend_files;
  std::optional<double> curve_length, line_length;

  template <class Visit>
  static constexpr void fields(Visit&& visit) {
    using S = Settings;
    visit("arch", &S::arch);
    visit("classes", &S::classes);
    visit("width", &S::width);
    visit("data", &S::data);
    visit("test_data", &S::test_data);
    visit("transform", &S::transform);
    visit("mean", &S::mean);
    visit("std", &S::std);
    visit("problem", &S::problem);
    visit("checkpoint", &S::checkpoint);
    visit("key", &S::key);
    visit("split", &S::split);
    visit("samples", &S::samples);
    visit("samples_sha256", &S::samples_sha256);
    visit("sample_seed", &S::sample_seed);
    visit("test_samples", &S::test_samples);
    visit("test_samples_sha256", &S::test_samples_sha256);
    visit("loss", &S::loss);
    visit("measures", &S::measures);
    visit("l2", &S::l2);
    visit("scale_curvature", &S::scale_curvature);
    visit("scale_step", &S::scale_step);
    visit("bn", &S::bn);
    visit("bn_layers", &S::bn_layers);
    visit("bn_images", &S::bn_images);
    visit("bn_engine", &S::bn_engine);
    visit("bn_images_sha256", &S::bn_images_sha256);
    visit("engine", &S::engine);
    visit("dtype", &S::dtype);
    visit("device", &S::device);
    visit("instruction_set", &S::instruction_set);
    visit("libtorch", &S::libtorch);
    visit("batch_size", &S::batch_size);
    visit("plane", &S::plane);
    visit("eigen", &S::eigen);
    visit("eigen_samples", &S::eigen_samples);
    visit("eigenvalues", &S::eigenvalues);
    visit("eigenvalue_residuals", &S::eigenvalue_residuals);
    visit("trace", &S::trace);
    visit("trace_se", &S::trace_se);
    visit("parameters", &S::parameters);
    visit("seed", &S::seed);
    visit("normalization", &S::normalization);
    visit("ignore", &S::ignore);
    visit("distribution", &S::distribution);
    visit("orthogonal", &S::orthogonal);
    visit("dir_type", &S::dir_type);
    visit("directions", &S::directions);
    visit("points", &S::points);
    visit("runs", &S::runs);
    visit("project", &S::project);
    visit("cosine", &S::cosine);
    visit("lengths", &S::lengths);
    visit("kind", &S::kind);
    visit("axes", &S::axes);
    visit("repeat", &S::repeat);
    visit("levels", &S::levels);
    visit("subsets", &S::subsets);
    visit("tolerance", &S::tolerance);
    visit("budget", &S::budget);
    visit("shard", &S::shard);
    visit("from", &S::from);
    visit("to", &S::to);
    visit("train_images", &S::train_images);
    visit("train_images_sha256", &S::train_images_sha256);
    visit("curve", &S::curve);
    visit("bends", &S::bends);
    visit("epochs", &S::epochs);
    visit("lr", &S::lr);
    visit("momentum", &S::momentum);
    visit("weight_decay", &S::weight_decay);
    visit("augment", &S::augment);
    visit("bend_files", &S::bend_files);
    visit("curve_length", &S::curve_length);
    visit("line_length", &S::line_length);
  }
};

/// What files that lack a setting were made with: older versions could do nothing else.
Settings settings_of_old_files();

/// What a file's settings say, with settings_of_old_files() for what it lacks.
Settings settings_from(const nlohmann::json& settings);

}  // namespace lossatlas
