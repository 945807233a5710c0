#pragma once

#include <functional>
#include <string>

#include "jobs/observer.h"
#include "jobs/outcome.h"
#include "jobs/request.h"

namespace lossatlas {

/// A request that was checked as far as it can be without reading a checkpoint: no output falls on an input or on a
/// file that is to be kept. To be called once, with the observer of what happens.
using Job = std::function<Outcome(Observer&)>;

/// Throw UsageError for a request that cannot be meant, Error for files that are in the way. Touch nothing.
Job prepare(SurfaceRequest request, Caller caller);
Job prepare(LineRequest request, Caller caller);
Job prepare(TrajectoryRequest request, Caller caller);
Job prepare(CurveRequest request, Caller caller);
Job prepare(MergeRequest request, Caller caller);
Job prepare(CurvatureRequest request, Caller caller);
Job prepare(TrainRequest request);

/// Before a request is prepared: `instruction_set` auto becomes the best that all ranks have, `device` cuda the GPU of
/// this rank. All ranks call it. A line on that for people. Throws Error if a rank lacks the instruction set that was
/// asked for.
std::string settle_ranks(LandscapeRequest& request, Ranks& ranks);

}  // namespace lossatlas
