#include "jobs/curvature_run.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/files.h"
#include "base/json.h"
#include "base/lock.h"
#include "base/process.h"
#include "base/stopwatch.h"
#include "base/text.h"
#include "curvature/curvature_progress.h"
#include "curvature/product_journal.h"
#include "jobs/curvature_text.h"
#include "jobs/second_derivatives.h"
#include "jobs/surface_run.h"
#include "storage/hdf5.h"
#include "surface/resume.h"
#include "surface/settings.h"

namespace lossatlas {
namespace {

using nlohmann::json;

constexpr std::size_t kTogether = 4;  // probes whose products are made in one pass over the samples

std::size_t probes_together(std::size_t size, std::size_t steps) {
  constexpr double kMost = 2e9;  // bytes
  const double each = static_cast<double>(size) * static_cast<double>(steps + 3) * sizeof(float);
  return std::clamp<std::size_t>(static_cast<std::size_t>(kMost / each), 1, kTogether);
}

class CurvatureRun {
 public:
  CurvatureRun(CurvatureJob& job, Observer& observer)
      : job_(job),
        observer_(observer),
        record_(job.record),
        products_(job.make_products([this] { on_batch(); })),
        matrix_{products_.size(), [this](auto in, auto out) { multiply(in, out); }} {}

  Outcome run() {
    remove_temporaries(job_.out, kHdf5Begin);
    remove_temporaries(products_of(job_.out), kProductsMagic);
    if (go_on()) return already_complete();
    observer_.on_note(job_.introduction);
    try {
      compute();
    } catch (const ProductsStopped&) {
      observer_.on_progress_end();
      save();
      observer_.on_note(fmt::format("interrupted; {} products are kept in {} and its journal; continue with: {}",
                                    kept(), job_.out.string(), job_.again));
      return outcome(false);
    } catch (const UsageError&) {
      throw;
    } catch (const Error& error) {
      observer_.on_progress_end();
      throw Error("{}; {} products are kept in {} and its journal", error.what(), kept(), job_.out.string());
    }
    return outcome(true);
  }

 private:
  /// Takes over what an earlier run left. True if nothing is left to do.
  bool go_on() {
    record_.provenance["resumes"] = 0;
    if (!job_.resume || !std::filesystem::exists(job_.out)) return false;
    CurvatureRecord before = read_curvature(job_.out);
    check_settings(before);
    json provenance = before.provenance;
    provenance["resumes"] = provenance.value("resumes", 0) + 1;
    seconds_before_ = provenance.value("seconds", 0.0);
    record_ = std::move(before);
    record_.provenance = provenance;
    is_resumed_ = true;
    return record_.is_finished;
  }

  void check_settings(const CurvatureRecord& before) const {
    const auto batch_size = [](const CurvatureRecord& of) {
      return stored(of.settings, key_of(&Settings::batch_size));
    };
    if (batch_size(before) != batch_size(record_)) {  // numbers of single batches are kept
      throw Error("{}: was begun with `batch_size` {}; resume it with that, or choose another `out`", job_.out.string(),
                  json_text(batch_size(before)));
    }
    const auto other = difference(record_.settings, before.settings);
    if (!other) return;
    const auto what = fmt::format("{}: this file has other settings: {}", job_.out.string(), other->text);
    if (!other->arithmetic) throw Error("{}; resume it with its own, or choose another `out`", what);
    if (!job_.force) {
      throw Error("{}; resume it with its own, choose another `out`, or continue anyway with `resume` `force`", what);
    }
    observer_.on_note(fmt::format("warning: {}; continuing because of `force`", what));
  }

  Outcome already_complete() {
    observer_.on_note(fmt::format("{}: complete; nothing is left to do", job_.out.string()));
    job_.save_vectors(record_.pairs);
    return outcome(true);
  }

  void compute() {
    save();
    find_slope();
    if (!record_.has_pairs) find_pairs();
    while (record_.trace.probes.size() < job_.trace_probes) add_trace_probes();
    while (record_.density.probes() < job_.density_probes) add_density_probes();
    if (record_.scale_trace.probes.empty()) {
      const auto found = job_.find_scale_trace();
      if (!found) throw ProductsStopped();
      record_.scale_trace = *found;
    }
    job_.save_vectors(record_.pairs);
    record_.is_finished = true;
    save();
    journal_.reset();
    std::error_code ignored;
    std::filesystem::remove(products_of(job_.out), ignored);
    observer_.on_progress_end();
    for (const std::string& line : curvature_lines(record_)) observer_.on_note(line);
    observer_.on_note(
        fmt::format("{} products in {}, {:.0f} {}s/s", made_, duration_text(watch_.seconds()), rate(), job_.sample));
  }

