#include <memory>

#include "base/error.h"
#include "cli/command.h"
#include "cli/inputs.h"
#include "cli/message.h"
#include "cli/optimizer_words.h"
#include "cli/run_job.h"
#include "cli/schedule_words.h"
#include "jobs/jobs.h"

namespace lossatlas {
namespace {

struct TrainWords {
  TrainRequest request;
  OptimizerWords optimizer;
  ScheduleWords schedule;
  std::int64_t learning_rate_epochs = 0;  // 0: not given
  double weight_decay = 5e-4;
  CLI::Option *learning_rate = nullptr, *weight_decay_option = nullptr;
};

constexpr double kMomentum = 0.9;  // of sgd, as Li et al. train

double usual_rate(const std::string& optimizer) {
  if (optimizer == "adagrad") return 0.01;
  return optimizer == "rmsprop" || optimizer == "adam" || optimizer == "adamw" ? 0.001 : 0.1;
}

void add_options(CLI::App& command, TrainWords& words) {
  command.option_defaults()->group("The network");
  auto& o = words.request;
  add_network(command, o.network, true);
  add_data(command, o.data, true);
  command.option_defaults()->group("The optimizer");
  command.add_option("--optimizer", o.optimizer.name, fmt::format("one of {}", fmt::join(optimizer_names(), ", ")))
      ->capture_default_str();
  words.learning_rate =
      command
          .add_option("--lr", o.learning_rate, "learning rate (default: 0.1; adagrad 0.01; rmsprop, adam, adamw 0.001)")
          ->check(above_zero());
  words.schedule.add_to(command, "epochs");
  command
      .add_option("--lr-epochs", words.learning_rate_epochs,
                  "cosine: the epoch at whose end the rate is 0 (default: --epochs)")
      ->transform(whole_number(1, 1'000'000));
  words.optimizer.add_to(command);
  words.weight_decay_option = command.add_option(
      "--weight-decay", words.weight_decay,
      "λ: adds λθ to the gradient; adamw subtracts ελθ from θ instead (default: 0.0005; adamw 0.01)");
  command.option_defaults()->group("Training");
  command.add_option("--batch-size", o.batch_size, "images per step")
      ->transform(whole_number(1, 1'000'000))
      ->capture_default_str();
  command.add_option("--epochs", o.epochs, "passes over the data")
      ->transform(whole_number(0, 1'000'000))
      ->capture_default_str();
  command.add_option("--seed", o.seed, "decides initialization, order and augmentation")
      ->transform(whole_number())
      ->capture_default_str();
  command.add_option("--save-every", o.save_every, "epochs from one checkpoint to the next")
      ->transform(whole_number(1, 1'000'000))
      ->capture_default_str();
  command.add_flag("--augment", o.augment, "shift images by up to 4 pixels at random, and flip them");
  command.option_defaults()->group("Speed");
  command.add_option("--device", o.device, "cpu, cuda or cuda:N")->capture_default_str();
  command.add_option("--threads", o.threads, "threads (default: all processors)")->transform(whole_number(1, 1024));
  command.option_defaults()->group("Output");
  command.add_option("--out", o.out, "the run folder")->type_name("DIR")->capture_default_str();
  command.add_flag("--resume", o.resume, "continue the run in --out");
  command.add_flag("--force", o.force, "replace the run in --out");
}

/// Fills in what depends on other options, and refuses what does not go together.
TrainRequest request_of(const TrainWords& words) {
  TrainRequest request = words.request;
  request.schedule = words.schedule.schedule();
  request.schedule.length = words.learning_rate_epochs;
  if (request.schedule.length > 0 && request.schedule.name != "cosine") {
    throw UsageError("--lr-epochs belongs to --lr-schedule cosine");
  }
  const std::string& name = request.optimizer.name;
  request.optimizer = words.optimizer.options(name, kMomentum);
  words.optimizer.refuse_unread({name});
  const bool has_own_decay = name == "adamw" && words.weight_decay_option->count() == 0;
  if (!has_own_decay) request.optimizer.weight_decay = words.weight_decay;
  if (words.learning_rate->count() == 0) request.learning_rate = usual_rate(name);
  return request;
}

}  // namespace

void add_train(CLI::App& app, CommandContext& context) {
  auto* command = app.add_subcommand("train", "Train a network; keep its checkpoints and history");
  const auto words = std::make_shared<TrainWords>();
  add_options(*command, *words);
  command->callback([words, &context] {
    context.status = run_job(prepare(request_of(*words)), ProgressStyle::line, {});
    if (context.status == kInterrupted) print_message("interrupted; continue with the same command and --resume");
  });
}

}  // namespace lossatlas
