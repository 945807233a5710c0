#include "training/training.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/files.h"
#include "base/json.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/index.h"
#include "data/data_digest.h"
#include "evaluation/classifier.h"
#include "evaluation/device.h"
#include "evaluation/evaluator.h"
#include "models/network.h"
#include "models/registry.h"

namespace lossatlas {
namespace {

using nlohmann::json;

constexpr auto kHistory = "history.h5";
constexpr auto kResume = "resume.pt";
constexpr auto kCheckpoints = "checkpoints";
constexpr auto kSchedule = "lr_schedule", kWarmup = "warmup";  // settings

/// The files epoch-NNNN.pt of a run; whatever else lies there belongs to somebody else.
std::vector<std::filesystem::path> own_checkpoints(const std::filesystem::path& folder) {
  constexpr std::string_view begin = "epoch-";
  std::vector<std::filesystem::path> files;
  std::error_code code;
  for (const auto& entry : std::filesystem::directory_iterator(folder / kCheckpoints, code)) {
    const auto file = entry.path();
    const std::string stem = file.stem().string();
    const bool is_number =
        stem.size() > begin.size() && stem.find_first_not_of("0123456789", begin.size()) == stem.npos;
    if (stem.starts_with(begin) && is_number && file.extension() == ".pt") files.push_back(file);
  }
  return files;
}

bool is_history(const std::filesystem::path& file) {
  try {
    read_history(file);
    return true;
  } catch (const Error&) {
    return false;
  }
}

/// Throws Error if a file has the name of one of a run's, but is not one: it is neither removed nor replaced.
void check_own(const std::filesystem::path& folder) {
  const auto check = [](const std::filesystem::path& file, bool is_own) {
    if (is_own || !std::filesystem::exists(file)) return;
    throw Error(
        "{}: not a file of `lossatlas train`, which keeps one under this name; move it away, or choose another `out`",
        file.string());
  };
  check(folder / kHistory, is_history(folder / kHistory));
  check(folder / kResume, has_entries(folder / kResume, {"settings", "epoch"}));
  for (const auto& file : own_checkpoints(folder)) check(file, has_entries(file, {"arch", "mean", "std", "epoch"}));
}

/// With the settings that are stored only where they are not the usual ones.
json completed(json settings) {
  settings.emplace(kSchedule, "steps");
  settings.emplace(kWarmup, 0);
  return settings;
}

}  // namespace

struct TrainingRun::Impl {
  TrainingOptions options;
  std::shared_ptr<const DataSet> train;
  at::Device device;
  std::filesystem::path folder;
  std::shared_ptr<Network> network;
  std::unique_ptr<Optimizer> optimizer;
  std::optional<TrainingLoop> loop;
  std::shared_ptr<const DataSet> test;  // null without a test split
  std::optional<Engine> test_engine;
  std::unique_ptr<Evaluator> test_evaluator;
  History history;
  bool length_is_given;  // of the schedule
  std::filesystem::path last_checkpoint;

  Impl(TrainingOptions given, std::shared_ptr<const DataSet> train_data, std::shared_ptr<const DataSet> test_data,
       at::Device where, std::filesystem::path out)
      : options(std::move(given)),
        train(std::move(train_data)),
        device(where),
        folder(std::move(out)),
        test(std::move(test_data)),
        length_is_given(options.schedule.length > 0) {
    if (!length_is_given) options.schedule.length = options.epochs;
    at::set_num_threads(options.threads);
    if (test) {
      const EngineSamples samples{.first = std::make_shared<Images>(test, device)};
      test_engine.emplace(make_classifier(options.network), samples, EngineOptions(), device);
      test_evaluator = test_engine->make_evaluator();
    }
    at::manual_seed(options.seed);
    network = make_network(options.network);
    network->to(device);
    loop.emplace(
        options.epochs,
        make_trainee(
            network, train,
            MinibatchOptions{.batch_size = options.batch_size, .seed = options.seed, .augment = options.augment},
            device),
        TrainingLoop::Step{[this] { return learning_rate(); },
                           [this](double rate, const MinibatchShare& share) { optimizer->step(rate, share); }});
    optimizer = make_optimizer(options.optimizer, state_of(*network).parameters);
    history.settings = settings_of(options, *train, test.get(), device);
  }

