#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "curvature/density.h"
#include "curvature/lanczos.h"
#include "curvature/trace.h"

namespace lossatlas {

/// The trace at scale h: D_v(h), the second difference of the loss along v, of each of several random signs v.
struct ScaleTrace {
  double step = 0;             // h
  std::vector<double> probes;  // D_v(h) of each; empty: not computed
  double error_over_samples = std::numeric_limits<double>::quiet_NaN();

  /// Their mean, and its standard error over the probes.
  Estimate value() const { return estimate_of(probes); }
};

/// Standard error of a mean over batches of `used` samples in all, as an estimate of that over the whole population:
/// with the finite-population correction, 0 where all samples were used; NaN of one batch of several samples of a
/// larger population. `weights`: Σ w of each batch's samples.
double error_over_batches(const std::vector<double>& of_batches, const std::vector<double>& weights, double used,
                          double population);

/// The curvature of a mean loss at one point, as far as it was computed.
struct CurvatureRecord {
  // At the point.
  double loss = 0, loss_error = 0;  // standard error, as an estimate of the whole split's mean
  double accuracy = std::numeric_limits<double>::quiet_NaN();  // in percent, where it is measured
  double gradient_norm = 0;
  std::vector<std::string> parameters;  // that count, in the order of vectors
  std::vector<Part> places;             // of each in a vector

  // Standard errors over the samples are those of batch means.
  std::vector<double> batch_weights;  // Σ w of each batch's samples; empty until the first product
  std::vector<std::int64_t> samples;  // indices within the split
  std::int64_t population = 0;        // samples in the split

  std::size_t largest = 0;  // of the pairs, at the upper end; the rest are the smallest
  bool has_pairs = false, has_converged = false;
  Eigenpairs pairs;
  std::vector<std::vector<double>> pair_forms;  // [pair][batch], vᵀAv of each batch alone

  Trace trace;
  std::vector<std::vector<double>> trace_forms;  // [probe][batch]
  ScaleTrace scale_trace;
  Density density;
  double threshold = 1;  // eigenvalues beyond ±threshold are counted

  std::size_t products = 0;  // made for all of this
  bool is_finished = false;
  nlohmann::json settings = nlohmann::json::object(), provenance = nlohmann::json::object();

  std::size_t size() const;
  /// error_over_batches() of this record's samples.
  double error_over_samples(const std::vector<double>& of_batches) const;
  /// The trace that each batch alone would have given with the same probes. Empty without eigenpairs and probes.
  std::vector<double> trace_of_batches() const;
};

/// The parameters of a module: names up to the last point, in order.
struct ModuleParts {
  std::string name;
  std::vector<std::size_t> parameters;  // their places among all
  std::size_t count = 0;                // numbers
};
std::vector<ModuleParts> modules_of(const CurvatureRecord& record);

/// Kind "curvature" of docs/file-format.md.
void write_curvature(const std::filesystem::path& file, const CurvatureRecord& record);
/// Throws Error, naming the file, for what is none.
CurvatureRecord read_curvature(const std::filesystem::path& file);
/// Whether a file of HDF5 is one.
bool is_curvature(const std::filesystem::path& file);

}  // namespace lossatlas
