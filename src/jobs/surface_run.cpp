#include "jobs/surface_run.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

#include "base/error.h"
#include "base/files.h"
#include "base/json.h"
#include "base/lock.h"
#include "base/text.h"
#include "data/data_digest.h"
#include "jobs/axis_run.h"
#include "jobs/batch_note.h"
#include "jobs/eigen_map_run.h"
#include "jobs/left_claims.h"
#include "jobs/level_run.h"
#include "jobs/rank_run.h"
#include "jobs/summary_text.h"
#include "landscape/sweep.h"
#include "storage/hdf5.h"
#include "surface/journal.h"
#include "surface/resume.h"
#include "surface/shard.h"
#include "surface/surface_file.h"

namespace lossatlas {
namespace {

using nlohmann::json;

/// In the provenance while curvature along the axes is to be computed.
constexpr auto kAxesToCome = "axis_curvatures_to_come";

/// Refuses to mix values of other settings with those that are there; arithmetic is let pass where the job says so.
void check_settings(const SurfaceJob& job, Surface& now, const Surface& before, Observer& observer) {
  const auto other = difference(now.settings, before.settings);
  if (lacks_data_digest(now.settings, before.settings) && (!other || other->arithmetic)) {
    observer.on_note("note: " + no_digest_text(job.out));
  }
  if (!other) return;
  const auto what = fmt::format("{}: this surface has other settings: {}", job.out.string(), other->text);
  if (!other->arithmetic) throw Error("{}; resume it with its own, or choose another `out`", what);
  if (!job.force) {
    throw Error("{}; resume it with its own, choose another `out`, or continue anyway with `resume` `force`", what);
  }
  observer.on_note(
      fmt::format("warning: {}; continuing because of `force`, the last bits of old and new points may differ", what));
  now.provenance["other_arithmetic"] = other->text;
}

/// Takes over the points of an earlier run whose coordinates are in the grid.
void take_over(const SurfaceJob& job, Surface& now, const Surface& before, Observer& observer) {
  check_settings(job, now, before, observer);
  if (!adopt(before, now)) {
    throw Error(
        "{}: this surface has other settings: grid was {}, now {}, which does not hold all of the old coordinates; "
        "resume it with its own, or choose another `out`",
        job.out.string(), grid_text(before), grid_text(now));
  }
}

/// What is on disk of the points, and how to continue.
std::string kept_text(const SurfaceJob& job) {
  try {
    if (const auto remains = read_remains(job.out)) {
      return fmt::format("{} are kept in {} and its journal; when that is mended, continue with: {}",
                         points_text(remains->surface), job.out.string(), job.again);
    }
  } catch (const std::exception&) {  // the folder, or the disk, is gone
  }
  return fmt::format("nothing can be read at {} any more; if it comes back, continue with: {}", job.out.string(),
                     job.again);
}

void note_interruption(const SurfaceJob& job, const Surface& surface, Observer& observer) {
  std::string maps;
  if (surface.maps && !surface.maps->is_complete()) {
    const auto& done = surface.maps->done;
    maps = fmt::format(" and eigenvalues of {} of {} rows", std::count(done.begin(), done.end(), 1), done.size());
  }
  observer.on_note(fmt::format("interrupted; {}{} are in {}; continue with: {}", points_text(surface), maps,
                               job.out.string(), job.again));
}

/// Images over which the centre is compared with the checkpoint: all, or about 1,000. Whole batches, so that a pass
/// over all images gives the same bits whether or not it stops there.
std::int64_t checked_images(const Engine& engine) {
  const std::int64_t batch = engine.options().batch_size;
  return engine.images() <= 1000 ? engine.images()
                                 : std::min(engine.images(), batch * std::max<std::int64_t>(1, 1000 / batch));
}

/// Where a damaged journal is put aside: F.damaged, or F.damaged-2 … where that is taken.
std::filesystem::path damaged_name(const std::filesystem::path& journal) {
  const std::string stem = journal.string() + ".damaged";
  std::string name = stem;
  std::error_code code;
  for (int number = 2; std::filesystem::exists(std::filesystem::symlink_status(name, code)); ++number) {
    name = fmt::format("{}-{}", stem, number);
  }
  return name;
}

/// The process that holds the lock: it writes the file.
class OwnerRun {
 public:
  OwnerRun(SurfaceJob& job, Observer& observer)
      : job_(job),
        observer_(observer),
        stop_(observer.should_stop()),
        surface_(job.surface),
        points_of_shard_(points_of_shard(surface_)),
        order_of_engine_(surface_.samples[0].indices) {}