  double learning_rate() const {
    const std::int64_t step = std::min(loop->step(), loop->steps() - 1);  // the last of an epoch while that is finished
    return rate_at(options.schedule, options.learning_rate, loop->epoch() * loop->steps() + step, loop->steps());
  }

  /// A run that is resumed keeps the length of its schedule, unless another was asked for: that is a difference.
  void keep_length(const json& theirs) {
    if (length_is_given || options.schedule.name == "steps") return;
    const auto found = theirs.find("lr_epochs");
    if (found == theirs.end() || !found->is_number_integer()) return;
    options.schedule.length = *found;
    history.settings["lr_epochs"] = *found;
  }

  std::filesystem::path checkpoint_path(std::int64_t of_epoch) const {
    return folder / kCheckpoints / fmt::format("epoch-{:04d}.pt", of_epoch);
  }

  void save_checkpoint() {
    json metadata = checkpoint_metadata(options.network, *train);
    metadata["epoch"] = loop->epoch();
    if (test) metadata["acc"] = history.rows.back().test_acc;
    last_checkpoint = checkpoint_path(loop->epoch());
    write_checkpoint(last_checkpoint, all_tensors(state_of(*network)), metadata);
  }

  void save_resume() const {
    json state = loop->state();
    state["settings"] = json_text(history.settings);
    write_checkpoint(folder / kResume, all_tensors(state_of(*network)), state, {{"optimizer", optimizer->memory()}});
  }

  /// Writes the test values of the network as it is, NaN without a test split.
  void evaluate(HistoryRow& row) {
    row.test_loss = row.test_acc = std::numeric_limits<double>::quiet_NaN();
    if (!test) return;
    const Evaluation found = test_evaluator->evaluate(copy_state(state_of(*network), device));
    row.test_loss = found.loss;
    row.test_acc = found.accuracy;
  }

