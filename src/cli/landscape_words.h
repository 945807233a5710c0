#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "jobs/request.h"

namespace lossatlas {

// The options that commands which evaluate a landscape share, each with its part of the request.

/// --problem, --checkpoint, the network, the data.
void add_inputs(CLI::App& command, LandscapeRequest& request);
void add_problem(CLI::App& command, LandscapeRequest& request);
/// Only the network and the data.
void add_network_and_data(CLI::App& command, LandscapeRequest& request);
/// Which images: --split (without `both` if there is to be one), --samples, --sample-seed.
void add_samples(CLI::App& command, LandscapeRequest& request, bool one_split, const std::string& default_samples);
/// Batch-norm statistics: --bn, --bn-images.
void add_statistics(CLI::App& command, LandscapeRequest& request);
/// Images and values: --split to --bn-images.
void add_values(CLI::App& command, LandscapeRequest& request);
/// --curvature and --step.
void add_axis_curvature(CLI::App& command, LandscapeRequest& request);
/// --batch-size, device and engine, threads; --out, progress.
void add_running(CLI::App& command, LandscapeRequest& request, std::string& progress);
/// --resume, --force.
void add_going_on(CLI::App& command, LandscapeRequest& request);

/// Of processes that mpirun or srun started.
struct RankWords {
  double timeout = 600;  // seconds
};
/// --broadcast, --rank-timeout.
void add_ranks(CLI::App& command, LandscapeRequest& request, RankWords& words);

}  // namespace lossatlas
