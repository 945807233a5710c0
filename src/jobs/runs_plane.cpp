#include "jobs/runs_plane.h"

#include <algorithm>
#include <cmath>
#include <exception>
#include <set>

#include "base/error.h"
#include "base/sha256.h"
#include "jobs/epochs.h"
#include "jobs/metadata.h"
#include "landscape/differences.h"

namespace lossatlas {
namespace {

constexpr std::size_t kComponents = 10;  // whose variances are kept
constexpr int kFilesAtOnce = 16;         // a disk finds many short pieces sooner than one after the other
constexpr double kPathMargin = 0.2;      // of the paths' extent
// Of the variance along the first component. Float32 leaves about 1e-15 beside a straight path.
constexpr double kOnOneLine = 1e-13;

/// Names of the runs, each once: "sgd", "sgd-2".
std::vector<std::string> names_of(const std::vector<RunFiles>& runs) {
  std::vector<std::string> names;
  std::set<std::string> taken;
  for (const RunFiles& run : runs) {
    std::string name = run.label;
    for (int number = 2; !taken.insert(name).second; ++number) name = fmt::format("{}-{}", run.label, number);
    names.push_back(name);
  }
  return names;
}

Trajectory paths_of(const IndexedRuns& runs, const Projected& projected) {
  Trajectory trajectory;
  const auto names = names_of(runs.files);
  std::size_t next = 0;
  for (std::size_t r = 0; r < runs.files.size(); ++r) {
    RunPath path;
    path.name = path.label = names[r];
    path.optimizer = runs.files[r].optimizer;
    path.unit = runs.units[r];
    for (std::size_t i = 0; i < runs.checkpoints[r].size(); ++i, ++next) {
      const CheckpointIndex& checkpoint = runs.checkpoints[r][i];
      path.file.push_back(checkpoint.file.string());
      path.epoch.push_back(runs.epochs[r][i]);
      for (const auto values : {&Projected::x, &Projected::y, &Projected::distance, &Projected::length}) {
        (path.points.*values).push_back((projected.*values)[next]);
      }
    }
    trajectory.runs.push_back(std::move(path));
  }
  return trajectory;
}

void find_epochs(IndexedRuns& runs) {
  for (std::size_t r = 0; r < runs.files.size(); ++r) {
    const auto& checkpoints = runs.checkpoints[r];
    const auto of_names = epochs_of_names(runs.files[r].files);
    auto& epochs = runs.epochs.emplace_back();
    std::size_t places = 0;
    bool are_given = false;
    for (std::size_t i = 0; i < checkpoints.size(); ++i) {
      const auto given = metadata_value(checkpoints[i].metadata, "epoch", std::int64_t{-1});
      if (given < 0 && !of_names) ++places;
      are_given |= given >= 0;
      epochs.push_back(given >= 0 ? given : of_names ? (*of_names)[i] : static_cast<std::int64_t>(i));
    }
    runs.units.push_back(!are_given && are_steps(runs.files[r].files) ? "step" : "epoch");
    if (places == 0) continue;
    runs.notes.push_back(
        fmt::format("{}: neither checkpoints nor their names give the epochs of {} of {}; their places in "
                    "the run, 0 to {}, are taken",
                    runs.files[r].words, places, epochs.size(), epochs.size() - 1));
  }
}

}  // namespace

std::size_t IndexedRuns::count() const { return all().size(); }

std::vector<const CheckpointIndex*> IndexedRuns::all() const {
  std::vector<const CheckpointIndex*> all;
  for (const auto& run : checkpoints) {
    for (const CheckpointIndex& checkpoint : run) all.push_back(&checkpoint);
  }
  return all;
}

IndexedRuns index_runs(const std::vector<RunFiles>& runs, const LandscapeInputs& inputs) {
  IndexedRuns indexed{runs, {}, {}, {}, {}};
  std::vector<FileNote> notes;
  for (const RunFiles& run : runs) {
    auto& checkpoints = indexed.checkpoints.emplace_back(run.files.size());
    std::vector<std::exception_ptr> failures(run.files.size());
    std::vector<std::vector<std::string>> of_fit(run.files.size());
#pragma omp parallel for schedule(dynamic) num_threads(kFilesAtOnce)
    for (std::size_t i = 0; i < run.files.size(); ++i) {
      try {
        checkpoints[i] = index_checkpoint(run.files[i], inputs.key);
        of_fit[i] = check_fit(checkpoints[i], inputs.origin, inputs.problem->name());
        check_statistics(checkpoints[i], inputs.origin);
      } catch (...) {
        failures[i] = std::current_exception();
      }
    }
    for (const std::exception_ptr& failure : failures) {
      if (failure) std::rethrow_exception(failure);
    }
    for (std::size_t i = 0; i < run.files.size(); ++i) {
      if (inputs.known->contains(run.files[i])) continue;  // whose notes are the inputs'
      for (const auto* texts : {&checkpoints[i].notes, &of_fit[i]}) {
        for (const std::string& text : *texts) notes.push_back({run.files[i], text});
      }
    }
  }
  indexed.notes = gathered(notes);
  find_epochs(indexed);
  return indexed;
}

ChosenPlane plane_of_pca(const IndexedRuns& runs, const LandscapeInputs& inputs, DirectionType type,
                         ProjectionRule rule, const SumOptions& sums) {
  const std::size_t count = runs.count();
  const auto words = [](const RunFiles& run) { return run.words; };
  std::vector<std::string> names;
  std::transform(runs.files.begin(), runs.files.end(), std::back_inserter(names), words);
  const std::string given = fmt::format("{}", fmt::join(names, ", "));
  if (count < 3) throw Error("{}: a plane takes three checkpoints at least, not {}", given, count);
  const Differences differences(inputs.origin, runs.all(), sums);
  Pca pca = differences.pca(kComponents);
  if (!(pca.explained_variance[0] > 0))
    throw Error("{}: all {} checkpoints are equal: there is no plane", given, count);
  if (pca.explained_variance[1] <= kOnOneLine * pca.explained_variance[0]) {
    throw Error("{}: all {} checkpoints lie on one line: they span no plane", given, count);
  }
  Products products;
  const auto directions = differences.combine(std::span(pca.combinations).first(2), type, products);
  pca.combinations.clear();
  ChosenPlane plane;
  plane.trajectory = paths_of(runs, project(products, rule));
  plane.notes = runs.notes;
  plane.trajectory.pca = std::move(pca);
  plane.settings.plane = "pca";
  plane.settings.runs = identities_of(runs);
  plane.settings.dir_type = name_of(type);
  plane.directions = [directions](std::size_t) { return directions; };
  return plane;
}

Trajectory paths_along(const std::vector<Direction>& directions, const IndexedRuns& runs, const LandscapeInputs& inputs,
                       ProjectionRule rule, const SumOptions& sums) {
  const Differences differences(inputs.origin, runs.all(), sums);
  return paths_of(runs, project(differences.products(directions), rule));
}

std::vector<RunIdentity> identities_of(const IndexedRuns& runs) {
  const auto names = names_of(runs.files);
  std::vector<RunIdentity> identities;
  for (std::size_t r = 0; r < runs.files.size(); ++r) {
    std::string digests;
    for (const CheckpointIndex& checkpoint : runs.checkpoints[r]) digests += digest_of(checkpoint) + "\n";
    identities.push_back({names[r], sha256_of_text(digests), runs.checkpoints[r].size()});
  }
  return identities;
}

Axis axis_around(const Trajectory& trajectory, std::vector<double> Projected::*coordinate, std::size_t count) {
  if (count == 1) return {0, 0, 1};
  double low = 0, high = 0;
  for (const RunPath& run : trajectory.runs) {
    for (const double value : run.points.*coordinate) {
      low = std::min(low, value);
      high = std::max(high, value);
    }
  }
  const double extent = high - low;
  if (!(extent > 0)) return {-1, 1, count};
  // Whole multiples of a power of ten, so that the ends are numbers that people read, and the last bits of a
  // projection do not move the grid.
  const double power = std::floor(std::log10(extent)) - 2;
  const double step = std::pow(10, std::abs(power));
  const auto rounded = [&](double value, auto round) {
    return power < 0 ? round(value * step) / step : round(value / step) * step;
  };
  return {rounded(low - kPathMargin * extent, [](double value) { return std::floor(value); }),
          rounded(high + kPathMargin * extent, [](double value) { return std::ceil(value); }), count};
}

}  // namespace lossatlas
