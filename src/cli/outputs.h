#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace lossatlas {

/// A file that a command writes, by the option that names it.
struct Output {
  std::string option;
  std::filesystem::path file;  // "": not asked for
  bool is_surface = false;  // files of its own lie beside it: lock, journals, claims, temporary ones, a curve's state
};

/// Throws UsageError where an output is one of the files that the command reads, or another output, or has a name that
/// belongs to the files beside a surface. Files are compared by device and inode, so that links of either kind are seen
/// through. Empty names are passed over.
void check_apart(const std::vector<Output>& outputs, const std::vector<std::filesystem::path>& inputs);

}  // namespace lossatlas
