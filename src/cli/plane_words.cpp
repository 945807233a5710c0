#include "cli/plane_words.h"

#include <algorithm>

#include "base/error.h"
#include "base/files.h"
#include "base/text.h"
#include "cli/inputs.h"

namespace lossatlas {
namespace {

std::vector<std::filesystem::path> split_files(const std::string& words) {
  std::vector<std::filesystem::path> files;
  for (const std::string_view file : split_at(words, ',')) files.emplace_back(in_home(std::string(file)));
  return files;
}

/// "random", "points:A,B,C", "file:F", "pca:RUN", "eigen", "eigen:1,low".
void parse_source(const std::string& words, PlaneRequest& request) {
  const std::size_t colon = words.find(':');
  const std::string source = words.substr(0, colon);
  const std::string rest = colon == std::string::npos ? "" : words.substr(colon + 1);
  if (words == "random") return;
  if (source == "pca" && !rest.empty()) {
    request.source = PlaneSource::pca;
    request.run = rest;
    return;
  }
  if (source == "eigen" && (words == source || !rest.empty())) {
    request.source = PlaneSource::eigen;
    request.eigen = rest;
    return;
  }
  request.files = split_files(rest);
  const bool has_files =
      std::none_of(request.files.begin(), request.files.end(), [](auto& file) { return file.empty(); });
  if (source == "points" && has_files) {
    request.source = PlaneSource::points;
  } else if (source == "file" && has_files && request.files.size() == 1) {
    request.source = PlaneSource::file;
  } else {
    throw UsageError("--plane {}: requires random, points:A,B,C, file:F, pca:RUN or eigen[:I,J]", words);
  }
}

}  // namespace

void PlaneWords::add_plane_to(CLI::App& command) {
  command
      .add_option(
          "--plane", plane_,
          "random, points:A,B,C (through checkpoints), file:F (directions), pca:RUN (of a run's checkpoints) or "
          "eigen[:I,J] (eigenvectors of the Hessian: 1 the largest, low the smallest)")
      ->capture_default_str()
      ->type_name("PLANE");
  of_random_.push_back(command.add_flag("--orthogonal", request_.orthogonal,
                                        "make the second random direction orthogonal to the first"));
  command.add_option("--repeat", request_.repeat, "pairs of random directions, each with its own surface")
      ->transform(whole_number(1, 1000))
      ->capture_default_str();
}

void PlaneWords::add_source_of_line_to(CLI::App& command) {
  command
      .add_option(
          "--plane", plane_,
          "random, file:F (a direction) or eigen[:I] (an eigenvector of the Hessian: 1 the largest, low the smallest)")
      ->capture_default_str()
      ->type_name("DIRECTION");
}

void PlaneWords::add_directions_to(CLI::App& command) {
  const auto add = [&](const char* name, auto& word, const char* text) {
    of_random_.push_back(command.add_option(name, word, text)->capture_default_str());
  };
  add("--norm", request_.normalization,
      "how directions are normalized: filter, column, head (of attention), layer, weight, dfilter, dlayer or none");
  add("--ignore", request_.ignore,
      "parameters that stay: bias, bn (one-dimensional ones), patterns of names as in fc.*, or none");
  of_random_.back()->type_name("LIST");
  command
      .add_option("--parameters", request_.parameters,
                  "patterns of the parameters that move, before --ignore, as in layer4.*,fc.* (default: all that are "
                  "trained)")
      ->delimiter(',')
      ->type_name("PATTERN");
  add("--distribution", request_.distribution, "of the directions' entries: gaussian, or uniform on [-1, 1]");
  add("--seed", request_.seed, "decides the directions");
  of_random_.back()->transform(whole_number());
  command.add_option("--dir-type", request_.type,
                     "what moves: weights, or states: batch-norm statistics too (default: weights along random "
                     "directions, states between checkpoints)");
  of_eigen_.push_back(command.add_option(
      "--eigen-samples", request_.eigen_samples,
      "samples that the Hessian of --plane eigen is over (default: 1000, or all if there are fewer)"));
  of_eigen_.back()->transform(whole_number_or("all", -1, 1, kMostCounted))->type_name("N|all");
  of_eigen_.push_back(
      command.add_option("--eigen-trace", request_.eigen_trace,
                         "random probes for its trace, of which the directions hold a share; 0: no trace"));
  of_eigen_.back()->transform(whole_number(0, 1'000'000))->capture_default_str();
  command.add_option("--directions", directions_, "use the directions of this file")->type_name("FILE.h5");
  command.add_option("--save-directions", request_.save_directions, "write the directions, for other tools")
      ->type_name("FILE.h5");
}

PlaneRequest PlaneWords::request(bool is_given) const {
  PlaneRequest request = request_;
  parse_source(plane_, request);
  if (!directions_.empty()) {
    if (plane_ != "random") throw UsageError("--directions: cannot be used with --plane {}", plane_);
    request.source = PlaneSource::file;
    request.files = {directions_};
  }
  for (const CLI::Option* option : of_eigen_) {
    if (option->count() > 0 && request.source != PlaneSource::eigen) {
      throw UsageError("{}: applies to --plane eigen only", option->get_name());
    }
  }
  if (!is_given && request.source == PlaneSource::random) return request;
  for (const CLI::Option* option : of_random_) {
    if (option->count() > 0)
      throw UsageError("{}: applies to random directions only; these are given", option->get_name());
  }
  return request;
}

}  // namespace lossatlas
