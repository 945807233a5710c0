#include "training/training_loop.h"

#include <ATen/ops/cross_entropy_loss.h>

#include <cmath>
#include <limits>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "base/stopwatch.h"
#include "data/data_digest.h"
#include "models/network.h"

namespace lossatlas {
namespace {

using nlohmann::json;

/// The layout to train in: channels last, which is faster on the CPU, but where a 1x1 kernel reads fewer than 8
/// channels, because there the weight gradient of LibTorch 2.11 (oneDNN's AVX2 kernel) writes past its buffer when the
/// stride is 2.
at::MemoryFormat training_layout(const Network& network) {
  for (const at::Tensor& parameter : network.parameters()) {
    if (parameter.dim() == 4 && parameter.size(2) == 1 && parameter.size(3) == 1 && parameter.size(1) < 8) {
      return at::MemoryFormat::Contiguous;
    }
  }
  return at::MemoryFormat::ChannelsLast;
}

}  // namespace

at::Tensor in_layout(const at::Tensor& tensor, at::MemoryFormat layout) {
  return tensor.dim() == 4 ? tensor.contiguous(layout) : tensor;
}

TrainingLoop::TrainingLoop(const LoopOptions& options, std::shared_ptr<Network> network,
                           std::shared_ptr<const DataSet> train, at::Device device, Step step)
    : options_(options),
      network_(std::move(network)),
      train_(std::move(train)),
      device_(device),
      rule_(std::move(step)),
      layout_(training_layout(*network_)),
      sampler_(*train_, options.batch_size, options.seed, options.augment) {
  for (at::Tensor& parameter : network_->parameters()) parameter.set_data(in_layout(parameter.detach(), layout_));
}

/// The minibatch of this step; another thread then makes the next one.
Minibatch TrainingLoop::take_minibatch() {
  const Minibatch batch = ahead_.valid() ? ahead_.get() : sampler_.at(epoch_, step_);
  if (step_ + 1 < sampler_.steps()) {
    ahead_ = std::async(std::launch::async, [this, at = epoch_, next = step_ + 1] { return sampler_.at(at, next); });
  }
  return batch;
}

void TrainingLoop::train_step() {
  const Minibatch batch = take_minibatch();
  const auto images = batch.images.contiguous(layout_).to(device_);
  const auto labels = batch.labels.to(device_);
  if (rule_.prepare) rule_.prepare();
  const auto logits = network_->forward(images);
  const auto loss = at::cross_entropy_loss(logits, labels);
  network_->zero_grad();
  loss.backward();
  const double rate = rule_.learning_rate();
  if (rate > static_cast<double>(std::numeric_limits<float>::max())) {
    throw Error("the learning rate {} of epoch {} is larger than float32 holds", rate, epoch_ + 1);
  }
  const std::int64_t count = labels.size(0);
  rule_.descend(rate,
                {static_cast<double>(count) / static_cast<double>(sampler_.images()), step_ + 1 == sampler_.steps()});
  const double value = loss.item<double>();
  if (!std::isfinite(value)) {
    throw Error("the training loss became {} in step {} of epoch {}; the learning rate {} is probably too large",
                std::abs(value), step_ + 1, epoch_ + 1, rate);
  }
  sums_.loss += value * static_cast<double>(count);
  sums_.correct += logits.argmax(1).eq(labels).sum().item<std::int64_t>();
  sums_.images += count;
  ++step_;
}

TrainingProgress TrainingLoop::progress() const {
  TrainingProgress now;
  now.epoch = epoch_ + 1;
  now.epochs = options_.epochs;
  now.step = step_;
  now.steps = sampler_.steps();
  now.loss = sums_.mean_loss();
  now.accuracy = sums_.accuracy();
  now.images_per_second = static_cast<double>(sums_.images) / sums_.seconds;
  const auto steps_left = (options_.epochs - epoch_) * now.steps - step_;
  now.seconds_left = sums_.seconds / static_cast<double>(step_) * static_cast<double>(steps_left);
  return now;
}

bool TrainingLoop::train_epoch(const TrainingHooks& hooks) {
  network_->train();
  while (step_ < sampler_.steps()) {
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
  return {{"epoch", epoch_},          {"step", step_},          {"loss_sum", sums_.loss},
          {"correct", sums_.correct}, {"images", sums_.images}, {"seconds", sums_.seconds}};
}

void TrainingLoop::restore(const json& state) {
  epoch_ = state.at("epoch");
  step_ = state.at("step");
  sums_ = {.loss = state.at("loss_sum"),
           .correct = state.at("correct"),
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
