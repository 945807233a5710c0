#include "landscape/sweep.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <exception>
#include <limits>
#include <mutex>

#include "base/stopwatch.h"
#include "evaluation/device.h"
#include "grid/order.h"

namespace lossatlas {
namespace {

constexpr double kFirstSave = 0.25;  // seconds: somebody may be waiting to see the first points
constexpr int kCudaThreads = 2;      // one gives the device its next point while the other waits for its results

/// What the threads of one sweep share. All but the hand-out is used under the mutex.
class Sweep {
 public:
  Sweep(const Planes& planes, const Engine& engine, Surface& surface, const SweepOptions& options)
      : planes_(planes),
        engine_(engine),
        surface_(surface),
        options_(options),
        missing_(missing_points(surface)),
        hand_out_(options.hand_out ? *options.hand_out : missing_) {
    for (std::size_t i = 0; i < surface_.size(); ++i) {
      if (surface_.state[i] == PointState::missing) continue;
      ++done_;
      widen(surface_.loss()[i]);
    }
  }

  SweepSummary run() {
    const int most = engine_.device().is_cpu() ? options_.threads : std::min(options_.threads, kCudaThreads);
    const int threads = std::max(1, most);
    const int operator_threads = at::get_num_threads();
    at::set_num_threads(1);
#pragma omp parallel num_threads(threads)
    work();
    at::set_num_threads(operator_threads);
    if (failure_) std::rethrow_exception(failure_);
    const double seconds = started_.seconds();
    return {.finished = done_ == surface_.size(),
            .computed = computed_,
            .seconds = seconds,
            .images_per_second = rate(seconds)};
  }

 private:
  static std::vector<std::size_t> missing_points(const Surface& surface) {
    std::vector<std::size_t> points = sweep_order(surface);
    std::erase_if(points, [&](std::size_t i) { return surface.state[i] != PointState::missing; });
    return points;
  }

  void work() {
    try {
      at::set_num_threads(1);  // the setting is a thread's own where OpenMP runs the operators
      const OwnStream stream(engine_.device());
      const auto evaluator = engine_.make_evaluator();
      NetworkState point = copy_state(planes_.origin(), engine_.device());
      while (!stopped()) {
        const auto index = hand_out_.next();
        if (!index) break;
        evaluate(*evaluator, point, *index);
      }
    } catch (...) {
      const std::scoped_lock lock(mutex_);
      if (!failure_) failure_ = std::current_exception();
      failed_ = true;
    }
  }

  bool stopped() const { return failed_ || (options_.stop && *options_.stop); }

  void evaluate(Evaluator& evaluator, NetworkState& point, std::size_t index) {
    const std::size_t member = index / surface_.grid.size();
    const Levels* levels = surface_.levels();
    const auto plane = planes_.at(levels ? 0 : member);
    place_on_grid(*plane, surface_.grid.coordinates_of(index % surface_.grid.size()), point);
    if (levels) {
      evaluate_levels(evaluator, point, index, std::span(levels->sizes).first(member + 1));
    } else {
      take(evaluator.evaluate(point), index);
    }
    const std::scoped_lock lock(mutex_);
    ++computed_;
    images_ += levels ? levels->sizes[member] : engine_.images_per_point();
    report();
  }

  void evaluate_levels(Evaluator& evaluator, const NetworkState& point, std::size_t index,
                       std::span<const std::int64_t> sizes) {
    ImageResults each;
    auto values = evaluator.evaluate(point, sizes, &each);
    if (options_.on_images) {
      const std::scoped_lock lock(mutex_);
      widen(values.back().loss);
      return options_.on_images(index, std::move(each));
    }
    for (std::size_t level = 0; level < sizes.size(); ++level) {
      if (options_.on_level) options_.on_level(level, each.losses, values[level]);
      take(values[level], surface_.index_in(level, index % surface_.grid.size()));
    }
  }

  void take(const Evaluation& evaluation, std::size_t index) {
    const std::scoped_lock lock(mutex_);
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

  void report() {
    const double seconds = started_.seconds();
    if (options_.on_point) {
      options_.on_point({.done = done_,
                         .computed = computed_,
                         .total = surface_.size(),
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
  ListHandOut missing_;
  HandOut& hand_out_;
  std::atomic<bool> failed_{false};
  std::mutex mutex_;
  std::exception_ptr failure_;
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

SweepSummary sweep(const Planes& planes, const Engine& engine, Surface& surface, const SweepOptions& options) {
  return Sweep(planes, engine, surface, options).run();
}

}  // namespace lossatlas