  void finish_epoch(const TrainingHooks& hooks) {
    HistoryRow row = loop->finish_epoch();
    evaluate(row);
    history.rows.push_back(row);
    if (row.epoch % options.save_every == 0 || row.epoch == options.epochs) save_checkpoint();
    write_history(folder / kHistory, history);
    save_resume();
    if (hooks.on_epoch) hooks.on_epoch(row);
  }
};

json settings_of(const TrainingOptions& options, const DataSet& train, const DataSet* test, const at::Device& device) {
  json settings = settings_of(options.network);
  settings.update(settings_of(train));
  settings.update({{"train_images", train.size()},
                   {"train_images_sha256", digest_of(train)},
                   {"optimizer", options.optimizer.name},
                   {"lr", options.learning_rate},
                   {"momentum", options.optimizer.momentum},
                   {"nesterov", options.optimizer.nesterov},
                   {"weight_decay", options.optimizer.weight_decay},
                   {"delta", options.optimizer.delta},
                   {"batch_size", options.batch_size},
                   {"augment", options.augment},
                   {"seed", options.seed},
                   {"device", device.is_cuda() ? "cuda" : "cpu"}});
  if (test) settings["test_images_sha256"] = digest_of(*test);
  const RateSchedule& schedule = options.schedule;
  if (schedule.name == "steps") {
    settings.update({{"lr_steps", schedule.drops}, {"lr_factor", schedule.drop_factor}});
  } else {
    settings.update({{kSchedule, schedule.name}, {"lr_epochs", schedule.length}});
  }
  if (schedule.warmup > 0) settings[kWarmup] = schedule.warmup;
  if (options.optimizer.name == "rmsprop") settings["rho"] = options.optimizer.rho;
  if (options.optimizer.is_adam()) settings["betas"] = options.optimizer.betas;
  return settings;
}

TrainingRun::TrainingRun(TrainingOptions options, std::shared_ptr<const DataSet> train,
                         std::shared_ptr<const DataSet> test, at::Device device, std::filesystem::path folder)
    : impl_(std::make_unique<Impl>(std::move(options), std::move(train), std::move(test), device, std::move(folder))) {}

TrainingRun::~TrainingRun() = default;

bool TrainingRun::exists(const std::filesystem::path& folder) {
  return std::filesystem::exists(folder / kHistory) || std::filesystem::exists(folder / kResume) ||
         !own_checkpoints(folder).empty();
}

bool TrainingRun::has_only_begun(const std::filesystem::path& folder) {
  const auto history = folder / kHistory;
  const auto files = own_checkpoints(folder);
  return exists(folder) && !std::filesystem::exists(folder / kResume) &&
         std::all_of(files.begin(), files.end(), [](const auto& file) { return file.filename() == "epoch-0000.pt"; }) &&
         (!is_history(history) || read_history(history).rows.size() <= 1);
}

void TrainingRun::start() {
  check_own(impl_->folder);
  std::error_code ignored;
  for (const auto* name : {kHistory, kResume}) std::filesystem::remove(impl_->folder / name, ignored);
  for (const auto& file : own_checkpoints(impl_->folder)) std::filesystem::remove(file, ignored);
  make_folder(impl_->folder / kCheckpoints);
  HistoryRow row;
  impl_->evaluate(row);
  row.learning_rate = impl_->learning_rate();
  row.train_loss = row.train_acc = std::numeric_limits<double>::quiet_NaN();
  impl_->history.rows = {row};
  impl_->save_checkpoint();
  write_history(impl_->folder / kHistory, impl_->history);
  impl_->save_resume();
}

bool TrainingRun::resume() {
  const auto file = impl_->folder / kResume;
  if (!std::filesystem::exists(file)) {
    throw Error(
        "{}: holds a run without its resume.pt, which `resume` requires; replace the run by `force`, or choose another "
        "`out`",
        impl_->folder.string());
  }
  check_own(impl_->folder);
  const Checkpoint saved = read_checkpoint(file);
  const json& state = saved.metadata;
  const auto settings = json::parse(state.at("settings").get<std::string>());
  impl_->keep_length(settings);
  if (const auto what = first_difference(completed(impl_->history.settings), completed(settings)); !what.empty()) {
    throw Error("{}: this run has other settings: {}; resume it with its own, or choose another `out`",
                impl_->folder.string(), what);
  }
  const RateSchedule& schedule = impl_->options.schedule;
  if (schedule.name == "cosine" && impl_->options.epochs > schedule.length) {
    throw Error(
        "{}: `epochs` {}: this run's cosine schedule ends after `lr_epochs` {}, which cannot change; ask for no more, "
        "or choose another `out`",
        impl_->folder.string(), impl_->options.epochs, schedule.length);
  }
  load_into(saved, state_of(*impl_->network), impl_->options.network.architecture, file);
  check_numbers(state_of(*impl_->network), file);
  const auto memory = saved.groups.find("optimizer");
  impl_->loop->restore(state);
  impl_->optimizer->restore(memory == saved.groups.end() ? std::vector<NamedTensor>{} : memory->second,
                            impl_->loop->steps_taken());
  impl_->history.rows = read_history(impl_->folder / kHistory).rows;
  std::erase_if(impl_->history.rows, [&](const HistoryRow& row) { return row.epoch > impl_->loop->epoch(); });
  if (impl_->history.rows.empty()) throw Error("{}: history.h5 has no epoch to resume from", impl_->folder.string());
  if (!lacks_data_digest(impl_->history.settings, settings)) return true;
  write_history(impl_->folder / kHistory, impl_->history);
  impl_->save_resume();
  return false;
}

TrainingSummary TrainingRun::run(const TrainingHooks& hooks) {
  bool finished = true;
  while (impl_->loop->epoch() < impl_->options.epochs && finished) {
    finished = impl_->loop->train_epoch(hooks);
    if (finished) impl_->finish_epoch(hooks);
  }
  if (!finished) {
    impl_->save_resume();
  } else if (!std::filesystem::exists(impl_->checkpoint_path(impl_->loop->epoch()))) {
    impl_->save_checkpoint();  // a longer run was resumed with fewer epochs, or the file was removed
  } else {
    impl_->last_checkpoint = impl_->checkpoint_path(impl_->loop->epoch());
  }
  return {finished, finished ? impl_->last_checkpoint : impl_->folder / kResume, impl_->history.rows.back()};
}

}  // namespace lossatlas
