#pragma once

#include "jobs/arithmetic.h"
#include "jobs/jobs.h"

namespace lossatlas {

/// The sharpness of each checkpoint, in one table: into `out`, and `csv`. `options`: checked ones of the landscape.
/// Throws as prepare().
Job prepare_sharpness(CurvatureRequest request, LandscapeOptions options, Caller caller);

}  // namespace lossatlas