  Outcome run() {
    check_beside(job_.out);
    remove_temporaries(job_.out, kHdf5Begin);
    remove_temporaries(journal_of(job_.out), kJournalMagic);
    remove_claims(claims_of(job_.out));
    go_on();
    if (is_complete_) return already_complete();
    observer_.on_note(job_.introduction);
    if (reused_ > 0 || pilots() > 0) observer_.on_note(going_on_text());
    if (lacks_axis_curvatures(job_)) surface_.provenance[kAxesToCome] = true;
    begin_file();
    try {
      return compute();
    } catch (const UsageError&) {
      throw;
    } catch (const Error& error) {
      throw Error("{}; {}", error.what(), kept_text(job_));
    } catch (const std::exception&) {
      observer_.on_note(kept_text(job_));
      throw;
    }
  }

 private:
  /// Takes over what earlier runs left.
  void go_on() {
    surface_.provenance["resumes"] = 0;
    if (!job_.resume) return;
    const auto remains = read_remains(job_.out);
    if (!remains) return;
    take_over(job_, surface_, remains->surface, observer_);
    surface_.centre_check = remains->surface.centre_check;
    surface_.axis_curvatures = remains->surface.axis_curvatures;
    take_maps(remains->surface);
    if (const Levels* before = remains->surface.levels(); before && !before->pilot.empty()) {
      surface_.levels()->pilot = before->pilot;
      surface_.samples[0].indices = remains->surface.samples[0].indices;
    }
    if (!remains->surface.points.empty()) surface_.points = remains->surface.points;
    if (!remains->surface.trajectory.runs.empty()) surface_.trajectory = remains->surface.trajectory;
    for (const std::string& remark : remains->remarks) observer_.on_note("note: " + remark);
    for (const auto& file : remains->damaged) std::filesystem::rename(file, damaged_name(file));
    reused_ = there();
    const json& before = remains->surface.provenance;
    seconds_before_ = before.value("seconds", 0.0);
    surface_.provenance["seconds"] = seconds_before_;
    surface_.provenance["resumes"] = before.value("resumes", 0) + 1;
    for (const char* key : {"started", "merged_from", "other_arithmetic"}) {
      if (before.contains(key) && (key != std::string("other_arithmetic") || !surface_.provenance.contains(key))) {
        surface_.provenance[key] = before[key];
      }
    }
    is_complete_ = !has_levels() && reused_ == total() && remains->from_journals == 0 &&
                   surface_.size() == remains->surface.size() &&
                   (!lacks_axis_curvatures(job_) || is_left_without_axes(before)) && !lacks_eigen_maps(job_);
    if (is_complete_ && lacks_data_digest(surface_.settings, remains->surface.settings))
      store_digests(remains->surface);
  }

  /// Eigenvalues of the same grid; of others the maps begin again.
  void take_maps(const Surface& before) {
    if (!before.maps || before.size() != surface_.size()) return;
    if (job_.maps &&
        (before.maps->products != job_.maps->products || before.maps->batch_size != job_.maps->batch_size)) {
      throw Error(
          "{}: its eigenvalues were computed with `curvature_products` {}; resume it with that, or choose another "
          "`out`",
          job_.out.string(), before.maps->products);
    }
    surface_.maps = before.maps;
  }

  /// A complete file of an older version stays as it is, unless more is asked for.
  bool is_left_without_axes(const json& provenance) const {
    return surface_.axis_curvatures.empty() && !provenance.contains(kAxesToCome) && job_.axes->step == 0 &&
           !job_.axes->autodiff;
  }

  /// Into a complete file of an older version, which is left as it is otherwise.
  void store_digests(Surface complete) const {
    complete.settings.update(data_digests_of(surface_.settings));
    write_surface(job_.out, complete);
  }

