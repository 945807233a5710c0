#include "landscape/sweep.h"

#include <torch/utils.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <exception>
#include <limits>
#include <mutex>

#include "base/stopwatch.h"

namespace lossatlas {
namespace {

/// What the threads of one sweep share. All but `next` is used under the mutex.
class Sweep {
 public:
  Sweep(const Plane& plane, const Engine& engine, Surface& surface, const SweepOptions& options)
      : plane_(plane), engine_(engine), surface_(surface), options_(options) {
    for (std::size_t i = 0; i < surface.size(); ++i) {
      if (surface.state[i] == PointState::missing) order_.push_back(i);
    }
  }

  SweepSummary run() {
    const int threads = engine_.device().is_cpu() ? std::max(1, options_.threads) : 1;
    const int operator_threads = torch::get_num_threads();
    if (threads > 1 || engine_.device().is_cpu()) torch::set_num_threads(1);
#pragma omp parallel num_threads(threads)
    work();
    torch::set_num_threads(operator_threads);
    if (failure_) std::rethrow_exception(failure_);
    const double seconds = started_.seconds();
    return {done_ == order_.size(), seconds, rate(seconds)};
  }

 private:
  void work() {
    try {
      torch::set_num_threads(1);  // the setting is a thread's own where OpenMP runs the operators
      const auto evaluator = engine_.make_evaluator();
      NetworkState point = copy_state(plane_.origin, engine_.device());
      for (std::size_t at = next_++; at < order_.size() && !stopped(); at = next_++)
        evaluate(*evaluator, point, order_[at]);
    } catch (...) {
      const std::scoped_lock lock(mutex_);
      if (!failure_) failure_ = std::current_exception();
      failed_ = true;
    }
  }

  bool stopped() const { return failed_ || (options_.stop && *options_.stop); }

  void evaluate(Evaluator& evaluator, NetworkState& point, std::size_t index) {
    const std::size_t column = index % surface_.x.points, row = index / surface_.x.points;
    place(plane_, std::array{surface_.x.at(column), surface_.y.at(row)}, point);
    const Evaluation evaluation = evaluator.evaluate(point);
    const std::scoped_lock lock(mutex_);
    surface_.set(index, evaluation);
    ++done_;
    if (std::isfinite(evaluation.loss)) {
      lowest_ = std::min(lowest_, evaluation.loss);
      highest_ = std::max(highest_, evaluation.loss);
    }
    report();
  }

  void report() {
    const double seconds = started_.seconds();
    if (options_.on_point) {
      const std::size_t before = surface_.size() - order_.size();
      options_.on_point({before + done_, surface_.size(), seconds, rate(seconds), lowest_, highest_});
    }
    if (options_.on_save && saved_.seconds() > options_.save_seconds) {
      options_.on_save(surface_);
      saved_.restart();
    }
  }

  double rate(double seconds) const {
    return seconds > 0 ? static_cast<double>(done_) * static_cast<double>(engine_.images()) / seconds : 0;
  }

  const Plane& plane_;
  const Engine& engine_;
  Surface& surface_;
  const SweepOptions& options_;
  std::vector<std::size_t> order_;
  std::atomic<std::size_t> next_{0};
  std::atomic<bool> failed_{false};
  std::mutex mutex_;
  std::exception_ptr failure_;
  std::size_t done_ = 0;
  double lowest_ = std::numeric_limits<double>::infinity();
  double highest_ = -std::numeric_limits<double>::infinity();
  Stopwatch started_, saved_;
};

}  // namespace

SweepSummary sweep(const Plane& plane, const Engine& engine, Surface& surface, const SweepOptions& options) {
  return Sweep(plane, engine, surface, options).run();
}

}  // namespace lossatlas
