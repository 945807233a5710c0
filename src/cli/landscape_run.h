#pragma once

#include <atomic>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "cli/command.h"
#include "cli/landscape_inputs.h"
#include "cli/landscape_words.h"
#include "cli/outputs.h"
#include "cli/plane_words.h"
#include "cli/report.h"
#include "landscape/levels.h"

namespace lossatlas {

/// Throws where an output falls on an existing file that is not to be replaced, on an input, or on another output, and
/// where the files beside --out are not ours. `inputs`: files that are read besides --checkpoint and --data; empty
/// names are passed over. `more`: other files that the command writes.
void check_files(const LandscapeWords& words, const std::filesystem::path& save_directions,
                 std::vector<std::filesystem::path> inputs, const std::vector<Output>& more = {});

/// The command line again, for a run that was cut off.
std::string command_to_go_on(const LandscapeWords& words, std::vector<std::string> command);

/// Calls `work` with the report that the words ask for; the error that ends it stands in the log too.
int with_report(const LandscapeWords& words, const LandscapeOptions& options, const std::function<int(Report&)>& work);

/// A landscape that is to be evaluated, as far as it differs from others.
struct LandscapeTask {
  const LandscapeWords& words;
  const LandscapeOptions& options;
  const LandscapeInputs& inputs;
  const Engine& engine;
  const ChosenPlane& plane;
  std::filesystem::path save_directions;
  /// Kind, axes, values and layers, without points; settings that `words` and `plane` do not make.
  Surface surface;
  LevelGoal goal = {};
  /// Adds what belongs to the file besides the grid, before the sweep; by default the own losses of plane.points.
  std::function<void(Surface&, const std::atomic<bool>& stop)> mark = nullptr;
};

/// Completes what is known of the surface (images, settings, cosine, provenance), saves the directions on request, and
/// runs it (run_surface). Returns the exit status.
int run_landscape(LandscapeTask task, const CommandContext& context, Report& report);

}  // namespace lossatlas
