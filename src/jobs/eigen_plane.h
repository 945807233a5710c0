#pragma once

#include <optional>

#include "jobs/inputs.h"
#include "jobs/jobs.h"
#include "jobs/observer.h"
#include "jobs/outcome.h"
#include "jobs/planes.h"
#include "landscape/ranks.h"

namespace lossatlas {

/// The line, plane or space of the eigenvectors that options.eigen names, of the Hessian at the inputs' origin over a
/// part of their first samples; of unit length, their largest number positive. Of several ranks the first computes
/// them; all call it. Nothing if it was stopped. Cost: some 15 to 40 products of the Hessian with vectors, and one for
/// each probe of the trace.
std::optional<ChosenPlane> eigen_plane(const PlaneOptions& options, const LandscapeRequest& request,
                                       const LandscapeInputs& inputs, at::Device device, Ranks* ranks,
                                       Observer& observer);

/// Says that an interrupt came before anything was computed that is kept.
Outcome interrupted_before(const Caller& caller, Observer& observer);

}  // namespace lossatlas
