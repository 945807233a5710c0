#include "landscape/sweep.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <mutex>
#include <span>
#include <utility>

#include "base/stopwatch.h"
#include "evaluation/device.h"
#include "grid/order.h"

namespace lossatlas {
namespace {

constexpr double kFirstSave = 0.25;  // seconds: somebody may be waiting to see the first points
constexpr int kCudaThreads = 2;      // one gives the device its next point while the other waits for its results

/// What one thread evaluates points with.
struct PointEvaluator {
  PointEvaluator(const Planes& all, const Engine& engine, const Surface& of)
      : planes(all),
        surface(of),
        stream(engine.device()),
        evaluator(engine.make_evaluator()),
        point(copy_state(all.origin(), engine.device())) {}

  ItemResult evaluate(std::size_t index) {
    const std::size_t member = index / surface.grid.size();
    const Levels* levels = surface.levels();
    const auto plane = planes.at(levels ? 0 : member);
    place_on_grid(*plane, surface.grid.coordinates_of(index % surface.grid.size()), point);
    if (!levels) return {{evaluator->evaluate(point)}, {}};
    ItemResult result;
    result.values = evaluator->evaluate(point, std::span(levels->sizes).first(member + 1), &result.images);
    return result;
  }

  const Planes& planes;
  const Surface& surface;
  OwnStream stream;
  std::unique_ptr<Evaluator> evaluator;
  NetworkState point;
};

/// What takes the results of one sweep: all of it under the mutex, but for on_level.
class Sweep {
 public:
  Sweep(const Planes& planes, const Engine& engine, Surface& surface, const SweepOptions& options)
      : planes_(planes), engine_(engine), surface_(surface), options_(options) {
    for (std::size_t i = 0; i < total(); ++i) {
      const std::size_t point = options_.part.empty() ? i : options_.part[i];
      if (surface_.state[point] == PointState::missing) continue;
      ++done_;
      widen(surface_.loss()[point]);
    }
  }

  SweepSummary run() {
    Work work = surface_work(planes_, engine_, surface_, options_.threads);
    work.request = options_.request;
    SweepHooks hooks;
    hooks.take = [this](std::size_t index, ItemResult result) { take(index, std::move(result)); };
    hooks.stop = options_.stop;
    hooks.on_stop = [this] {
      const std::scoped_lock lock(mutex_);
      if (options_.on_stop) options_.on_stop();
    };
    hooks.on_note = [this](const std::string& text) {
      const std::scoped_lock lock(mutex_);
      if (options_.on_note) options_.on_note(text);
    };
    carry_out(work, options_.points ? *options_.points : missing_points(surface_, options_.part), options_.ranks,
              hooks);
    const double seconds = started_.seconds();
    return {
        .finished = done_ == total(), .computed = computed_, .seconds = seconds, .images_per_second = rate(seconds)};
  }

 private:
  static std::vector<std::size_t> missing_points(const Surface& surface, std::vector<std::size_t> points) {
    if (points.empty()) points = sweep_order(surface);
    std::erase_if(points, [&](std::size_t i) { return surface.state[i] != PointState::missing; });
    return points;
  }

  void take(std::size_t index, ItemResult result) {
    const Levels* levels = surface_.levels();
    const std::size_t member = index / surface_.grid.size();
    if (levels && options_.on_level && !options_.on_images) {
      for (std::size_t level = 0; level <= member; ++level) {
        options_.on_level(level, result.images.losses, result.values[level]);
      }
    }
    const std::scoped_lock lock(mutex_);
    if (levels && options_.on_images) {
      widen(result.values.back().loss);
      options_.on_images(index, std::move(result.images));
    } else if (levels) {
      for (std::size_t level = 0; level <= member; ++level) {
        set(surface_.index_in(level, index % surface_.grid.size()), result.values[level]);
      }
    } else {
      set(index, result.values.front());
    }
    ++computed_;
    images_ += levels ? levels->sizes[member] : engine_.images_per_point();
    report();
  }

  void set(std::size_t index, const Evaluation& evaluation) {
    if (surface_.state[index] != PointState::missing) return;  // a level that an earlier evaluation gave
    if (options_.on_evaluated) options_.on_evaluated(index, evaluation);
    surface_.set(index, evaluation);
    ++done_;
    widen(evaluation.loss);
  }

  void widen(double loss) {
    if (!std::isfinite(loss)) return;
    lowest_ = std::min(lowest_, loss);
    highest_ = std::max(highest_, loss);
  }

  std::size_t total() const { return options_.part.empty() ? surface_.size() : options_.part.size(); }

  void report() {
    const double seconds = started_.seconds();
    if (options_.on_point) {
      options_.on_point({.done = done_,
                         .computed = computed_,
                         .total = total(),
                         .seconds = seconds,
                         .images_per_second = rate(seconds),
                         .lowest = lowest_,
                         .highest = highest_,
                         .images = images_,
                         .sample = sample_word(surface_)});
    }
    if (options_.on_save && saved_.seconds() > std::min(options_.save_seconds, std::max(kFirstSave, seconds / 2))) {
      options_.on_save();
      saved_.restart();
    }
  }

  double rate(double seconds) const { return seconds > 0 ? static_cast<double>(images_) / seconds : 0; }

  const Planes& planes_;
  const Engine& engine_;
  Surface& surface_;
  const SweepOptions& options_;
  std::mutex mutex_;
  std::size_t done_ = 0, computed_ = 0;
  std::int64_t images_ = 0;
  double lowest_ = std::numeric_limits<double>::infinity();
  double highest_ = -std::numeric_limits<double>::infinity();
  Stopwatch started_, saved_;
};

}  // namespace

double SweepProgress::seconds_left() const {
  if (images_total > 0)
    return static_cast<double>(std::max<std::int64_t>(0, images_total - images)) / images_per_second;
  if (computed == 0) return std::numeric_limits<double>::quiet_NaN();
  return seconds / static_cast<double>(computed) * static_cast<double>(total - done);
}

std::vector<std::size_t> sweep_order(const Surface& surface) {
  return coarse_to_fine(surface.grid, surface.grid.centre(), surface.members());
}

Work surface_work(const Planes& planes, const Engine& engine, const Surface& surface, int threads) {
  const auto on_thread = [&planes, &engine, &surface]() -> EvaluateItem {
    const auto evaluator = std::make_shared<PointEvaluator>(planes, engine, surface);
    return [evaluator](std::size_t index) { return evaluator->evaluate(index); };
  };
  return {SweepOptions().request, on_thread, engine.device().is_cpu() ? threads : std::min(threads, kCudaThreads)};
}

SweepSummary sweep(const Planes& planes, const Engine& engine, Surface& surface, const SweepOptions& options) {
  return Sweep(planes, engine, surface, options).run();
}

}  // namespace lossatlas