  void find_slope() {
    begin_stage("gradient", 1);
    const auto slope = products_.slope();
    if (!slope) throw ProductsStopped();
    const Sum& loss = slope->sums[0];
    if (!std::isfinite(loss.mean())) {
      throw Error("the loss at this point is {}: it has no curvature",
                  std::isnan(loss.mean()) ? "not a number" : "infinite");
    }
    for (const auto& [name, first, count] : products_.parts()) {
      if (std::isfinite(norm(std::span(slope->gradient).subspan(first, count)))) continue;
      throw Error("the gradient of the loss is not finite in {}: the loss has no curvature at this point", name);
    }
    record_.loss = loss.mean();
    record_.loss_error = loss.standard_error(static_cast<double>(record_.population));
    record_.gradient_norm = norm(slope->gradient);
    const auto& measures = products_.measures();
    for (std::size_t m = 0; m < measures.size(); ++m) {
      if (measures[m].name == "accuracy") record_.accuracy = 100 * slope->sums[m].mean();
    }
    record_.batch_weights = products_.batch_weights();
  }

  void find_pairs() {
    begin_stage("eigenvalues", 0);
    LanczosResult found{.pairs = {}, .has_converged = true};
    std::vector<Vector> images;
    if (job_.lanczos.largest + job_.lanczos.smallest > 0) {
      found = lanczos(matrix_, job_.lanczos, [this](const LanczosProgress& now) { lanczos_ = now; });
      images = measure(matrix_, found.pairs);
      record_.pair_forms = forms_;
    }
    record_.has_pairs = true;
    record_.pairs = std::move(found.pairs);
    record_.has_converged = found.has_converged;
    record_.largest = std::min(job_.lanczos.largest, record_.pairs.size());
    if (job_.trace_probes > 0) {
      record_.trace = begin_trace(record_.pairs.vectors, images, record_.places, job_.has_diagonal);
    }
    end_stage();
  }

  void add_trace_probes() {
    begin_stage("trace", job_.trace_probes, record_.trace.probes.size());
    const std::size_t count =
        std::min(probes_together(matrix_.size, 0), job_.trace_probes - record_.trace.probes.size());
    add_probes(matrix_, record_.pairs.vectors, count, job_.trace_probes, job_.seed, record_.trace);
    record_.trace_forms.insert(record_.trace_forms.end(), forms_.begin(), forms_.end());
    end_stage();
  }

  void add_density_probes() {
    record_.density.steps = std::min(job_.density_steps, matrix_.size);
    const std::size_t done = record_.density.probes(), steps = record_.density.steps;
    begin_stage("density", job_.density_probes * steps, done * steps);
    const std::size_t count = std::min(probes_together(matrix_.size, steps), job_.density_probes - done);
    add_probes(matrix_, count, job_.seed, record_.density);
    end_stage();
  }

  /// `planned`: products of the stage, of which `done` are there; 0: nobody knows.
  void begin_stage(std::string_view stage, std::size_t planned, std::size_t done = 0) {
    stage_ = stage;
    planned_ = planned;
    stage_done_ = done;
    stage_products_ = 0;
    lanczos_ = {.largest = std::numeric_limits<double>::quiet_NaN()};
    if (stage == "gradient") return;
    const json head{{"settings", record_.settings}, {"stage", stage}, {"done", done}};
    journal_.emplace(products_of(job_.out), head, matrix_.size, products_.batches());
    if (std::exchange(is_resumed_, false)) {
      observer_.on_note(fmt::format("resuming: {} products are there", record_.products + journal_->left()));
    }
  }