  std::string going_on_text() const {
    if (!has_levels()) return fmt::format("resuming: {} are there", points_text(surface_));
    if (reused_ == 0) return fmt::format("resuming: {} points of the first look are there", pilots());
    const auto begin = surface_.state.begin(), end = begin + static_cast<std::ptrdiff_t>(surface_.grid.size());
    return fmt::format("resuming: {} points are there, on some or all {}s",
                       std::count(begin, end, PointState::evaluated), sample_word(surface_));
  }

  /// The file is there from the first moment, to be opened and plotted.
  void begin_file() {
    try {
      if (has_levels()) {
        write_surface(job_.out, surface_, level_plan(surface_, job_.goal).reconstruct());
      } else {
        write_surface(job_.out, surface_);
      }
    } catch (const Error& error) {
      throw Error("{}; nothing was computed yet, and nothing changed", error.what());
    }
  }

  Outcome already_complete() {
    remove_journals();
    const auto shard = shard_of(surface_.settings);
    observer_.on_note(fmt::format("{}: complete, all {} points{} are there; nothing is left to do", job_.out.string(),
                                  total(), shard ? " of shard " + text_of(*shard) : ""));
    return outcome(true);
  }

  Outcome compute() {
    journal_.emplace(journal_of(job_.out), surface_.settings, surface_.measures());
    if (!has_levels()) evaluate_centre();
    if (job_.mark) job_.mark(surface_, stop_);
    if (has_levels()) {
      LevelRun levels(job_, order_of_engine_, *journal_, observer_);
      const bool finished = levels.run(
          [this] { check_centre_in_levels(); },
          [this](const Engine& engine, std::int64_t cost) { return find_axes(engine, axis_samples(surface_, cost)); });
      computed_ += levels.computed();
      remove_journals();
      return outcome(finished);
    }
    const SweepSummary summary = sweep(job_.planes, job_.engine, surface_, sweep_options());
    save(summary.seconds, summary.images_per_second);
    remove_journals();
    observer_.on_progress_end();
    bool finished = summary.finished && find_axes(job_.engine, job_.engine.images());
    if (finished && has_new_axes_) save(watch_.seconds(), summary.images_per_second);
    if (finished && lacks_eigen_maps(job_)) {
      finished = find_eigen_maps(job_, observer_, [&] { save(watch_.seconds(), summary.images_per_second); });
    }
    note_end(summary, finished);
    return outcome(finished);
  }

  /// The curvature along the axes, if it is not known yet. False if it was stopped.
  bool find_axes(const Engine& engine, std::int64_t samples) {
    if (!lacks_axis_curvatures(job_)) return true;
    has_new_axes_ = find_axis_curvatures(job_, engine, samples, observer_);
    if (has_new_axes_) surface_.provenance.erase(kAxesToCome);
    return has_new_axes_;
  }

  /// The loss at the origin, computed as the sweep computes it, kept where the grid, or the shard, holds that point.
  void evaluate_centre() {
    const auto index = surface_.grid.origin();
    const bool is_there = index && surface_.state[*index] == PointState::evaluated;
    const bool is_checked = !surface_.centre_check.is_null();
    const std::int64_t all = job_.engine.images(), few = checked_images(job_.engine);
    Evaluation centre, part;
    if (is_there && (is_checked || few == all)) {
      centre = part = surface_.at(*index);
    } else if (is_there) {
      centre = surface_.at(*index);
      part = evaluate_origin({few}).front();
    } else {
      const auto found = evaluate_origin({few, all});
      part = found.front();
      centre = found.back();
      if (index && is_own(*index)) add(*index, centre);
    }
    judge(centre, part);
  }

  /// The same once the pilot is there, which holds the centre where the grid does.
  void check_centre_in_levels() {
    const auto index = surface_.grid.origin();
    const std::int64_t all = job_.engine.images(), few = checked_images(job_.engine);
    if (index) {
      const Evaluation centre = surface_.at(surface_.index_in(surface_.members() - 1, *index));
      judge(centre, surface_.centre_check.is_null() ? evaluate_origin({few}).front() : centre);
    } else {
      const auto found = evaluate_origin({few, all});
      judge(found.back(), found.front());
    }
  }

