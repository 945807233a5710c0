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

/// Throws UsageError if an output is one of the files that the command reads (the inputs, and the shards that one of
/// them lists), or another output, or has a name that belongs to the files beside a surface. Files are compared by
/// device and inode, so that links of either kind are seen through. Empty names are passed over.
void check_apart(const std::vector<Output>& outputs, const std::vector<std::filesystem::path>& inputs);

/// Throws if `file` is no name for a file, or what is there is no regular file, or is not to be
/// replaced. Touches nothing.
void check_output(const std::string& option, const std::filesystem::path& file, bool force);

/// Makes the folder of `file`, and throws Error where no file can be written there.
void check_writable(const std::filesystem::path& file);

/// True if both name one file, by links of either kind too, whether or not it is there yet.
bool same_file(const std::filesystem::path& a, const std::filesystem::path& b);

}  // namespace lossatlas
