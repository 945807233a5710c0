#include "training/training.h"

#include <torch/nn/functional/loss.h>
#include <torch/utils.h>

#include <algorithm>
#include <future>
#include <limits>
#include <utility>

#include "base/error.h"
#include "base/files.h"
#include "base/json.h"
#include "base/stopwatch.h"
#include "checkpoint/checkpoint.h"
#include "evaluation/device.h"
#include "evaluation/evaluator.h"
#include "models/registry.h"
#include "training/minibatch.h"

namespace lossatlas {
namespace {

using nlohmann::json;

constexpr auto kHistory = "history.h5";
constexpr auto kResume = "resume.pt";
constexpr auto kCheckpoints = "checkpoints";

std::vector<NamedTensor> all_tensors(const Network& network) {
  NetworkState state = state_of(network);
  state.parameters.insert(state.parameters.end(), state.buffers.begin(), state.buffers.end());
  return state.parameters;
}

/// The layout to train in: channels last, which is faster on the CPU, but where a 1x1 kernel reads fewer than 8
/// channels, because there the weight gradient of LibTorch 2.11 (oneDNN's AVX2 kernel) writes past its buffer when the
/// stride is 2.
torch::MemoryFormat training_layout(const Network& network) {
  for (const torch::Tensor& parameter : network.parameters()) {
    if (parameter.dim() == 4 && parameter.size(2) == 1 && parameter.size(3) == 1 && parameter.size(1) < 8) {
      return torch::MemoryFormat::Contiguous;
    }
  }
  return torch::MemoryFormat::ChannelsLast;
}

void put_in_layout(Network& network, torch::MemoryFormat layout) {
  for (torch::Tensor& parameter : network.parameters()) {
    if (parameter.dim() == 4) parameter.set_data(parameter.detach().contiguous(layout));
  }
}

/// Sums over the minibatches of an epoch.
struct EpochSums {
  double loss = 0;
  std::int64_t correct = 0;
  std::int64_t images = 0;
  double seconds = 0;

  double mean_loss() const { return loss / static_cast<double>(images); }
  double accuracy() const { return 100 * static_cast<double>(correct) / static_cast<double>(images); }
};

/// The first setting that differs, in words; empty where none does. The optimizer before its own numbers.
std::string difference(const json& ours, const json& theirs) {
  std::vector<std::string> keys{"arch", "data", "optimizer"};
  for (const auto& [key, value] : ours.items()) keys.push_back(key);
  for (const std::string& key : keys) {
    if (!theirs.contains(key)) return fmt::format("{} was not set", key);
    if (theirs[key] != ours.at(key)) {
      return fmt::format("{} was {}, now {}", key, json_text(theirs[key]), json_text(ours.at(key)));
    }
  }
  return "";
}

/// The files epoch-….pt of a run; whatever else lies there belongs to somebody else.
std::vector<std::filesystem::path> own_checkpoints(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  std::error_code code;
  for (const auto& entry : std::filesystem::directory_iterator(folder / kCheckpoints, code)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("epoch-") && name.ends_with(".pt")) files.push_back(entry.path());
  }
  return files;
}

}  // namespace

struct TrainingRun::Impl {
  TrainingOptions options;
  std::shared_ptr<const DataSet> train;
  torch::Device device;
  std::filesystem::path folder;
  std::shared_ptr<Network> network;
  std::unique_ptr<Optimizer> optimizer;
  MinibatchSampler sampler;
  Engine test_engine;
  std::unique_ptr<Evaluator> test_evaluator;
  History history;
  std::int64_t epoch = 0;  // finished epochs
  std::int64_t step = 0;   // finished steps of the next one
  EpochSums sums;          // over those steps
  std::filesystem::path last_checkpoint;
  torch::MemoryFormat layout = torch::MemoryFormat::ChannelsLast;
  std::future<Minibatch> ahead;  // of the step to come, where it is on its way; only then does another thread use sampler

  Impl(TrainingOptions given, std::shared_ptr<const DataSet> train_data, std::shared_ptr<const DataSet> test_data,
       torch::Device where, std::filesystem::path out)
      : options(std::move(given)),
        train(std::move(train_data)),
        device(where),
        folder(std::move(out)),
        sampler(*train, options.batch_size, options.seed, options.augment),
        test_engine({options.network}, std::move(test_data), where) {
    torch::set_num_threads(options.threads);
    test_evaluator = test_engine.make_evaluator();
    torch::manual_seed(options.seed);
    network = make_network(options.network);
    network->to(device);
    layout = training_layout(*network);
    put_in_layout(*network, layout);
    optimizer = make_optimizer(options.optimizer, state_of(*network).parameters);
    history.settings = settings_of(options, *train, device);
  }

