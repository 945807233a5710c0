#pragma once

#include <cstddef>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace lossatlas {

class Ranks;

/// What became of a job that threw nothing.
struct Outcome {
  std::vector<std::filesystem::path> files =
      {};                 // that hold what was computed, in the order in which they were written
  bool finished = false;  // false: stopped; asked again with `resume` it continues
  // Of a surface or line; of several the last one's.
  std::size_t points = 0, evaluated = 0;  // in all, or of the shard, and those of them that are there
  std::size_t computed = 0;               // by this job
  nlohmann::json centre_check = {};       // Surface::centre_check
};

/// Who asks for a job, as its files and messages say.
struct Caller {
  std::string command;     // for the provenance of files
  std::string version;     // of the program
  std::string again;       // what people type to continue a job that was stopped
  Ranks* ranks = nullptr;  // the processes that carry it out together; null: this one alone
};

}  // namespace lossatlas
