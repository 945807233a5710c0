#include <cmath>
#include <memory>

#include "base/error.h"
#include "base/files.h"
#include "base/lock.h"
#include "base/text.h"
#include "data/data_digest.h"
#include "evaluation/device.h"
#include "jobs/inputs.h"
#include "jobs/jobs.h"
#include "training/training.h"

namespace lossatlas {
namespace {

constexpr auto kLock = "train.lock";  // in the run folder

/// Refuses a run longer than its schedule, and a warm-up that is not shorter.
void check_schedule(const TrainRequest& request) {
  const RateSchedule& schedule = request.schedule;
  if (schedule.name == "cosine" && schedule.length == 0 && request.epochs == 0) {
    throw UsageError("`lr_schedule` cosine: with `epochs` 0, `lr_epochs` is required");
  }
  if (schedule.length > 0 && request.epochs > schedule.length) {
    throw UsageError("`epochs` {}: the cosine schedule ends after `lr_epochs` {}; ask for no more epochs",
                     request.epochs, schedule.length);
  }
  if (schedule.length > 0) {
    check_warmup(schedule, "`lr_epochs`", schedule.length);
  } else {
    check_warmup(schedule, "`epochs`", request.epochs);
  }
}

/// Throws Error if --out is another process's, holds a run that is to be kept, or none to continue.
void check_folder(const TrainRequest& request) {
  const std::string out = request.out.string();
  if (!request.resume && !request.force && TrainingRun::exists(request.out)) {
    throw Error("{}: holds a run; continue it with `resume`, replace it with `force`, or choose another `out`", out);
  }
  if (request.resume && !TrainingRun::exists(request.out)) {
    throw Error("{}: no run here to continue; leave out `resume`", out);
  }
}

std::string busy_text(const std::filesystem::path& out, const std::filesystem::path& lock, const ProcessName& holder) {
  const auto advice = life_of(holder) == Life::alive ? std::string("wait for it")
                                                     : fmt::format("delete {} if that process is gone", lock.string());
  return fmt::format("{}: process {} on {} has been writing it since {}; {}, or choose another `out`", out.string(),
                     holder.pid, holder.host, holder.since, advice);
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

TrainingHooks hooks_for(Observer& observer) {
  TrainingHooks hooks;
  hooks.stop = &observer.should_stop();
  hooks.on_step = [&observer](const TrainingProgress& now) { observer.on_progress(now); };
  hooks.on_epoch = [&observer](const HistoryRow& row) {
    const std::string test = std::isnan(row.test_loss)
                                 ? std::string()
                                 : fmt::format("; test loss {:.4f}, accuracy {:.2f} %", row.test_loss, row.test_acc);
    observer.on_note(fmt::format("epoch {}: train loss {:.4f}, accuracy {:.2f} %{} ({})", row.epoch, row.train_loss,
                                 row.train_acc, test, duration_text(row.seconds)));
  };
  return hooks;
}

TrainingOptions options_of(const TrainRequest& request, const DataSet& train) {
  return {.network = spec_of(request.network, train),
          .optimizer = request.optimizer,
          .learning_rate = request.learning_rate,
          .schedule = request.schedule,
          .batch_size = request.batch_size,
          .epochs = request.epochs,
          .seed = request.seed,
          .augment = request.augment,
          .save_every = request.save_every,
          .threads = request.threads};
}

Outcome run(const TrainRequest& request, Observer& observer) {
  const auto device = open_device(request.device);
  const auto train_data = std::make_shared<const DataSet>(load(request.data, Split::train, observer));
  std::shared_ptr<const DataSet> test_data;
  if (has_test_split(spec_of(request.data))) {
    test_data = std::make_shared<const DataSet>(load(request.data, Split::test, observer));
  } else {
    observer.on_note(fmt::format("note: {} has no test split, so no test loss is measured; `test_data` names one",
                                 request.data.data));
  }
  TrainingRun run(options_of(request, *train_data), train_data, test_data, device, request.out);
  const FileLock lock = lock_folder(request.out);
  check_folder(request);  // again: another process may have come and gone
  const bool goes_on = request.resume && !TrainingRun::has_only_begun(request.out);
  if (request.resume && !goes_on) {
    observer.on_note(fmt::format("note: {}: no epoch had finished; starting over", request.out.string()));
    check_schedule(request);
  }
  if (!goes_on) {
    run.start();
  } else if (!run.resume()) {
    observer.on_note("note: " + no_digest_text(request.out));
  }
  const std::string test_images = test_data ? fmt::format(" and {} test", test_data->size()) : "";
  observer.on_note(fmt::format("{} on {}: {} training{} images, {} epoch{} into {}", request.network.arch,
                               request.data.data, train_data->size(), test_images, request.epochs,
                               request.epochs == 1 ? "" : "s", request.out.string()));
  const TrainingSummary summary = run.run(hooks_for(observer));
  observer.on_progress_end();
  return {.files = {summary.checkpoint}, .finished = summary.finished};
}

}  // namespace

Job prepare(TrainRequest request) {
  if (!request.resume || request.schedule.length > 0) check_schedule(request);  // else the run to resume decides
  check(request.optimizer);
  if (request.resume && request.force) {
    throw UsageError("`resume` continues a run, `force` replaces it: choose one");
  }
  if (const auto holder = FileLock::holder(request.out / kLock)) {
    throw Error("{}", busy_text(request.out, request.out / kLock, *holder));
  }
  check_folder(request);
  return [request = std::move(request)](Observer& observer) { return run(request, observer); };
}

}  // namespace lossatlas