  double learning_rate() const {
    double rate = options.learning_rate;
    for (const std::int64_t at : options.learning_rate_steps) rate *= epoch >= at ? options.learning_rate_factor : 1;
    return rate;
  }

  std::filesystem::path checkpoint_path(std::int64_t of_epoch) const {
    return folder / kCheckpoints / fmt::format("epoch-{:04d}.pt", of_epoch);
  }

  /// What a reader of a checkpoint needs to use it right.
  json metadata() const {
    json entries = settings_of(options.network);
    entries.update(settings_of(*train));
    entries.update({{"input", options.network.input}, {"epoch", epoch}, {"acc", history.rows.back().test_acc}});
    return entries;
  }

  void save_checkpoint() {
    last_checkpoint = checkpoint_path(epoch);
    write_checkpoint(last_checkpoint, all_tensors(*network), metadata());
  }

  void save_resume() const {
    const json state{{"epoch", epoch},
                     {"step", step},
                     {"loss_sum", sums.loss},
                     {"correct", sums.correct},
                     {"images", sums.images},
                     {"seconds", sums.seconds},
                     {"settings", json_text(history.settings)}};
    write_checkpoint(folder / kResume, all_tensors(*network), state, {{"optimizer", optimizer->memory()}});
  }

  HistoryRow test_row() {
    const Evaluation test = test_evaluator->evaluate(copy_state(state_of(*network), device));
    network->train();
    HistoryRow row;
    row.epoch = epoch;
    row.test_loss = test.loss;
    row.test_acc = test.accuracy;
    return row;
  }

  /// The minibatch of this step; another thread then makes the next one.
  Minibatch take_minibatch() {
    const Minibatch batch = ahead.valid() ? ahead.get() : sampler.at(epoch, step);
    if (step + 1 < sampler.steps()) {
      ahead = std::async(std::launch::async, [this, at = epoch, next = step + 1] { return sampler.at(at, next); });
    }
    return batch;
  }

  void train_step() {
    const Minibatch batch = take_minibatch();
    const auto images = batch.images.contiguous(layout).to(device);
    const auto labels = batch.labels.to(device);
    const auto logits = network->forward(images);
    const auto loss = torch::nn::functional::cross_entropy(logits, labels);
    network->zero_grad();
    loss.backward();
    const std::int64_t count = labels.size(0);
    optimizer->step(learning_rate(), {static_cast<double>(count) / static_cast<double>(sampler.images()),
                                      step + 1 == sampler.steps()});
    const double value = loss.item<double>();
    if (!std::isfinite(value)) {
      throw Error("the training loss became {} in step {} of epoch {}; the learning rate {} is probably too large",
                  value, step + 1, epoch + 1, learning_rate());
    }
    sums.loss += value * static_cast<double>(count);
    sums.correct += logits.argmax(1).eq(labels).sum().item<std::int64_t>();
    sums.images += count;
    ++step;
  }

  TrainingProgress progress() const {
    TrainingProgress now;
    now.epoch = epoch + 1;
    now.epochs = options.epochs;
    now.step = step;
    now.steps = sampler.steps();
    now.loss = sums.mean_loss();
    now.accuracy = sums.accuracy();
    now.images_per_second = static_cast<double>(sums.images) / sums.seconds;
    const auto steps_left = (options.epochs - epoch) * now.steps - step;
    now.seconds_left = sums.seconds / static_cast<double>(step) * static_cast<double>(steps_left);
    return now;
  }

  /// Trains the epoch under way to its end; false when stopped before.
  bool train_epoch(const TrainingHooks& hooks) {
    while (step < sampler.steps()) {
      if (hooks.stop && *hooks.stop) return false;
      const Stopwatch stopwatch;
      train_step();
      sums.seconds += stopwatch.seconds();
      if (hooks.on_step) hooks.on_step(progress());
    }
    return true;
  }

  void finish_epoch(const TrainingHooks& hooks) {
    const double rate = learning_rate();
    ++epoch;
    HistoryRow row = test_row();
    row.learning_rate = rate;
    row.train_loss = sums.mean_loss();
    row.train_acc = sums.accuracy();
    row.seconds = sums.seconds;
    history.rows.push_back(row);
    step = 0;
    sums = {};
    if (epoch % options.save_every == 0 || epoch == options.epochs) save_checkpoint();
    write_history(folder / kHistory, history);
    save_resume();
    if (hooks.on_epoch) hooks.on_epoch(row);
  }
};

