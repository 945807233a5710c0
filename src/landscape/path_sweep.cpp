#include "landscape/path_sweep.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <exception>
#include <mutex>

namespace lossatlas {
namespace {

/// The datasets of one split's values, a checkpoint's own or the plane's.
struct Target {
  std::string loss, accuracy;  // the second "" if it is not measured
  bool is_second = false;
};

std::vector<Target> targets_of(const Surface& surface, bool own) {
  std::vector<Target> targets;
  for (std::size_t s = 0; s < surface.samples.size(); ++s) {
    const PathValues names = path_values(surface.samples[s].split, s > 0);
    const std::string accuracy = own ? names.accuracy : names.plane_accuracy;
    targets.push_back({own ? names.loss : names.plane_loss, surface.has_accuracy() ? accuracy : "", s > 0});
  }
  return targets;
}

/// One evaluation: of a checkpoint, or of its point of the plane.
struct Task {
  std::size_t run, checkpoint;
  bool own;
};

/// What was not computed is NaN. So may be what was: after a resume that is computed again.
std::vector<Task> tasks_of(const Surface& surface) {
  std::vector<Task> tasks;
  for (std::size_t r = 0; r < surface.trajectory.runs.size(); ++r) {
    const RunPath& run = surface.trajectory.runs[r];
    for (std::size_t i = 0; i < run.size(); ++i) {
      for (const bool own : {true, false}) {
        const auto* values = run.find(targets_of(surface, own).front().loss);
        if (!values || std::isnan((*values)[i])) tasks.push_back({r, i, own});
      }
    }
  }
  return tasks;
}

class PathSweep {
 public:
  PathSweep(const Plane& plane, const Engine& engine, const std::vector<std::vector<const CheckpointIndex*>>& runs,
            Surface& surface, const PathSweepOptions& options)
      : plane_(plane), engine_(engine), runs_(runs), surface_(surface), options_(options), tasks_(tasks_of(surface)) {}

  bool run() {
    const int threads = engine_.device().is_cpu() ? std::max(1, options_.threads) : 1;
    const int operator_threads = at::get_num_threads();
    if (engine_.device().is_cpu()) at::set_num_threads(1);
#pragma omp parallel num_threads(threads)
    work();
    at::set_num_threads(operator_threads);
    if (failure_) std::rethrow_exception(failure_);
    return done_ == tasks_.size();
  }

 private:
  void work() {
    try {
      at::set_num_threads(1);  // the setting is a thread's own where OpenMP runs the operators
      const auto evaluator = engine_.make_evaluator();
      NetworkState read = copy_state(plane_.origin, at::kCPU);
      NetworkState point = copy_state(plane_.origin, engine_.device());
      while (!has_failed_ && !(options_.stop && *options_.stop)) {
        const std::size_t at = next_++;
        if (at >= tasks_.size()) break;
        take(tasks_[at], evaluate(*evaluator, tasks_[at], read, point));
      }
    } catch (...) {
      const std::scoped_lock lock(mutex_);
      if (!failure_) failure_ = std::current_exception();
      has_failed_ = true;
    }
  }

  Evaluation evaluate(Evaluator& evaluator, const Task& task, NetworkState& read, NetworkState& point) const {
    if (task.own) {
      read_state(*runs_[task.run][task.checkpoint], read);
      return evaluator.evaluate(state_on(read, engine_.device()));
    }
    // A plane of weights leaves the statistics alone: they are the origin's own here, never a checkpoint's.
    const Projected& points = surface_.trajectory.runs[task.run].points;
    place(plane_, std::array{points.x[task.checkpoint], points.y[task.checkpoint]}, point);
    return evaluator.evaluate(point);
  }

  void take(const Task& task, const Evaluation& evaluation) {
    const std::scoped_lock lock(mutex_);
    for (const Target& target : targets_of(surface_, task.own)) {
      const Evaluation& part = target.is_second ? evaluation.second.at(0) : evaluation;
      set(task, target.loss, part.loss);
      if (!target.accuracy.empty()) set(task, target.accuracy, part.accuracy);
    }
    ++done_;
    if (options_.on_value) options_.on_value(done_, tasks_.size(), evaluation);
  }

  void set(const Task& task, const std::string& dataset, double value) {
    RunPath& run = surface_.trajectory.runs[task.run];
    auto found =
        std::find_if(run.values.begin(), run.values.end(), [&](auto& named) { return named.first == dataset; });
    found->second[task.checkpoint] = value;
  }

  const Plane& plane_;
  const Engine& engine_;
  const std::vector<std::vector<const CheckpointIndex*>>& runs_;
  Surface& surface_;
  const PathSweepOptions& options_;
  std::vector<Task> tasks_;
  std::atomic<std::size_t> next_{0};
  std::atomic<bool> has_failed_{false};
  std::mutex mutex_;
  std::exception_ptr failure_;
  std::size_t done_ = 0;
};

}  // namespace

bool sweep_paths(const Plane& plane, const Engine& engine, const std::vector<std::vector<const CheckpointIndex*>>& runs,
                 Surface& surface, const PathSweepOptions& options) {
  // Every dataset is there, NaN where nothing is known yet.
  for (RunPath& run : surface.trajectory.runs) {
    for (const bool own : {true, false}) {
      for (const Target& target : targets_of(surface, own)) {
        for (const auto& name : {target.loss, target.accuracy}) {
          if (!name.empty() && !run.find(name))
            run.values.emplace_back(name, std::vector<double>(run.size(), std::nan("")));
        }
      }
    }
  }
  return PathSweep(plane, engine, runs, surface, options).run();
}

std::size_t missing_path_values(const Surface& surface) { return tasks_of(surface).size(); }

}  // namespace lossatlas
