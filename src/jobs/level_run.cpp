#include "jobs/level_run.h"

#include <algorithm>
#include <map>
#include <memory>
#include <optional>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "jobs/summary_text.h"
#include "surface/surface_file.h"

namespace lossatlas {
namespace {

constexpr std::size_t kShare = 8;  // points of a request between two looks at the clock

template <class T>
std::vector<T> in_order(const std::vector<T>& values, const std::vector<std::int64_t>& order) {
  std::vector<T> ordered;
  for (const std::int64_t place : order) ordered.push_back(values[static_cast<std::size_t>(place)]);
  return ordered;
}

}  // namespace

Engine engine_in_order(const SurfaceJob& job, const std::vector<std::int64_t>& order_of_engine) {
  const std::vector<std::int64_t>& samples = job.surface.samples[0].indices;
  if (samples == order_of_engine) return job.engine;
  std::map<std::int64_t, std::int64_t> places;
  for (const std::int64_t image : order_of_engine) places.emplace(image, static_cast<std::int64_t>(places.size()));
  std::vector<std::int64_t> order;
  for (const std::int64_t image : samples) {
    const auto place = places.find(image);
    if (place == places.end()) break;
    order.push_back(place->second);
    places.erase(place);
  }
  if (!places.empty() || order.size() != samples.size()) {
    throw Error("{}: its samples are not those of its settings; start again with another `out`", job.out.string());
  }
  return job.engine.with_samples(job.engine.data().subset(order));
}

LevelPlan level_plan(const Surface& surface, const LevelGoal& goal) {
  return {surface.grid, surface.measures(), surface.levels()->sizes, goal};
}

LevelRun::LevelRun(SurfaceJob& job, const std::vector<std::int64_t>& order_of_engine, Journal& journal,
                   Observer& observer)
    : job_(job),
      surface_(job.surface),
      levels_(*surface_.levels()),
      engine_(engine_in_order(job, order_of_engine)),
      has_accuracy_(surface_.has_accuracy()),
      is_balanced_(surface_.samples[0].indices != order_of_engine),
      order_of_ranks_(order_of_engine),
      journal_(journal),
      observer_(observer),
      stop_(observer.should_stop()),
      plan_(level_plan(surface_, job.goal)),
      seconds_before_(surface_.provenance.value("seconds", 0.0)) {}

bool LevelRun::run(const std::function<void()>& on_pilot, const Finish& finish) {
  if (const auto threads = job_.ranks ? job_.ranks->threads() : 0; threads > static_cast<int>(kLevelBatch)) {
    observer_.on_note(fmt::format(
        "note: with `tolerance` or `budget` most points are planned {} at a time, so that the plan stays the same; the "
        "ranks have {} threads, and the others wait",
        kLevelBatch, threads));
  }
  auto requests = plan_.next();
  if (!evaluate_pilot(requests)) {
    end(false);
    return false;
  }
  balance();
  take_pilot(requests);
  on_pilot();
  Stopwatch saved;
  double wait = 0.5;  // seconds to the next save: somebody may be waiting to see the first points
  bool is_announced = false;
  for (requests = plan_.next(); !requests.empty(); requests = plan_.next()) {
    if (plan_.forecast() && !is_announced) announce();
    is_announced = plan_.forecast().has_value();
    const int threads = job_.ranks ? job_.ranks->threads() : job_.threads;
    const std::size_t share = std::max(kShare, static_cast<std::size_t>(threads));
    for (std::size_t first = 0; first < requests.size(); first += share) {
      const auto part = std::span(requests).subspan(first, std::min(share, requests.size() - first));
      if (!evaluate(part)) {
        end(false);
        return false;
      }
      for (const LevelRequest& request : part) plan_.add(request, values_of(request));
      if (saved.seconds() < wait) continue;
      save();
      wait = std::min(2 * wait, SweepOptions().save_seconds);
      saved.restart();
    }
  }
  observer_.on_progress_end();
  const bool is_done = finish(engine_, cost());
  end(is_done);
  return is_done;
}

/// Sees all images at the points that are asked for, each written into the file at once. False if it was stopped
/// before the end.
bool LevelRun::evaluate_pilot(std::span<const LevelRequest> requests) {
  std::map<std::size_t, std::size_t> asked;  // points, as indices of their layer
  for (const auto& [point, rung] : requests) asked.emplace(point, surface_.index_in(rung, point));
  // A file that was tampered with may hold others, or one twice.
  std::erase_if(levels_.pilot, [&](const PilotPoint& known) { return asked.erase(known.point) == 0; });
  std::vector<std::size_t> missing;
  for (const auto& [point, index] : asked) missing.push_back(index);
  SweepOptions options = options_for(missing);
  options.on_images = [&](std::size_t index, ImageResults images) {
    levels_.pilot.push_back({index % surface_.grid.size(), std::move(images)});
    save();
  };
  if (!missing.empty()) sweep(job_.planes, engine_, surface_, options);
  // Threads end in any order.
  const auto is_before = [](const PilotPoint& a, const PilotPoint& b) { return a.point < b.point; };
  std::sort(levels_.pilot.begin(), levels_.pilot.end(), is_before);
  return levels_.pilot.size() == requests.size();
}

/// Orders the images so that each subset stands for all of them at the pilot's points.
void LevelRun::balance() {
  const std::vector<std::int64_t> parts(levels_.sizes.begin(), levels_.sizes.end() - 1);
  const auto features = [&] {
    std::vector<std::span<const double>> losses;
    for (const PilotPoint& point : levels_.pilot) losses.emplace_back(point.images.losses);
    return features_of(losses, engine_.data().classes());
  };
  if (!is_balanced_) {
    const auto order = balanced_order(features(), parts);
    engine_ = engine_.with_samples(engine_.data().subset(order));
    surface_.samples[0].indices = in_order(surface_.samples[0].indices, order);
    for (PilotPoint& point : levels_.pilot) {
      point.images.losses = in_order(point.images.losses, order);
      if (has_accuracy_) point.images.is_correct = in_order(point.images.is_correct, order);
    }
  }
  error_.emplace(features(), parts);
}

/// The pilot's points on the images of every level.
void LevelRun::take_pilot(std::span<const LevelRequest> requests) {
  std::vector<Criterion::Measure> measures{{"loss", ""}};
  if (has_accuracy_) measures.push_back({"accuracy", std::string(kPercent)});
  for (const PilotPoint& known : levels_.pilot) {
    Measurement sum(measures.size());
    std::size_t image = 0;
    for (std::size_t rung = 0; rung < levels_.sizes.size(); ++rung) {
      for (; image < static_cast<std::size_t>(levels_.sizes[rung]); ++image) {
        sum[0].add(known.images.losses[image]);
        if (has_accuracy_) sum[1].add(known.images.is_correct[image]);
      }
      Evaluation value = evaluation_of(sum, measures, std::max(engine_.samples().population, levels_.sizes.back()));
      state_error(rung, known.images.losses, value);
      const std::size_t index = surface_.index_in(rung, known.point);
      if (surface_.state[index] != PointState::missing) continue;
      record(index, value);
      surface_.set(index, value);
    }
  }
  save();
  for (const LevelRequest& request : requests) plan_.add(request, values_of(request));
}

/// That of a balanced subset, in place of a random one's; a value over all images keeps its own.
void LevelRun::state_error(std::size_t level, std::span<const double> losses, Evaluation& value) const {
  if (level + 1 < levels_.sizes.size()) value.loss_se = error_->standard_error(level, losses);
}

void LevelRun::record(std::size_t index, const Evaluation& evaluation) {
  journal_.add(index, evaluation);
  ++computed_;
  observer_.on_point(job_.out, index, evaluation);
}

/// Evaluates what is not there yet. False if it was stopped before the end.
bool LevelRun::evaluate(std::span<const LevelRequest> requests) {
  const std::vector<std::size_t> missing = missing_of(requests);
  if (missing.empty()) return !stop_;
  SweepOptions options = options_for(missing);
  options.on_evaluated = [this](std::size_t index, const Evaluation& evaluation) { record(index, evaluation); };
  options.on_level = [this](std::size_t level, std::span<const double> losses, Evaluation& value) {
    state_error(level, losses, value);
  };
  sweep(job_.planes, engine_, surface_, options);
  return missing_of(requests).empty();
}

/// Of a sweep over these points.
SweepOptions LevelRun::options_for(const std::vector<std::size_t>& points) {
  SweepOptions options;
  options.threads = std::min(job_.threads, static_cast<int>(points.size()));
  options.stop = &stop_;
  options.points = points;
  options.ranks = job_.ranks;
  if (job_.ranks && !points.empty() && order_of_ranks_ != surface_.samples[0].indices) {
    order_of_ranks_ = surface_.samples[0].indices;
    options.request = json_text(nlohmann::json{{"what", "points"}, {"order", order_of_ranks_}});
  }
  options.on_stop = [this] { observer_.on_note(stopping_text(job_)); };
  options.on_note = [this](const std::string& text) { observer_.on_note(text); };
  // The error expected is the same until the plan learns what is evaluated now.
  options.on_point = [this, before = images_, error = plan_.error()](const SweepProgress& now) {
    images_ = before + now.images;
    batch_note_.look();
    show(now, error);
  };
  return options;
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
  shown.images = cost() + now.images;
  shown.images_total = plan_.forecast() ? plan_.forecast()->cost : plan_.pilot_cost();
  shown.error = error;
  observer_.on_progress(shown, job_.out);
}

void LevelRun::announce() {
  const auto& [cost, error] = *plan_.forecast();
  surface_.provenance["forecast"] = cost;
  const std::string time =
      images_ > 0 ? ", " + duration_text(static_cast<double>(cost) / images_per_second()) : std::string();
  observer_.on_note(
      fmt::format("about {} {} evaluations{}: 1/{:.0f} of all {}s at every point, on subsets of {}; largest error "
                  "expected {:.2g} % of "
                  "the range of log loss",
                  cost, sample_word(surface_), time, all_evaluations() / static_cast<double>(cost),
                  sample_word(surface_), fmt::join(plan_.sizes(), ", "), 100 * error));
}

Surface LevelRun::save() {
  auto& provenance = surface_.provenance;
  provenance["seconds"] = seconds_before_ + watch_.seconds();
  provenance["images_per_second"] = images_per_second();
  provenance["computed"] = computed_;
  provenance["image_evaluations"] = cost();
  provenance["subsets"] = plan_.sizes();
  if (plan_.error()) provenance["error"] = *plan_.error();
  Surface shown = plan_.reconstruct();
  shown.settings = surface_.settings;  // hints ask for them
  shown.axis_curvatures = surface_.axis_curvatures;
  write_surface(job_.out, surface_, shown);
  return shown;
}

void LevelRun::end(bool is_done) {
  const Surface found = save();
  observer_.on_progress_end();
  if (is_done) report_values(found, observer_);
  if (!is_done) {
    return observer_.on_note(fmt::format("interrupted after {} {} evaluations, which are in {}; continue with: {}",
                                         cost(), sample_word(surface_), job_.out.string(), job_.again));
  }
  const auto count = [&](PointState state) { return std::count(found.state.begin(), found.state.end(), state); };
  const auto& counts = found.samples[0].counts;
  const auto on_all = std::count(counts.begin(), counts.end(), levels_.sizes.back());
  const auto few = count(PointState::evaluated) - on_all;  // a loss that is not finite on some images is so on all
  const auto missing = found.missing();
  const std::string left = missing > 0 ? fmt::format(", {} left out", missing) : "";
  const std::string broken = few > 0 ? fmt::format(", {} not finite on fewer", few) : "";
  observer_.on_note(fmt::format(
      "{0} points evaluated on all {1}s{2}, {3} reconstructed{4}; {5} {1} evaluations in {6}, 1/{7:.1f} of all "
      "{1}s at every point",
      on_all, sample_word(surface_), broken, count(PointState::reconstructed), left, cost(),
      duration_text(watch_.seconds()), all_evaluations() / static_cast<double>(cost())));
  if (missing == 0) {
    observer_.on_note(
        fmt::format("largest error expected {:.2g} % of the range of log loss", 100 * plan_.error().value_or(0)));
  }
}

/// Image evaluations so far, those of earlier runs included.
std::int64_t LevelRun::cost() const {
  return std::max(plan_.cost(), static_cast<std::int64_t>(levels_.pilot.size()) * levels_.sizes.back());
}

double LevelRun::images_per_second() const { return static_cast<double>(images_) / watch_.seconds(); }

/// Of a surface of all images at every point.
double LevelRun::all_evaluations() const {
  return static_cast<double>(surface_.grid.size()) * static_cast<double>(levels_.sizes.back());
}

}  // namespace lossatlas
