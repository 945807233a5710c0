#pragma once

#include <filesystem>
#include <vector>

#include "landscape/direction.h"
#include "surface/trajectory.h"

namespace lossatlas {

/// The paths in the layout of tomgoldstein/loss-landscape: proj_xcoord and proj_ycoord, all checkpoints of all runs in
/// their order. Its cos projection is ⟨w, d_k⟩ / ‖d_k‖, a length: our coordinate times ‖d_k‖; its lstsq the coordinate.
void write_projection(const std::filesystem::path& file, const Trajectory& trajectory, ProjectionRule rule,
                      const std::vector<Direction>& directions);

}  // namespace lossatlas