  /// `part`: the centre on as many images as are worth a comparison with the checkpoint.
  void judge(const Evaluation& centre, const Evaluation& part) {
    job_.judge_centre(centre);
    if (surface_.centre_check.is_null()) surface_.centre_check = compare_centre(part);
    report_centre_check();
  }

  /// What this run is to hold: all points, or those of the shard.
  std::size_t total() const { return points_of_shard_.empty() ? surface_.size() : points_of_shard_.size(); }
  bool is_own(std::size_t point) const {
    return points_of_shard_.empty() ||
           std::find(points_of_shard_.begin(), points_of_shard_.end(), point) != points_of_shard_.end();
  }
  /// Those of them that are there.
  std::size_t there() const {
    const auto is_there = [&](std::size_t point) { return surface_.state[point] == PointState::evaluated; };
    if (points_of_shard_.empty()) return surface_.evaluated();
    return static_cast<std::size_t>(std::count_if(points_of_shard_.begin(), points_of_shard_.end(), is_there));
  }

  bool has_levels() const { return surface_.levels() != nullptr; }
  std::size_t pilots() const { return has_levels() ? surface_.levels()->pilot.size() : 0; }

  /// At the origin, over the first sizes[0], sizes[1], … images.
  std::vector<Evaluation> evaluate_origin(const std::vector<std::int64_t>& sizes) const {
    const int threads = at::get_num_threads();
    at::set_num_threads(1);
    NetworkState point = copy_state(job_.planes.origin(), job_.engine.device());
    const auto plane = job_.planes.at(0);
    place(*plane, std::vector<double>(plane->directions.size()), point);
    auto found = job_.engine.make_evaluator()->evaluate(point, sizes);
    at::set_num_threads(threads);
    return found;
  }

  /// Loss and accuracy at the origin beside those of the checkpoint as it was read. Rounding may turn a few images that
  /// lie between two classes.
  json compare_centre(const Evaluation& centre) const {
    const int threads = at::get_num_threads();
    at::set_num_threads(job_.threads);
    const Evaluation expected = job_.evaluate_checkpoint(centre.images);
    release_free_memory();  // LibTorch's operators leave more behind than an evaluator takes
    at::set_num_threads(threads);
    const bool is_rough = job_.engine.options().precision == Precision::bf16;
    const double tolerance = is_rough ? 1e-2 : 1e-4;
    const double points = (is_rough ? 2 : 0.2) + 100.0 / static_cast<double>(centre.images);  // of accuracy
    const bool same_loss =
        std::abs(centre.loss - expected.loss) <= tolerance * std::max(std::abs(expected.loss), 0.1) ||
        (!std::isfinite(centre.loss) && !std::isfinite(expected.loss));
    const bool has_accuracy = !std::isnan(expected.accuracy);
    const bool equal = same_loss && (!has_accuracy || std::abs(centre.accuracy - expected.accuracy) <= points);
    json check{{"images", centre.images}, {"surface", centre.loss}, {"checkpoint", expected.loss}};
    if (has_accuracy) {
      check["surface_accuracy"] = centre.accuracy;
      check["checkpoint_accuracy"] = expected.accuracy;
    }
    check["equal"] = equal;
    return check;
  }

  /// One line where the two differ; where batch norm has other statistics they are meant to.
  void report_centre_check() const {
    const std::string text = centre_check_text(surface_);
    if (text.empty() || surface_.centre_check.at("equal") == true) return;
    if (job_.engine.samples().recalibration) {
      observer_.on_note(
          fmt::format("note: {}: with batch-norm statistics estimated again they are meant to differ", text));
    } else {
      observer_.on_note(fmt::format("warning: {}: the surface is not that of this checkpoint{}", text,
                                    job_.engine.is_fused() ? "; try `engine` eager" : ""));
    }
  }

  void add(std::size_t index, const Evaluation& evaluation) {
    journal_->add(index, evaluation);
    surface_.set(index, evaluation);
    ++computed_;
  }

