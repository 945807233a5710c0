#pragma once

#include "jobs/outcome.h"
#include "jobs/surface_run.h"
#include "landscape/ranks.h"

namespace lossatlas {

/// True for the process that writes a job's files: a process alone, and rank 0 of several. The others touch no output.
inline bool leads(const Ranks* ranks) { return !ranks || ranks->is_first(); }

/// Throws Error on rank 0 if another rank has other settings, or other numbers in `plane`. On rank 0 who takes part,
/// for a provenance. All ranks call it. `threads`: of this rank.
nlohmann::json compare_ranks(Ranks& ranks, const nlohmann::json& settings, const Plane& plane, int threads,
                             at::Device device);
/// The same of a surface, with its grid; on rank 0 it adds who takes part to the surface's provenance.
void compare_ranks(SurfaceJob& job);

/// On ranks but the first: evaluates what rank 0 hands out, until its run_surface has returned.
Outcome serve_surface(SurfaceJob& job, Observer& observer);

/// On rank 0: the end of that.
void end_surface(Ranks& ranks, bool finished);

}  // namespace lossatlas
