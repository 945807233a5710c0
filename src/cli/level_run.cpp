#include "cli/level_run.h"

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "cli/command.h"
#include "cli/progress.h"
#include "cli/summary_text.h"
#include "landscape/sweep.h"

namespace lossatlas {
namespace {

constexpr std::size_t kShare = 8;  // points of a request between two looks at the clock: the pilot's are many and long

}  // namespace

LevelRun::LevelRun(SurfaceJob& job, Journal& journal, Report& report, const std::atomic<bool>& stop,
                   std::size_t computed)
    : job_(job),
      surface_(job.surface),
      journal_(journal),
      report_(report),
      stop_(stop),
      plan_(surface_, surface_.levels, job.goal),
      computed_(computed),
      seconds_before_(surface_.provenance.value("seconds", 0.0)) {}

int LevelRun::run() {
  Stopwatch saved;
  double wait = 0.5;  // seconds to the next save: somebody may be waiting to see the first points
  bool is_announced = false;
  for (auto requests = plan_.next(); !requests.empty(); requests = plan_.next()) {
    if (plan_.forecast() && !is_announced) announce();
    is_announced = plan_.forecast().has_value();
    const std::size_t share = std::max(kShare, static_cast<std::size_t>(job_.threads));
    for (std::size_t first = 0; first < requests.size(); first += share) {
      const auto part = std::span(requests).subspan(first, std::min(share, requests.size() - first));
      if (!evaluate(part)) return end(false);
      for (const LevelRequest& request : part) plan_.add(request, values_of(request));
      if (saved.seconds() < wait) continue;
      save();
      wait = std::min(2 * wait, SweepOptions().save_seconds);
      saved.restart();
    }
  }
  return end(true);
}

/// Evaluates what is not there yet. False where it was stopped before the end.
bool LevelRun::evaluate(std::span<const LevelRequest> requests) {
  const std::vector<std::size_t> missing = missing_of(requests);
  if (missing.empty()) return !stop_;
  std::atomic<std::size_t> next{0};
  SweepOptions options;
  options.threads = std::min(job_.threads, static_cast<int>(missing.size()));
  options.stop = &stop_;
  options.next = [&] {
    const std::size_t at = next++;
    return at < missing.size() ? std::optional(missing[at]) : std::nullopt;
  };
  options.on_evaluated = [this](std::size_t index, const Evaluation& evaluation) {
    journal_.add(index, evaluation);
    ++computed_;
  };
  const std::int64_t before = images_;
  const auto error = plan_.error();  // the same until the plan learns what is evaluated now
  options.on_point = [&](const SweepProgress& now) {
    images_ = before + now.images;
    show(now, error);
  };
  sweep(job_.planes, job_.engine, surface_, options);
  return missing_of(requests).empty();
}

std::vector<std::size_t> LevelRun::missing_of(std::span<const LevelRequest> requests) const {
  std::vector<std::size_t> missing;
  for (const auto& [point, rung] : requests) {
    const std::size_t index = surface_.index_in(rung, point);
    if (surface_.state[index] == PointState::missing) missing.push_back(index);
  }
  return missing;
}

std::vector<Evaluation> LevelRun::values_of(const LevelRequest& request) const {
  std::vector<Evaluation> values;
  for (std::size_t rung = 0; rung <= request.rung; ++rung) {
    values.push_back(surface_.at(surface_.index_in(rung, request.point)));
  }
  return values;
}

void LevelRun::show(const SweepProgress& now, std::optional<double> error) {
  SweepProgress shown = now;
  shown.images_per_second = images_per_second();
  shown.images = plan_.cost() + now.images;
  shown.images_total = plan_.forecast() ? plan_.forecast()->cost : plan_.pilot_cost();
  shown.error = error;
  report_.progress(shown, job_.out);
}

void LevelRun::announce() {
  const auto& [cost, error] = *plan_.forecast();
  surface_.provenance["forecast"] = cost;
  const std::string time =
      images_ > 0 ? ", " + duration_text(static_cast<double>(cost) / images_per_second()) : std::string();
  report_.say(fmt::format("about {} image evaluations{}: 1/{:.0f} of all images at every point, on subsets of {}; largest "
                          "error expected {:.2g} % of the range of log loss",
                          cost, time, all_evaluations() / static_cast<double>(cost), fmt::join(plan_.sizes(), ", "),
                          100 * error));
}

Surface LevelRun::save() {
  auto& provenance = surface_.provenance;
  provenance["seconds"] = seconds_before_ + watch_.seconds();
  provenance["images_per_second"] = images_per_second();
  provenance["computed"] = computed_;
  provenance["image_evaluations"] = plan_.cost();
  provenance["subsets"] = plan_.sizes();
  if (plan_.error()) provenance["error"] = *plan_.error();
  Surface shown = plan_.reconstruct();
  shown.settings = surface_.settings;  // hints ask for them
  write_surface(job_.out, surface_, shown);
  return shown;
}

int LevelRun::end(bool is_done) {
  const Surface found = save();
  report_.finish();
  if (is_done) report_values(found, report_);
  fmt::print("{}\n", job_.out.string());
  const auto cost = static_cast<double>(plan_.cost());
  if (!is_done) {
    report_.say(fmt::format("interrupted after {} image evaluations, which are in {}; go on with: {}", plan_.cost(),
                            job_.out.string(), job_.again));
    return kInterrupted;
  }
  const auto count = [&](PointState state) { return std::count(found.state.begin(), found.state.end(), state); };
  const auto on_all = std::count(found.images.begin(), found.images.end(), surface_.levels.back());
  const auto few = count(PointState::evaluated) - on_all;  // a loss that is not finite on some images is so on all
  const auto missing = count(PointState::missing);
  const std::string left = missing > 0 ? fmt::format(", {} left out", missing) : "";
  const std::string broken = few > 0 ? fmt::format(", {} not finite on fewer", few) : "";
  report_.say(fmt::format("{} points evaluated on all images{}, {} reconstructed{}; {} image evaluations in {}, 1/{:.1f} of "
                          "all images at every point",
                          on_all, broken, count(PointState::reconstructed), left, plan_.cost(),
                          duration_text(watch_.seconds()), all_evaluations() / cost));
  if (missing == 0) {
    report_.say(fmt::format("largest error expected {:.2g} % of the range of log loss", 100 * plan_.error().value_or(0)));
  }
  return kDone;
}

double LevelRun::images_per_second() const { return static_cast<double>(images_) / watch_.seconds(); }

/// Of a surface of all images at every point.
double LevelRun::all_evaluations() const {
  return static_cast<double>(surface_.grid_size()) * static_cast<double>(surface_.levels.back());
}

}  // namespace lossatlas