  /// From the journal as far as it goes, then all at once.
  void multiply(std::span<const Vector> in, std::span<Vector> out) {
    forms_.assign(in.size(), {});
    std::size_t known = 0;
    for (; known < in.size(); ++known) {
      auto product = journal_->next(in[known]);
      if (!product) break;
      out[known] = std::move(product->image);
      forms_[known] = std::move(product->forms);
    }
    vectors_ = in.size() - known;
    if (vectors_ > 0) {
      const auto forms = std::span(forms_).subspan(known);
      if (!products_.multiply(in.subspan(known), out.subspan(known), forms)) throw ProductsStopped();
      for (std::size_t k = known; k < in.size(); ++k) journal_->add(in[k], {out[k], forms_[k]});
    }
    made_ += vectors_;
    stage_products_ += in.size();
    batches_done_ = 0;
  }

  void on_batch() {
    ++batches_done_;
    const double share = static_cast<double>(batches_done_) / static_cast<double>(products_.own_batches());
    share_done_ = share * static_cast<double>(vectors_);
    observer_.on_progress(CurvatureProgress{.stage = stage_,
                                            .done = static_cast<double>(stage_done_ + stage_products_) + share_done_,
                                            .planned = planned_,
                                            .converged = lanczos_.converged,
                                            .wanted = job_.lanczos.largest + job_.lanczos.smallest,
                                            .largest = lanczos_.largest,
                                            .images_per_second = rate(share_done_),
                                            .sample = job_.sample});
  }

  /// Samples times vectors a second.
  double rate(double begun = 0) const {
    return (static_cast<double>(made_) + begun) * static_cast<double>(products_.samples().size()) /
           std::max(watch_.seconds(), 1e-3);
  }

  std::size_t kept() const { return record_.products + stage_products_; }

  void end_stage() {
    record_.products += std::exchange(stage_products_, 0);
    save();
  }

  void save() {
    record_.provenance["seconds"] = seconds_before_ + watch_.seconds();
    record_.provenance["images_per_second"] = rate();
    write_curvature(job_.out, record_);
  }

  Outcome outcome(bool finished) const { return {.files = {job_.out}, .finished = finished}; }

  CurvatureJob& job_;
  Observer& observer_;
  CurvatureRecord record_;
  LossProducts products_;
  SymmetricOperator matrix_;
  std::optional<ProductJournal> journal_;
  std::vector<std::vector<double>> forms_;  // of the last products
  LanczosProgress lanczos_;
  bool is_resumed_ = false;  // and nothing was said of it yet
  std::string_view stage_;
  std::size_t planned_ = 0, stage_done_ = 0;    // products of the stage: in all, and before this run began it
  std::size_t stage_products_ = 0;              // since, those from the journal among them
  std::size_t vectors_ = 1, batches_done_ = 0;  // of the product that is being made
  std::size_t made_ = 0;                        // products of this run
  double share_done_ = 0, seconds_before_ = 0;
  Stopwatch watch_;
};

}  // namespace

Outcome run_curvature(CurvatureJob job, Observer& observer) {
  observer.should_stop();  // from here on an interrupt is not to leave a lock behind
  job.record.settings = json::parse(json_text(job.record.settings));  // as the file stores them
  try {
    const FileLock lock(lock_of(job.out));
    return CurvatureRun(job, observer).run();
  } catch (const HeldError& held) {
    throw Error("{}", busy_text(job.out, held.holder()));
  }
}

double memory_of_vectors(std::size_t size, const LanczosOptions& lanczos, std::size_t density_steps) {
  const std::size_t pairs = lanczos.largest + lanczos.smallest, together = probes_together(size, density_steps);
  const std::size_t for_pairs = basis_of(lanczos, size) + 2 * pairs + 4;
  const std::size_t for_density = density_steps > 0 ? pairs + together * (density_steps + 3) : 0;
  return static_cast<double>(std::max(for_pairs, for_density)) * static_cast<double>(size) * sizeof(float);
}

void check_memory_of_vectors(std::size_t size, const LanczosOptions& lanczos, std::size_t density_steps,
                             const std::string& asked) {
  const double needed = memory_of_vectors(size, lanczos, density_steps);
  const auto here = static_cast<double>(memory_of_machine());
  if (needed <= here) return;
  throw UsageError("{}: {} vectors of {} parameters need {:.1f} GB, this machine has {:.1f} GB; ask for fewer", asked,
                   static_cast<std::size_t>(needed / 4 / static_cast<double>(size)), size, needed / 1e9, here / 1e9);
}

}  // namespace lossatlas
