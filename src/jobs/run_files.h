#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace lossatlas {

/// The checkpoints of one run, in the order of its path.
struct RunFiles {
  std::string words;      // as they were given, for messages; a long list shortened
  std::string label;      // the run folder's name
  std::string optimizer;  // as the run's history says; "" if there is none
  std::vector<std::filesystem::path> files;
  std::filesystem::path history;  // the file that names the optimizer; "" if there is none
};

/// Of a run folder, its checkpoints/epoch-….pt, or step-….pt if there are none. Throws Error if there is none.
RunFiles run_of_folder(const std::filesystem::path& folder);

/// The checkpoint that `name` means: itself, or of a run folder that of its last epoch, which a line in `notes` says.
/// Throws Error for any other folder.
std::filesystem::path checkpoint_of(const std::filesystem::path& name, std::vector<std::string>& notes);

/// What the history of a checkpoint's run says of its optimizer; "" if there is no history that can be read.
std::string optimizer_of(const std::filesystem::path& checkpoint);

/// Of files and glob patterns with commas between them: files of a pattern in natural order (2 before 10). A folder is
/// taken as a run folder. Throws UsageError for a pattern that matches nothing, and for a file that is named twice.
RunFiles run_of_words(const std::string& option, const std::string& words);

/// Throws UsageError if two runs are the same files.
void check_different(const std::vector<RunFiles>& runs);

/// True if `a` comes before `b`, numbers in them counting as numbers.
bool in_natural_order(std::string_view a, std::string_view b);

}  // namespace lossatlas
