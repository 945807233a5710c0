#include "jobs/broadcast.h"

#include "base/error.h"
#include "base/files.h"
#include "base/text.h"
#include "jobs/run_files.h"
#include "jobs/samples.h"
#include "surface/resume.h"
#include "surface/settings.h"

namespace lossatlas {
namespace {

/// The files of rank 0's request, and what other ranks put in the place of each name: in the order of take_names().
class Inputs {
 public:
  void add_file(const std::filesystem::path& named) {
    std::vector<std::string> ignored;
    const auto file = checkpoint_of(named, ignored);
    if (!file.empty()) tree.add(file);
    names.push_back(file.string());
  }

  void add_run(const RunFiles& run, const std::string& name) {
    for (const auto& file : run.files) tree.add(file);
    if (!run.history.empty()) tree.add(run.history);
    names.push_back(name);
  }

  void add_folder(const std::string& folder) {
    add_run(run_of_folder(folder), folder);
    tree.add(folder);
  }

  void add_words(const std::string& words) {
    std::error_code ignored;  // a long list is too long for a name
    if (words.empty()) return names.emplace_back(), void();
    if (std::filesystem::is_directory(in_home(words), ignored)) return add_folder(in_home(words));
    const RunFiles run = run_of_words("`checkpoints`", words);
    std::vector<std::string> list;
    for (const auto& file : run.files) list.push_back(file.string());
    add_run(run, fmt::format("{}", fmt::join(list, "\n")));
  }

  void add_data(const std::string& words) {
    if (!words.empty()) {
      for (const auto& file : data_files(words)) tree.add(file);
    }
    names.push_back(words.empty() ? "" : moved_data(words, [](const std::string& rest) { return rest; }));
  }

  FileTree tree;
  std::vector<std::string> names;
};

Inputs inputs_of(const LandscapeRequest& request, const InputNames& names) {
  Inputs inputs;
  inputs.add_file(request.problem);
  inputs.add_file(request.checkpoint);
  inputs.add_data(request.data.data);
  inputs.add_data(request.data.test_data);
  for (const auto* file : names.files) inputs.add_file(*file);
  for (const auto* folder : names.folders) inputs.add_folder(*folder);
  for (const auto* words : names.runs) inputs.add_words(*words);
  // A file that is continued keeps its statistics: only rank 0 can look.
  const auto before = request.resume && request.batch_norm.empty() ? read_remains(request.out) : std::nullopt;
  const bool is_stored = before && settings_from(before->surface.settings).bn == "stored";
  inputs.names.emplace_back(is_stored && request.batch_norm_images == 0 ? "stored" : request.batch_norm);
  return inputs;
}

/// Puts the copies in the place of what the request names.
void take_names(LandscapeRequest& request, const InputNames& names, const std::vector<std::string>& received,
                const FileCopies& copies) {
  if (received.size() != 5 + names.files.size() + names.folders.size() + names.runs.size()) {
    throw Error("its arguments name other files than those of rank 0");
  }
  auto next = received.begin();
  const auto place = [&](const std::string& name) { return copies.place(name).string(); };
  const auto take_data = [&](const std::string& words) {
    if (const std::string& name = *next++; !name.empty()) request.data.copies[words] = moved_data(name, place);
  };
  request.problem = place(*next++);
  request.checkpoint = place(*next++);
  take_data(request.data.data);
  take_data(request.data.test_data);
  for (auto* file : names.files) *file = place(*next++);
  for (auto* folder : names.folders) *folder = place(*next++);
  for (auto* words : names.runs) {
    std::vector<std::string> list;
    for (const std::string_view file : split_at(*next++, '\n')) list.push_back(place(std::string(file)));
    *words = fmt::format("{}", fmt::join(list, ","));
  }
  request.batch_norm = *next;
  request.data.image_cache = copies.folder() / "images";
}

}  // namespace

InputNames input_names(SurfaceRequest& request) {
  InputNames names;
  for (auto& file : request.plane.files) names.files.push_back(&file);
  names.runs = {&request.plane.run};
  return names;
}

InputNames input_names(LineRequest& request) {
  InputNames names{.files = {&request.to}};
  for (auto& file : request.direction.files) names.files.push_back(&file);
  return names;
}

InputNames input_names(TrajectoryRequest& request) {
  InputNames names{.files = {&request.directions}};
  for (auto& run : request.runs) names.folders.push_back(&run);
  for (auto& words : request.checkpoints) names.runs.push_back(&words);
  return names;
}

InputNames input_names(CurveRequest& request) { return {.files = {&request.from, &request.to}}; }

InputNames input_names(CurvatureRequest& request) {
  InputNames names{.runs = {&request.run}};
  for (auto& file : request.checkpoints) names.files.push_back(&file);
  return names;
}

bool broadcast_inputs(LandscapeRequest& request, const InputNames& names, FileCopies& copies, Ranks& ranks,
                      const std::atomic<bool>& stop) {
  Inputs inputs;
  if (ranks.is_first()) inputs = inputs_of(request, names);
  if (!copies.share(inputs.tree, inputs.names, ranks, stop)) return false;
  if (!ranks.is_first()) take_names(request, names, inputs.names, copies);
  return true;
}

}  // namespace lossatlas