  SweepOptions sweep_options() {
    SweepOptions options;
    options.threads = job_.threads;
    options.stop = &stop_;
    options.part = points_of_shard_;
    options.ranks = job_.ranks;
    options.on_stop = [this] { observer_.on_note(stopping_text(job_)); };
    options.on_note = [this](const std::string& text) { observer_.on_note(text); };
    options.on_evaluated = [this](std::size_t index, const Evaluation& evaluation) {
      journal_->add(index, evaluation);
      ++computed_;
      observer_.on_point(job_.out, index, evaluation);
    };
    options.on_point = [this](const SweepProgress& now) {
      images_per_second_ = now.images_per_second;
      batch_note_.look();
      observer_.on_progress(now, job_.out);
    };
    options.on_save = [this] { save(watch_.seconds(), images_per_second_); };
    return options;
  }

  void save(double seconds, double images_per_second) {
    surface_.provenance["seconds"] = seconds_before_ + seconds;
    surface_.provenance["images_per_second"] = images_per_second;
    surface_.provenance["computed"] = computed_;
    write_surface(job_.out, surface_);
  }

  /// Once the file holds their points. Those of the processes of earlier versions stay until it is complete.
  void remove_journals() {
    const bool complete = surface_.missing() == 0;
    for (const auto& file : journals_of(job_.out)) {
      std::error_code ignored;
      if (complete || file == journal_of(job_.out)) std::filesystem::remove(file, ignored);
    }
  }

  void note_end(const SweepSummary& summary, bool finished) {
    report_values(surface_, observer_);
    const std::string pace = computed_ > 0 ? fmt::format(" in {}, {:.0f} {}s/s", duration_text(summary.seconds),
                                                         summary.images_per_second, sample_word(surface_))
                                           : std::string();
    observer_.on_note(points_text(surface_) + pace);
    if (!finished) note_interruption(job_, surface_, observer_);
  }

  Outcome outcome(bool finished) const {
    return {.files = {job_.out},
            .finished = finished,
            .points = total(),
            .evaluated = there(),
            .computed = computed_,
            .centre_check = surface_.centre_check};
  }

  SurfaceJob& job_;
  Observer& observer_;
  const std::atomic<bool>& stop_;
  Surface& surface_;
  const std::vector<std::size_t> points_of_shard_;   // empty: all are computed
  const std::vector<std::int64_t> order_of_engine_;  // of the samples, which a surface in levels balances
  std::optional<Journal> journal_;
  std::size_t reused_ = 0, computed_ = 0;
  bool is_complete_ = false, has_new_axes_ = false;
  BatchNote batch_note_{job_.engine, observer_};
  double seconds_before_ = 0, images_per_second_ = 0;
  Stopwatch watch_;
};

}  // namespace

Outcome run_surface(SurfaceJob job, Observer& observer) {
  observer.should_stop();  // from here on an interrupt is not to leave a lock behind
  // As the file stores them, so that they can be compared.
  job.surface.settings = json::parse(json_text(job.surface.settings));
  if (job.ranks) compare_ranks(job);
  if (!leads(job.ranks)) return serve_surface(job, observer);
  try {
    const FileLock lock(lock_of(job.out));
    const Outcome outcome = OwnerRun(job, observer).run();
    if (job.ranks) end_surface(*job.ranks, outcome.finished);
    return outcome;
  } catch (const HeldError& held) {
    throw Error("{}", busy_text(job.out, held.holder()));
  }
}

std::string stopping_text(const SurfaceJob& job) {
  return fmt::format(
      "stopping after the points under way; what is finished is in {0} and its journal; continue with: {1}",
      job.out.string(), job.again);
}

std::filesystem::path lock_of(const std::filesystem::path& surface) {
  auto file = surface;
  return file += ".lock";
}

void check_beside(const std::filesystem::path& surface) {
  check_journal(journal_of(surface));
  check_claims(claims_of(surface));
}

std::string busy_text(const std::filesystem::path& surface, const ProcessName& holder) {
  const auto advice =
      life_of(holder) == Life::alive
          ? "wait until it ends"
          : fmt::format("wait until it ends, or delete {} if that process is gone", lock_of(surface).string());
  return fmt::format("{}: process {} on {} has been writing it since {}; {}", surface.string(), holder.pid, holder.host,
                     holder.since, advice);
}

}  // namespace lossatlas
