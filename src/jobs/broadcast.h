#pragma once

#include <atomic>
#include <filesystem>
#include <string>
#include <vector>

#include "jobs/file_copies.h"
#include "jobs/request.h"

namespace lossatlas {

/// Where a request names what is read, besides its `landscape`'s problem, checkpoint and data.
struct InputNames {
  std::vector<std::filesystem::path*> files = {};  // or run folders, whose last checkpoint is meant
  std::vector<std::string*> folders = {};          // run folders
  std::vector<std::string*> runs = {};             // run folders, or files and patterns with commas between them
};

InputNames input_names(SurfaceRequest& request);
InputNames input_names(LineRequest& request);
InputNames input_names(TrajectoryRequest& request);
InputNames input_names(CurveRequest& request);
InputNames input_names(CurvatureRequest& request);

/// Before a request is prepared, if its `broadcast` asks for that: rank 0 sends all that the request reads, and other
/// ranks take the copies in place of what they name. All ranks call it. False if rank 0 was stopped meanwhile. Throws
/// as FileCopies, and for patterns that match nothing.
bool broadcast_inputs(LandscapeRequest& request, const InputNames& names, FileCopies& copies, Ranks& ranks,
                      const std::atomic<bool>& stop);

}  // namespace lossatlas
