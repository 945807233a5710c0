#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <string>
#include <vector>

#include "jobs/request.h"

namespace lossatlas {

/// The options that decide along which directions parameters move.
class PlaneWords {
 public:
  /// --plane, --orthogonal and --repeat: what takes two directions.
  void add_plane_to(CLI::App& command);
  /// --plane of a line.
  void add_source_of_line_to(CLI::App& command);
  /// The options of single directions, from --norm to --save-directions.
  void add_directions_to(CLI::App& command);

  /// True for --directions.
  bool has_file() const { return !directions_.empty(); }

  /// Throws UsageError if arguments cannot be read, or an option is given that only random directions use.
  /// `is_given`: the directions follow from other options.
  PlaneRequest request(bool is_given = false) const;

 private:
  PlaneRequest request_;
  std::string plane_ = "random";  // or points:A,B,C, file:F, pca:RUN, eigen:I,J
  std::filesystem::path directions_;
  std::vector<CLI::Option*> of_random_;  // what only random directions read
  std::vector<CLI::Option*> of_eigen_;   // what only eigenvectors read
};

}  // namespace lossatlas
