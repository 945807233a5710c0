#include "jobs/run_files.h"

#include <glob.h>

#include <algorithm>
#include <cctype>

#include "base/error.h"
#include "base/files.h"
#include "base/text.h"
#include "jobs/epochs.h"
#include "jobs/metadata.h"
#include "training/history.h"

namespace lossatlas {
namespace {

constexpr auto kCheckpoints = "checkpoints";
constexpr auto kNoCheckpoints = "it holds no checkpoints/epoch-NNNN.pt or step-NNNNNN.pt";

/// The number or the single letter that stands at `at`, which is moved behind it; zeros in front do not count.
std::string_view next_part(std::string_view text, std::size_t& at) {
  std::size_t end = at;
  while (end < text.size() && is_digit(text[end])) ++end;
  if (end == at) return text.substr(at++, 1);
  while (at + 1 < end && text[at] == '0') ++at;
  const std::string_view part = text.substr(at, end - at);
  at = end;
  return part;
}

std::vector<std::filesystem::path> matching_files(const std::string& option, const std::string& pattern) {
  glob_t found{};
  const int failure = ::glob(pattern.c_str(), 0, nullptr, &found);
  std::vector<std::filesystem::path> files;
  if (failure == 0) files.assign(found.gl_pathv, found.gl_pathv + found.gl_pathc);
  ::globfree(&found);
  if (files.empty()) throw UsageError("{} {}: matches no file", option, pattern);
  std::stable_sort(files.begin(), files.end(),
                   [](const auto& a, const auto& b) { return in_natural_order(a.string(), b.string()); });
  return files;
}

/// The folder that files of a run belong to, whether or not they lie in its folder of checkpoints.
std::filesystem::path folder_of(const std::filesystem::path& file) {
  const auto folder = std::filesystem::weakly_canonical(file).parent_path();
  return folder.filename() == kCheckpoints ? folder.parent_path() : folder;
}

std::vector<std::filesystem::path> full_names(std::vector<std::filesystem::path> files) {
  for (auto& file : files) file = std::filesystem::absolute(file).lexically_normal();
  return files;
}

/// Its checkpoints/epoch-….pt, or step-….pt if there are none, in their order; none where it is no run folder.
std::vector<std::filesystem::path> checkpoints_of(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files, steps;
  std::error_code code;
  for (const auto& entry : std::filesystem::directory_iterator(folder / kCheckpoints, code)) {
    const std::string name = entry.path().filename().string();
    if (!name.ends_with(".pt")) continue;
    if (name.starts_with("epoch-")) files.push_back(entry.path());
    if (name.starts_with("step-")) steps.push_back(entry.path());
  }
  if (files.empty()) files = std::move(steps);
  std::sort(files.begin(), files.end(),
            [](const auto& a, const auto& b) { return in_natural_order(a.string(), b.string()); });
  return files;
}

constexpr auto kHistory = "history.h5";

std::string optimizer_in(const std::filesystem::path& history) {
  return metadata_value<std::string>(read_history(history).settings, "optimizer", "");
}

RunFiles describe(std::string words, const std::filesystem::path& folder, std::vector<std::filesystem::path> files) {
  constexpr std::size_t kLongest = 200;  // letters of a list of files in a message
  if (words.size() > kLongest) words = fmt::format("{}, … (in all {})", files.front().string(), files.size());
  RunFiles run{std::move(words), folder.filename().string(), "", std::move(files), {}};
  if (run.label.empty()) run.label = "run";
  std::error_code ignored;
  if (const auto history = folder / kHistory; std::filesystem::exists(history, ignored)) {
    run.history = history;
    run.optimizer = optimizer_in(history);
  }
  return run;
}

}  // namespace

void check_different(const std::vector<RunFiles>& runs) {
  for (std::size_t i = 0; i < runs.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      if (full_names(runs[i].files) == full_names(runs[j].files))
        throw UsageError("{}: this run is named twice", runs[i].words);
    }
  }
}

bool in_natural_order(std::string_view a, std::string_view b) {
  std::size_t i = 0, j = 0;
  while (i < a.size() && j < b.size()) {
    const std::string_view left = next_part(a, i), right = next_part(b, j);
    if (left == right) continue;
    if (is_digit(left[0]) && is_digit(right[0]) && left.size() != right.size()) return left.size() < right.size();
    return left < right;
  }
  return a.size() - i < b.size() - j;
}

RunFiles run_of_folder(const std::filesystem::path& folder) {
  if (!std::filesystem::is_directory(folder)) {
    const bool is_file = std::filesystem::exists(folder);
    throw Error("{}: {}", folder.string(),
                is_file ? "a file, not a run folder; name files with `checkpoints`" : "no such folder");
  }
  auto files = checkpoints_of(folder);
  if (files.empty()) {
    throw Error("{}: not a run folder: {}; name other files with `checkpoints` '{}'", folder.string(), kNoCheckpoints,
                (folder / "*.pt").string());
  }
  return describe(folder.string(), std::filesystem::weakly_canonical(folder / kCheckpoints).parent_path(),
                  std::move(files));
}

std::filesystem::path checkpoint_of(const std::filesystem::path& name, std::vector<std::string>& notes) {
  std::error_code ignored;
  if (!std::filesystem::is_directory(name, ignored)) return name;
  const auto files = checkpoints_of(name);
  if (files.empty()) {
    throw Error("{}: a folder, but not a run folder: {}; name a checkpoint, or the `out` folder of `lossatlas train`",
                name.string(), kNoCheckpoints);
  }
  notes.push_back(fmt::format("{}: a run folder; its last {} is taken, {}", name.string(),
                              are_steps(files) ? "step" : "epoch", files.back().string()));
  return files.back();
}

std::string optimizer_of(const std::filesystem::path& checkpoint) {
  const auto history = folder_of(checkpoint) / kHistory;
  std::error_code ignored;
  if (!std::filesystem::exists(history, ignored)) return "";
  try {
    return optimizer_in(history);
  } catch (const Error&) {
    return "";
  }
}

RunFiles run_of_words(const std::string& option, const std::string& words) {
  std::error_code ignored;  // a long list is too long for a name
  if (std::filesystem::is_directory(in_home(words), ignored)) return run_of_folder(in_home(words));
  std::vector<std::filesystem::path> files;
  for (const std::string_view part : split_at(words, ',')) {
    const std::string name = in_home(std::string(part));
    if (name.empty()) throw UsageError("{} {}: requires files or a pattern, separated by commas", option, words);
    const bool is_pattern = name.find_first_of("*?[") != std::string::npos && !std::filesystem::exists(name, ignored);
    const auto found = is_pattern ? matching_files(option, name) : std::vector<std::filesystem::path>{name};
    files.insert(files.end(), found.begin(), found.end());
  }
  auto sorted = full_names(files);
  std::sort(sorted.begin(), sorted.end());
  if (const auto twice = std::adjacent_find(sorted.begin(), sorted.end()); twice != sorted.end()) {
    throw UsageError("{}: {} is named twice", option, twice->string());
  }
  const auto folder = folder_of(files.front());
  return describe(words, folder, std::move(files));
}

}  // namespace lossatlas