json settings_of(const TrainingOptions& options, const DataSet& train, const torch::Device& device) {
  json settings = settings_of(options.network);
  settings.update(settings_of(train));
  settings.update({{"train_images", train.size()},
                   {"optimizer", options.optimizer.name},
                   {"lr", options.learning_rate},
                   {"lr_steps", options.learning_rate_steps},
                   {"lr_factor", options.learning_rate_factor},
                   {"momentum", options.optimizer.momentum},
                   {"nesterov", options.optimizer.nesterov},
                   {"weight_decay", options.optimizer.weight_decay},
                   {"delta", options.optimizer.delta},
                   {"batch_size", options.batch_size},
                   {"augment", options.augment},
                   {"seed", options.seed},
                   {"device", device.is_cuda() ? "cuda" : "cpu"}});
  if (options.optimizer.name == "rmsprop") settings["rho"] = options.optimizer.rho;
  if (options.optimizer.name == "adam") settings["betas"] = options.optimizer.betas;
  return settings;
}

TrainingRun::TrainingRun(TrainingOptions options, std::shared_ptr<const DataSet> train,
                         std::shared_ptr<const DataSet> test, torch::Device device, std::filesystem::path folder)
    : impl_(std::make_unique<Impl>(std::move(options), std::move(train), std::move(test), device, std::move(folder))) {}

TrainingRun::~TrainingRun() = default;

bool TrainingRun::exists(const std::filesystem::path& folder) {
  return std::filesystem::exists(folder / kHistory) || std::filesystem::exists(folder / kResume) ||
         !own_checkpoints(folder).empty();
}

void TrainingRun::start() {
  std::error_code ignored;
  for (const auto* name : {kHistory, kResume}) std::filesystem::remove(impl_->folder / name, ignored);
  for (const auto& file : own_checkpoints(impl_->folder)) std::filesystem::remove(file, ignored);
  make_folder(impl_->folder / kCheckpoints);
  HistoryRow row = impl_->test_row();
  row.learning_rate = impl_->learning_rate();
  row.train_loss = row.train_acc = std::numeric_limits<double>::quiet_NaN();
  impl_->history.rows = {row};
  impl_->save_checkpoint();
  write_history(impl_->folder / kHistory, impl_->history);
  impl_->save_resume();
}

void TrainingRun::resume() {
  const auto file = impl_->folder / kResume;
  if (!std::filesystem::exists(file)) {
    throw Error("{}: no resume.pt here, so there is no run to go on with; leave out --resume", impl_->folder.string());
  }
  const Checkpoint saved = read_checkpoint(file);
  const json& state = saved.metadata;
  const auto settings = json::parse(state.at("settings").get<std::string>());
  if (const std::string what = difference(impl_->history.settings, settings); !what.empty()) {
    throw Error("{}: this run has other settings: {}; resume it with its own, or choose another --out",
                impl_->folder.string(), what);
  }
  load_into(saved, *impl_->network, impl_->options.network.architecture, file);
  const auto memory = saved.groups.find("optimizer");
  impl_->epoch = state.at("epoch");
  impl_->step = state.at("step");
  impl_->optimizer->restore(memory == saved.groups.end() ? std::vector<NamedTensor>{} : memory->second,
                            impl_->epoch * impl_->sampler.steps() + impl_->step);
  impl_->sums = {state.at("loss_sum"), state.at("correct"), state.at("images"), state.at("seconds")};
  impl_->history.rows = read_history(impl_->folder / kHistory).rows;
  std::erase_if(impl_->history.rows, [&](const HistoryRow& row) { return row.epoch > impl_->epoch; });
  if (impl_->history.rows.empty()) throw Error("{}: history.h5 has no epoch to go on from", impl_->folder.string());
  impl_->network->train();
}

TrainingSummary TrainingRun::run(const TrainingHooks& hooks) {
  bool finished = true;
  while (impl_->epoch < impl_->options.epochs && finished) {
    finished = impl_->train_epoch(hooks);
    if (finished) impl_->finish_epoch(hooks);
  }
  if (!finished) {
    impl_->save_resume();
  } else if (!std::filesystem::exists(impl_->checkpoint_path(impl_->epoch))) {
    impl_->save_checkpoint();  // a longer run was resumed with fewer epochs, or the file was removed
  } else {
    impl_->last_checkpoint = impl_->checkpoint_path(impl_->epoch);
  }
  return {finished, finished ? impl_->last_checkpoint : impl_->folder / kResume, impl_->history.rows.back()};
}

}  // namespace lossatlas
