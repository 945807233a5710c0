#include "training/training_loop.h"

#include <cmath>
#include <limits>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "base/stopwatch.h"
#include "data/data_digest.h"

namespace lossatlas {
namespace {

using nlohmann::json;

}  // namespace

at::Tensor in_layout(const at::Tensor& tensor, at::MemoryFormat layout) {
  return tensor.dim() == 4 ? tensor.contiguous(layout) : tensor;
}

TrainingLoop::TrainingLoop(std::int64_t epochs, std::unique_ptr<Trainee> trainee, Step step)
    : epochs_(epochs), trainee_(std::move(trainee)), rule_(std::move(step)) {}

void TrainingLoop::train_step() {
  const Trainee::Step now = trainee_->differentiate(epoch_, step_, rule_.prepare);
  const double rate = rule_.learning_rate();
  if (rate > static_cast<double>(std::numeric_limits<float>::max())) {
    throw Error("the learning rate {} of epoch {} is larger than float32 holds", rate, epoch_ + 1);
  }
  rule_.descend(rate,
                {static_cast<double>(now.samples) / static_cast<double>(trainee_->samples()), step_ + 1 == steps()});
  if (!std::isfinite(now.loss)) {
    throw Error("the training loss became {} in step {} of epoch {}; the learning rate {} is probably too large",
                std::abs(now.loss), step_ + 1, epoch_ + 1, rate);
  }
  sums_.loss += now.loss * now.weight;
  sums_.correct += now.correct;
  sums_.weight += now.weight;
  sums_.images += now.samples;
  ++step_;
}

TrainingProgress TrainingLoop::progress() const {
  TrainingProgress now;
  now.epoch = epoch_ + 1;
  now.epochs = epochs_;
  now.step = step_;
  now.steps = steps();
  now.loss = sums_.mean_loss();
  now.accuracy = sums_.accuracy();
  now.sample = trainee_->sample();
  now.images_per_second = static_cast<double>(sums_.images) / sums_.seconds;
  const auto steps_left = (epochs_ - epoch_) * now.steps - step_;
  now.seconds_left = sums_.seconds / static_cast<double>(step_) * static_cast<double>(steps_left);
  return now;
}

bool TrainingLoop::train_epoch(const TrainingHooks& hooks) {
  while (step_ < steps()) {
    if (hooks.stop && *hooks.stop) return false;
    const Stopwatch stopwatch;
    train_step();
    sums_.seconds += stopwatch.seconds();
    if (hooks.on_step) hooks.on_step(progress());
  }
  return true;
}

HistoryRow TrainingLoop::finish_epoch() {
  HistoryRow row;
  row.learning_rate = rule_.learning_rate();
  row.epoch = ++epoch_;
  row.train_loss = sums_.mean_loss();
  row.train_acc = sums_.accuracy();
  row.test_loss = row.test_acc = std::numeric_limits<double>::quiet_NaN();
  row.seconds = sums_.seconds;
  step_ = 0;
  sums_ = {};
  return row;
}

json TrainingLoop::state() const {
  return {{"epoch", epoch_},        {"step", step_},          {"loss_sum", sums_.loss},  {"correct", sums_.correct},
          {"weight", sums_.weight}, {"images", sums_.images}, {"seconds", sums_.seconds}};
}

void TrainingLoop::restore(const json& state) {
  epoch_ = state.at("epoch");
  step_ = state.at("step");
  const json& correct = state.at("correct");
  sums_ = {.loss = state.at("loss_sum"),
           .correct = correct.is_null() ? std::nan("") : correct.get<double>(),
           .weight = state.value("weight", state.at("images").get<double>()),
           .images = state.at("images"),
           .seconds = state.at("seconds")};
}

std::string first_difference(const json& ours, const json& theirs) {
  std::vector<std::string> keys{"arch", "data", "optimizer", "lr_schedule"};
  for (const auto& [key, value] : ours.items()) keys.push_back(key);
  for (const std::string& key : keys) {
    if (!ours.contains(key) || is_data_digest(key)) continue;
    if (key == "data") {
      if (const auto text = data_difference(ours, theirs)) return *text;
      continue;
    }
    if (!theirs.contains(key)) return fmt::format("{} was not set", key);
    if (theirs[key] != ours.at(key)) {
      return fmt::format("{} was {}, now {}", key, json_text(theirs[key]), json_text(ours.at(key)));
    }
  }
  return "";
}

json checkpoint_metadata(const NetworkSpec& network, const DataSet& train) {
  json entries = settings_of(network);
  entries.update(settings_of(train));
  entries["input"] = network.input;
  return entries;
}

}  // namespace lossatlas
