#include "training/training.h"

#include <torch/utils.h>

#include <cmath>

#include "base/error.h"
#include "catch.h"
#include "checkpoint/checkpoint.h"
#include "temporary_folder.h"

using namespace lossatlas;

namespace {

TrainingOptions small_options(std::int64_t epochs) {
  TrainingOptions options;
  options.network.architecture = "resnet20";
  options.network.width = 4;
  options.optimizer.momentum = 0.9;
  options.optimizer.nesterov = true;
  options.optimizer.weight_decay = 5e-4;
  options.learning_rate = 0.05;
  options.schedule.drops = {2};
  options.batch_size = 16;
  options.epochs = epochs;
  options.seed = 11;
  options.augment = true;
  return options;
}

TrainingRun make_run(const TrainingOptions& options, const std::filesystem::path& folder) {
  const auto load = [](Split split) { return std::make_shared<const DataSet>(load_data("synthetic:64", split)); };
  std::filesystem::create_directories(folder);
  return TrainingRun(options, load(Split::train), load(Split::test), torch::kCPU, folder);
}

bool same_checkpoints(const std::filesystem::path& a, const std::filesystem::path& b) {
  const Checkpoint left = read_checkpoint(a), right = read_checkpoint(b);
  if (left.tensors.size() != right.tensors.size()) return false;
  for (std::size_t i = 0; i < left.tensors.size(); ++i) {
    if (!torch::equal(left.tensors[i].tensor, right.tensors[i].tensor)) return false;
  }
  return left.metadata == right.metadata;
}

}  // namespace

TEST_CASE("a run keeps its checkpoints and its history") {
  const TemporaryFolder folder;
  auto options = small_options(3);
  options.save_every = 2;
  auto run = make_run(options, folder / "run");
  run.start();
  const TrainingSummary summary = run.run({});
  CHECK(summary.finished);
  CHECK(summary.checkpoint == folder / "run/checkpoints/epoch-0003.pt");
  for (const char* name : {"epoch-0000.pt", "epoch-0002.pt", "epoch-0003.pt"}) {
    CHECK(std::filesystem::exists(folder / "run/checkpoints" / name));
  }
  CHECK_FALSE(std::filesystem::exists(folder / "run/checkpoints/epoch-0001.pt"));
  const History history = read_history(folder / "run/history.h5");
  REQUIRE(history.rows.size() == 4);
  CHECK(std::isnan(history.rows[0].train_loss));
  CHECK(std::isfinite(history.rows[0].test_loss));
  CHECK(history.rows[2].learning_rate == Approx(0.05));
  CHECK(history.rows[3].learning_rate == Approx(0.005));
  CHECK(history.rows[3].train_loss < history.rows[1].train_loss);
  CHECK(history.settings["optimizer"] == "sgd");
  const Checkpoint last = read_checkpoint(summary.checkpoint);
  CHECK(last.metadata["epoch"] == 3);
  CHECK(last.metadata["acc"] == history.rows[3].test_acc);
}

TEST_CASE("a run that was stopped at any step goes on to the same bits") {
  const TemporaryFolder folder;
  for (const std::string optimizer : {"sgd", "adagrad", "adamw"}) {
    auto options = small_options(2);
    if (optimizer == "adagrad") options.optimizer = {"adagrad", 0, false, 5e-4, 1e-7};
    if (optimizer == "adamw") {
      options.optimizer = usual_options("adamw");
      options.schedule.name = "cosine";
      options.schedule.warmup = 0.75;
    }
    const auto whole = folder / (optimizer + "-whole"), parts = folder / (optimizer + "-parts");
    auto undisturbed = make_run(options, whole);
    undisturbed.start();
    undisturbed.run({});
    // Four steps an epoch: stopped after 1, 4, and 6 of the eight.
    std::atomic<bool> stop{false};
    int steps = 0, stop_after = 1;
    TrainingHooks hooks;
    hooks.stop = &stop;
    hooks.on_step = [&](const TrainingProgress&) { stop = ++steps == stop_after; };
    auto first = make_run(options, parts);
    first.start();
    CHECK_FALSE(first.run(hooks).finished);
    for (const int next_stop : {4, 6, 1000}) {
      stop = false;
      stop_after = next_stop;
      auto next = make_run(options, parts);
      next.resume();
      CHECK(next.run(hooks).finished == (next_stop == 1000));
    }
    for (const char* name : {"epoch-0000.pt", "epoch-0001.pt", "epoch-0002.pt"}) {
      CHECK(same_checkpoints(whole / "checkpoints" / name, parts / "checkpoints" / name));
    }
    CHECK(read_history(parts / "history.h5").rows.size() == 3);
  }
}

