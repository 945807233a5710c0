#pragma once

#include <atomic>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "jobs/inputs.h"
#include "jobs/observer.h"
#include "jobs/outcome.h"
#include "jobs/outputs.h"
#include "jobs/planes.h"
#include "jobs/request.h"
#include "landscape/work.h"
#include "levels/levels.h"

namespace lossatlas {

/// Throws if an output falls on an existing file that is not to be replaced, on an input, or on another output, and
/// if the files beside --out are not ours. `inputs`: files that are read in addition to --checkpoint and --data; empty
/// names are passed over. `more`: other files that the command writes.
void check_files(const LandscapeRequest& request, const std::filesystem::path& save_directions,
                 std::vector<std::filesystem::path> inputs, const std::vector<Output>& more = {});

/// A landscape that is to be evaluated, as far as it differs from others.
struct LandscapeTask {
  const LandscapeRequest& request;
  const LandscapeOptions& options;
  const LandscapeInputs& inputs;
  const Engine& engine;
  const ChosenPlane& plane;
  std::filesystem::path save_directions = {};
  Surface surface;    // grid, form and measures, without points
  Settings settings;  // that `request` and `plane` do not make
  LevelGoal goal = {};
  std::size_t map_products = 0;           // EigenMapTask::products; 0: no maps
  std::function<Work()> paths = nullptr;  // SurfaceJob::paths
  /// Adds what belongs to the file besides the grid, before the sweep; by default the own losses of plane.points.
  std::function<void(Surface&, const std::atomic<bool>& stop)> mark = nullptr;
};

/// Completes what is known of the surface (images, settings, cosine, provenance), saves the directions on request, and
/// runs it (run_surface).
Outcome run_landscape(LandscapeTask task, const Caller& caller, Observer& observer);

}  // namespace lossatlas
