#pragma once

#include <CLI/CLI.hpp>

#include "jobs/request.h"

namespace lossatlas {

/// --shard, of jobs that have shards. `hidden`: of others, which refuse it.
void add_shard(CLI::App& command, LandscapeRequest& request, bool hidden = false);

/// The shard of this task of a SLURM job array, as "3/16": its position in SLURM_ARRAY_TASK_MIN, MIN + STEP, … MAX.
/// Throws UsageError naming the variable that is missing, or no such number, and for an array that has gaps.
std::string shard_of_slurm();

}  // namespace lossatlas
