#include "jobs/jobs.h"

#include <atomic>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/error.h"
#include "catch.h"
#include "jobs/curvature_run.h"
#include "landscape/sweep_progress.h"
#include "surface/surface_file.h"
#include "temporary_folder.h"
#include "training/training_progress.h"

using namespace lossatlas;

namespace {

/// Keeps what it hears, and stops a job after so many points.
class Listener : public Observer {
 public:
  explicit Listener(std::size_t most_points = 1000) : most_points_(most_points) {}

  void on_note(const std::string& text) override { notes.push_back(text); }
  void on_progress(const SweepProgress& now, const std::filesystem::path&) override { done.push_back(now.done); }
  void on_progress(const TrainingProgress& now) override { steps.push_back(now.step); }
  void on_progress_end() override { ++ends; }
  void on_point(const std::filesystem::path&, std::size_t index, const Evaluation& evaluation) override {
    points[index] = evaluation.loss;
    stop_ = points.size() >= most_points_;
  }
  const std::atomic<bool>& should_stop() const override { return stop_; }

  bool has_note(const std::string& part) const {
    for (const auto& note : notes) {
      if (note.find(part) != note.npos) return true;
    }
    return false;
  }

  std::vector<std::string> notes;
  std::vector<std::size_t> done;
  std::vector<std::int64_t> steps;
  std::map<std::size_t, double> points;
  int ends = 0;

 private:
  std::size_t most_points_;
  std::atomic<bool> stop_{false};
};

const Caller kCaller{"a test", "0", "ask again"};

TrainRequest small_training(const std::filesystem::path& out) {
  TrainRequest request;
  request.network = {"resnet20", 0, 2};
  request.data.data = "synthetic:40";
  request.epochs = 1;
  request.batch_size = 20;
  request.threads = 1;
  request.out = out;
  return request;
}

SurfaceRequest small_surface(const std::filesystem::path& run, const std::filesystem::path& out) {
  SurfaceRequest request;
  request.landscape.checkpoint = run;
  request.landscape.data.data = "synthetic:40";
  request.landscape.threads = 1;
  request.landscape.out = out;
  request.grid = {3};
  return request;
}

}  // namespace

TEST_CASE("vectors of many eigenpairs need their memory") {
  // 40 vectors of 4 bytes a parameter and some more; 2 · 1006 + 10 for a thousand pairs.
  CHECK(memory_of_vectors(11'000'000, {.largest = 5, .smallest = 1}, 0) == Approx(56 * 44e6));
  CHECK(memory_of_vectors(11'000'000, {.largest = 1000, .smallest = 6}, 0) > 2000 * 44e6);
  CHECK(memory_of_vectors(50, {.largest = 1000, .smallest = 6}, 20) < 1e6);
}

TEST_CASE("training and a surface tell an observer what happens") {
  const TemporaryFolder folder;
  Listener trainer;
  const Outcome trained = prepare(small_training(folder / "run"))(trainer);
  CHECK(trained.finished);
  CHECK(trained.files == std::vector{folder / "run/checkpoints/epoch-0001.pt"});
  CHECK(trainer.steps == std::vector<std::int64_t>{1, 2});
  CHECK(trainer.has_note("epoch 1: train loss"));
  CHECK(trainer.ends == 1);

  Listener listener;
  const Outcome outcome = prepare(small_surface(folder / "run", folder / "s.h5"), kCaller)(listener);
  CHECK(outcome.finished);
  CHECK(outcome.files == std::vector{folder / "s.h5"});
  CHECK(outcome.points == 9);
  CHECK(outcome.evaluated == 9);
  CHECK(outcome.computed == 9);
  CHECK(outcome.centre_check.at("equal") == true);
  CHECK(listener.has_note("its last epoch is taken"));
  const Surface surface = read_surface(folder / "s.h5");
  CHECK(surface.provenance.at("command") == "a test");
  for (const auto& [index, loss] : listener.points) CHECK(surface.loss().at(index) == loss);
}

TEST_CASE("a job that an observer stops is continued with the same values") {
  const TemporaryFolder folder;
  Listener trainer;
  prepare(small_training(folder / "run"))(trainer);
  Listener undisturbed;
  prepare(small_surface(folder / "run", folder / "whole.h5"), kCaller)(undisturbed);

  SurfaceRequest request = small_surface(folder / "run", folder / "part.h5");
  Listener stops(4);
  const Outcome part = prepare(request, kCaller)(stops);
  CHECK(!part.finished);
  CHECK(part.evaluated >= 4);
  CHECK(part.evaluated < 9);
  CHECK(stops.has_note("ask again"));

  request.landscape.resume = true;
  Listener rest;
  const Outcome whole = prepare(request, kCaller)(rest);
  CHECK(whole.finished);
  CHECK(whole.computed == 9 - part.evaluated);
  CHECK(read_surface(folder / "part.h5").loss() == read_surface(folder / "whole.h5").loss());

  Listener idle;
  const Outcome again = prepare(request, kCaller)(idle);
  CHECK(again.finished);
  CHECK(again.computed == 0);
}

TEST_CASE("what cannot be done is refused before a job begins, by the names of fields") {
  const TemporaryFolder folder;
  Listener trainer;
  prepare(small_training(folder / "run"))(trainer);
  CHECK_THROWS_WITH(prepare(small_training(folder / "run")),
                    (folder / "run").string() +
                        ": holds a run; continue it with `resume`, replace it with `force`, or choose another `out`");

  SurfaceRequest request = small_surface(folder / "run", folder / "s.h5");
  request.tolerance = 0.1;
  request.plane.repeat = 2;
  CHECK_THROWS_WITH(prepare(request, kCaller), "`tolerance`: cannot be used with `repeat`");
  request.plane.repeat = 1;
  request.landscape.device = "abacus";
  Listener listener;
  CHECK_THROWS_AS(prepare(request, kCaller)(listener), UsageError);
  CHECK(!std::filesystem::exists(folder / "s.h5"));

  LineRequest line;
  line.landscape = small_surface("", folder / "line.h5").landscape;
  CHECK_THROWS_WITH(
      prepare(line, kCaller),
      "`checkpoint` is required: a file, or a run folder for its last epoch; or `problem`, for a network of your own");
}