TEST_CASE("a run under other settings is not resumed, and the difference is named") {
  const TemporaryFolder folder;
  auto run = make_run(small_options(1), folder / "run");
  run.start();
  run.run({});
  auto options = small_options(1);
  options.learning_rate = 0.01;
  auto other = make_run(options, folder / "run");
  CHECK_THROWS_WITH(other.resume(), ContainsSubstring("lr was 0.05, now 0.01"));
  auto nothing = make_run(small_options(1), folder / "empty");
  CHECK_THROWS_WITH(nothing.resume(), ContainsSubstring("without its resume.pt"));
}

TEST_CASE("a resumed run keeps the length of its cosine, up to which epochs may be added") {
  const TemporaryFolder folder;
  const auto options = [](std::int64_t epochs, std::int64_t length) {
    auto with_cosine = small_options(epochs);
    with_cosine.schedule = {"cosine", {}, 0.1, 0.5, length};
    return with_cosine;
  };
  auto whole = make_run(options(3, 0), folder / "whole");  // as long as its epochs
  whole.start();
  whole.run({});
  auto part = make_run(options(1, 3), folder / "parts");
  part.start();
  part.run({});
  CHECK_THROWS_WITH(make_run(options(4, 0), folder / "parts").resume(), ContainsSubstring("ends after `lr_epochs` 3"));
  CHECK_THROWS_WITH(make_run(options(2, 2), folder / "parts").resume(), ContainsSubstring("lr_epochs was 3, now 2"));
  for (const std::int64_t epochs : {2, 3}) {
    auto more = make_run(options(epochs, 0), folder / "parts");
    more.resume();
    CHECK(more.run({}).finished);
  }
  const auto last = std::filesystem::path("checkpoints/epoch-0003.pt");
  CHECK(same_checkpoints(folder / "whole" / last, folder / "parts" / last));
}

TEST_CASE("a run is not resumed with another schedule or warm-up") {
  const TemporaryFolder folder;
  auto run = make_run(small_options(1), folder / "steps");
  run.start();
  const auto settings = read_history(folder / "steps/history.h5").settings;
  for (const char* key : {"lr_schedule", "lr_epochs", "warmup"}) CHECK_FALSE(settings.contains(key));  // as of old runs
  auto options = small_options(1);
  options.schedule.warmup = 0.5;
  CHECK_THROWS_WITH(make_run(options, folder / "steps").resume(), ContainsSubstring("warmup was 0, now 0.5"));
  options.schedule.name = "cosine";
  CHECK_THROWS_WITH(make_run(options, folder / "steps").resume(),
                    ContainsSubstring("lr_schedule was \"steps\", now \"cosine\""));
  auto other = make_run(options, folder / "cosine");
  other.start();
  CHECK_THROWS_WITH(make_run(small_options(1), folder / "cosine").resume(),
                    ContainsSubstring("lr_schedule was \"cosine\", now \"steps\""));
}

TEST_CASE("a loss that is not finite ends the run with a line") {
  const TemporaryFolder folder;
  auto options = small_options(1);
  options.network.architecture = "linear";
  options.network.width = 0;
  options.optimizer = {"sgd", 0, false, 0, 1e-7};
  options.learning_rate = 1e38;
  auto run = make_run(options, folder / "run");
  run.start();
  CHECK_THROWS_WITH(run.run({}), ContainsSubstring("learning rate"));
  CHECK(std::filesystem::exists(folder / "run/checkpoints/epoch-0000.pt"));
}
