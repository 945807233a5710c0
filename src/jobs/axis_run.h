#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "jobs/surface_run.h"

namespace lossatlas {

/// A request to other ranks: evaluate what curvature along the axes takes.
inline constexpr std::string_view kAxesRequest = "axes";

/// Whether curvature along the axes is asked for, and the surface does not have it yet. Of shards the first computes
/// it.
bool lacks_axis_curvatures(const SurfaceJob& job);

/// Computes it, over the first `samples` of the engine's, which are in the order of the surface's. False if it was
/// stopped: then the surface has nothing more than before.
bool find_axis_curvatures(SurfaceJob& job, const Engine& engine, std::int64_t samples, Observer& observer);

/// On other ranks: evaluates what rank 0 hands out. `engine`: the same.
void serve_axis_curvatures(const SurfaceJob& job, const Engine& engine, std::int64_t samples);

/// Samples for which it costs 3 % of a surface in levels of `cost` sample evaluations, but 32 at least, and all at
/// most.
std::int64_t axis_samples(const Surface& surface, std::int64_t cost);

}  // namespace lossatlas
