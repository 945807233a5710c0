#pragma once

#include "jobs/arithmetic.h"
#include "jobs/jobs.h"

namespace lossatlas {

/// Whether several checkpoints, a run or a table are asked for.
bool is_table(const CurvatureRequest& request);

/// The sharpness of each checkpoint, in one table: into `out`, and `csv`. `options`: checked ones of the landscape.
/// Throws as prepare().
Job prepare_sharpness(CurvatureRequest request, LandscapeOptions options, Caller caller);

}  // namespace lossatlas
