#pragma once

#include <functional>

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
Job prepare(CurvatureRequest request, Caller caller);
Job prepare(TrainRequest request);

}  // namespace lossatlas
