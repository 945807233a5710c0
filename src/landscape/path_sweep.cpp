#include "landscape/path_sweep.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <mutex>
#include <utility>

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

/// All of them: the items of path_work are places in this list.
std::vector<Task> tasks_of(const Trajectory& trajectory) {
  std::vector<Task> tasks;
  for (std::size_t r = 0; r < trajectory.runs.size(); ++r) {
    for (std::size_t i = 0; i < trajectory.runs[r].size(); ++i) {
      for (const bool own : {true, false}) tasks.push_back({r, i, own});
    }
  }
  return tasks;
}

/// What was not computed is NaN. So may be what was: after a resume that is computed again.
std::vector<std::size_t> missing_tasks(const Surface& surface, const std::vector<Task>& tasks) {
  std::vector<std::size_t> missing;
  for (std::size_t at = 0; at < tasks.size(); ++at) {
    const auto& [run, checkpoint, own] = tasks[at];
    const auto* values = surface.trajectory.runs[run].find(targets_of(surface, own).front().loss);
    if (!values || std::isnan((*values)[checkpoint])) missing.push_back(at);
  }
  return missing;
}

/// What one thread evaluates checkpoints with.
struct PathEvaluator {
  Evaluation evaluate(const Plane& plane, const Engine& engine, const IndexedPaths& runs, const Trajectory& trajectory,
                      const Task& task) {
    if (task.own) {
      read_state(*runs[task.run][task.checkpoint], read);
      return evaluator->evaluate(state_on(read, engine.device()));
    }
    // A plane of weights leaves the statistics alone: they are the origin's own here, never a checkpoint's.
    const Projected& points = trajectory.runs[task.run].points;
    place(plane, std::array{points.x[task.checkpoint], points.y[task.checkpoint]}, point);
    return evaluator->evaluate(point);
  }

  std::unique_ptr<Evaluator> evaluator;
  NetworkState read, point;
};

class PathSweep {
 public:
  PathSweep(Surface& surface, const PathSweepOptions& options)
      : surface_(surface), options_(options), tasks_(tasks_of(surface.trajectory)) {}

  bool run(const Work& work) {
    std::vector<std::size_t> missing = missing_tasks(surface_, tasks_);
    total_ = missing.size();
    SweepHooks hooks;
    hooks.take = [this](std::size_t item, const ItemResult& result) { take(tasks_[item], result.values.front()); };
    hooks.stop = options_.stop;
    hooks.on_note = [this](const std::string& text) {
      const std::scoped_lock lock(mutex_);
      if (options_.on_note) options_.on_note(text);
    };
    carry_out(work, std::move(missing), options_.ranks, hooks);
    return done_ == total_;
  }

 private:
  void take(const Task& task, const Evaluation& evaluation) {
    const std::scoped_lock lock(mutex_);
    for (const Target& target : targets_of(surface_, task.own)) {
      const Evaluation& part = target.is_second ? evaluation.second.at(0) : evaluation;
      set(task, target.loss, part.loss);
      if (!target.accuracy.empty()) set(task, target.accuracy, part.accuracy);
    }
    ++done_;
    if (options_.on_value) options_.on_value(done_, total_, evaluation);
  }

  void set(const Task& task, const std::string& dataset, double value) {
    RunPath& run = surface_.trajectory.runs[task.run];
    auto found =
        std::find_if(run.values.begin(), run.values.end(), [&](auto& named) { return named.first == dataset; });
    found->second[task.checkpoint] = value;
  }

  Surface& surface_;
  const PathSweepOptions& options_;
  const std::vector<Task> tasks_;
  std::mutex mutex_;
  std::size_t total_ = 0, done_ = 0;
};

}  // namespace

Work path_work(const Plane& plane, const Engine& engine, const IndexedPaths& runs, const Trajectory& trajectory,
               int threads) {
  const auto on_thread = [&plane, &engine, &runs, &trajectory, tasks = tasks_of(trajectory)]() -> EvaluateItem {
    const auto own = std::make_shared<PathEvaluator>(PathEvaluator{
        engine.make_evaluator(), copy_state(plane.origin, at::kCPU), copy_state(plane.origin, engine.device())});
    return [&, own, tasks](std::size_t item) -> ItemResult {
      return {{own->evaluate(plane, engine, runs, trajectory, tasks[item])}, {}};
    };
  };
  return {kPathsRequest, on_thread, engine.device().is_cpu() ? threads : 1};
}

bool sweep_paths(const Plane& plane, const Engine& engine, const IndexedPaths& runs, Surface& surface,
                 const PathSweepOptions& options) {
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
  return PathSweep(surface, options).run(path_work(plane, engine, runs, surface.trajectory, options.threads));
}

std::size_t missing_path_values(const Surface& surface) {
  return missing_tasks(surface, tasks_of(surface.trajectory)).size();
}

}  // namespace lossatlas
