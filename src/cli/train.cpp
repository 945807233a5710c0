#include <cmath>
#include <filesystem>
#include <memory>

#include "base/error.h"
#include "base/files.h"
#include "base/lock.h"
#include "base/processors.h"
#include "cli/command.h"
#include "cli/inputs.h"
#include "cli/interrupt.h"
#include "cli/message.h"
#include "cli/optimizer_words.h"
#include "cli/progress.h"
#include "cli/report.h"
#include "cli/schedule_words.h"
#include "cli/words.h"
#include "data/data_digest.h"
#include "evaluation/device.h"
#include "models/registry.h"
#include "training/training.h"

namespace lossatlas {
namespace {

struct TrainWords {
  NetworkWords network;
  DataWords data;
  TrainingOptions options;
  std::filesystem::path out = "outputs/run";
  std::string device = "cpu";
  bool resume = false;
  bool force = false;
  OptimizerWords optimizer;
  ScheduleWords schedule;
  std::int64_t learning_rate_epochs = 0;  // 0: not given
  double weight_decay = 5e-4;
  CLI::Option *learning_rate = nullptr, *weight_decay_option = nullptr;
};

constexpr auto kLock = "train.lock";  // in the run folder

constexpr double kMomentum = 0.9;  // of sgd, as Li et al. train

double usual_rate(const std::string& optimizer) {
  if (optimizer == "adagrad") return 0.01;
  return optimizer == "rmsprop" || optimizer == "adam" || optimizer == "adamw" ? 0.001 : 0.1;
}

void add_options(CLI::App& command, TrainWords& words) {
  command.option_defaults()->group("The network");
  words.network.add_to(command, true);
  words.data.add_to(command);
  auto& o = words.options;
  command.option_defaults()->group("The optimizer");
  command.add_option("--optimizer", o.optimizer.name, fmt::format("{}", fmt::join(optimizer_names(), ", ")))
      ->capture_default_str();
  words.learning_rate =
      command
          .add_option("--lr", o.learning_rate, "learning rate (default: 0.1; adagrad 0.01; rmsprop, adam, adamw 0.001)")
          ->check(above_zero());
  words.schedule.add_to(command, "epochs");
  command
      .add_option("--lr-epochs", words.learning_rate_epochs,
                  "cosine: epochs until the rate is 0, which --resume cannot change (default: --epochs)")
      ->transform(whole_number(1, 1'000'000));
  words.optimizer.add_to(command);
  words.weight_decay_option = command.add_option(
      "--weight-decay", words.weight_decay, "λ in g ← g + λθ, of adamw in θ ← θ - ελθ (default: 0.0005; adamw 0.01)");
  command.option_defaults()->group("Training");
  command.add_option("--batch-size", o.batch_size, "images a step")
      ->transform(whole_number(1, 1'000'000))
      ->capture_default_str();
  o.epochs = 10;
  command.add_option("--epochs", o.epochs, "times through the data")
      ->transform(whole_number(0, 1'000'000))
      ->capture_default_str();
  command.add_option("--seed", o.seed, "decides initialization, order and augmentation")
      ->transform(whole_number())
      ->capture_default_str();
  command.add_option("--save-every", o.save_every, "epochs from one checkpoint to the next")
      ->transform(whole_number(1, 1'000'000))
      ->capture_default_str();
  command.add_flag("--augment", o.augment, "random shifts and flips");
  command.option_defaults()->group("Speed");
  command.add_option("--device", words.device, "cpu, cuda or cuda:N")->capture_default_str();
  o.threads = usable_processors();
  command.add_option("--threads", o.threads, "threads; with 1 a run gives the same bits each time (default: all)")
      ->transform(whole_number(1, 1024));
  command.option_defaults()->group("Output");
  command.add_option("--out", words.out, "run folder")->capture_default_str();
  command.add_flag("--resume", words.resume, "go on with the run in --out");
  command.add_flag("--force", words.force, "replace the run in --out");
}

/// Refuses a run longer than its schedule, and a warm-up that is not shorter.
void check_schedule(const TrainingOptions& options) {
  const RateSchedule& schedule = options.schedule;
  if (schedule.name == "cosine" && schedule.length == 0 && options.epochs == 0) {
    throw UsageError("--lr-schedule cosine: with --epochs 0, --lr-epochs is required");
  }
  if (schedule.length > 0 && options.epochs > schedule.length) {
    throw UsageError("--epochs {}: the cosine schedule ends after --lr-epochs {}; ask for no more epochs",
                     options.epochs, schedule.length);
  }
  if (schedule.length > 0) {
    check_warmup(schedule, "--lr-epochs", schedule.length);
  } else {
    check_warmup(schedule, "--epochs", options.epochs);
  }
}

/// Fills in what depends on other words, and refuses what does not go together.
void complete(TrainWords& words) {
  auto& o = words.options;
  o.schedule = words.schedule.schedule();
  o.schedule.length = words.learning_rate_epochs;
  if (o.schedule.length > 0 && o.schedule.name != "cosine") {
    throw UsageError("--lr-epochs belongs to --lr-schedule cosine");
  }
  if (!words.resume || o.schedule.length > 0) check_schedule(o);  // else the run to resume decides
  o.optimizer = words.optimizer.options(o.optimizer.name, kMomentum);
  words.optimizer.refuse_unread({o.optimizer.name});
  const bool has_own_decay = o.optimizer.name == "adamw" && words.weight_decay_option->count() == 0;
  if (!has_own_decay) o.optimizer.weight_decay = words.weight_decay;
  check(o.optimizer);
  if (words.learning_rate->count() == 0) o.learning_rate = usual_rate(o.optimizer.name);
  if (words.resume && words.force) throw UsageError("--resume goes on with a run, --force replaces it: choose one");
}

TrainingHooks hooks_for(ProgressLine& line) {
  TrainingHooks hooks;
  hooks.stop = &catch_interrupts();
  hooks.on_step = [&line](const TrainingProgress& now) { line.update(progress_text(now)); };
  hooks.on_epoch = [&line](const HistoryRow& row) {
    line.clear();
    print_message(
        fmt::format("epoch {}: train loss {:.4f}, accuracy {:.2f} %; test loss {:.4f}, accuracy {:.2f} % ({})",
                    row.epoch, row.train_loss, row.train_acc, row.test_loss, row.test_acc, duration_text(row.seconds)));
  };
  return hooks;
}

/// Throws Error where --out is another process's, holds a run that is to be kept, or none to go on with.
void check_folder(const TrainWords& words) {
  const std::string out = words.out.string();
  if (!words.resume && !words.force && TrainingRun::exists(words.out)) {
    throw Error("{}: holds a run; go on with it by --resume, replace it by --force, or choose another --out", out);
  }
  if (words.resume && !TrainingRun::exists(words.out)) {
    throw Error("{}: no run here to go on with; leave out --resume", out);
  }
}

std::string busy_text(const std::filesystem::path& out, const std::filesystem::path& lock, const ProcessName& holder) {
  const auto advice = life_of(holder) == Life::alive ? std::string("wait for it")
                                                     : fmt::format("delete {} if that process is gone", lock.string());
  return fmt::format("{}: process {} on {} works on it since {}; {}, or choose another --out", out.string(), holder.pid,
                     holder.host, holder.since, advice);
}

/// One process writes a run folder.
FileLock lock_folder(const std::filesystem::path& out) {
  make_folder(out);
  const auto lock = out / kLock;
  try {
    return FileLock(lock);
  } catch (const HeldError& held) {
    throw Error("{}", busy_text(out, lock, held.holder()));
  }
}

int train(TrainWords& words) {
  complete(words);
  if (const auto holder = FileLock::holder(words.out / kLock))
    throw Error("{}", busy_text(words.out, words.out / kLock, *holder));
  check_folder(words);
  const auto device = open_device(words.device);
  const auto train_data = std::make_shared<const DataSet>(words.data.load(Split::train));
  const auto test_data = std::make_shared<const DataSet>(words.data.load(Split::test));
  words.options.network = words.network.spec(*train_data);
  TrainingRun run(words.options, train_data, test_data, device, words.out);
  const FileLock lock = lock_folder(words.out);
  check_folder(words);  // again: another process may have come and gone
  const bool goes_on = words.resume && !TrainingRun::has_only_begun(words.out);
  if (words.resume && !goes_on) {
    print_message(fmt::format("note: {}: no epoch had finished; starting over", words.out.string()));
    check_schedule(words.options);
  }
  if (!goes_on) {
    run.start();
  } else if (!run.resume()) {
    print_message("note: " + no_digest_text(words.out));
  }
  print_message(fmt::format("{} on {}: {} training and {} test images, {} epoch{} into {}", words.network.arch,
                            words.data.data, train_data->size(), test_data->size(), words.options.epochs,
                            words.options.epochs == 1 ? "" : "s", words.out.string()));
  ProgressLine line;
  const TrainingHooks hooks = hooks_for(line);
  const TrainingSummary summary = run.run(hooks);
  line.clear();
  fmt::print("{}\n", summary.checkpoint.string());
  if (summary.finished) return kDone;
  print_message("interrupted; the same command with --resume goes on");
  return kInterrupted;
}

}  // namespace

void add_train(CLI::App& app, CommandContext& context) {
  auto* command = app.add_subcommand("train", "Train a network; keep its checkpoints and history");
  const auto words = std::make_shared<TrainWords>();
  add_options(*command, *words);
  command->callback([words, &context] { context.status = train(*words); });
}

}  // namespace lossatlas
