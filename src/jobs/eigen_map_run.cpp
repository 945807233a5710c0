#include "jobs/eigen_map_run.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <mutex>
#include <optional>

#include "base/error.h"
#include "base/json.h"
#include "base/stopwatch.h"
#include "base/text.h"
#include "curvature/curvature_progress.h"
#include "curvature/lanczos.h"
#include "evaluation/loss_products.h"
#include "jobs/second_derivatives.h"
#include "landscape/work.h"

namespace lossatlas {
namespace {

constexpr std::size_t kFirstProducts = 20;  // at the first point, which has no point before it
constexpr std::size_t kNumbers = 4;         // of a point: λmax, λmin and their residuals

/// Follows a chain of points.
class EigenChain {
 public:
  EigenChain(const SurfaceJob& job, const std::atomic<bool>& stop) : job_(job), stop_(stop), plane_(job.planes.at(0)) {}

  /// λmax, λmin and their residuals at a point of the grid; NaN where the loss has no second derivatives. The next
  /// point goes on from there.
  std::array<double, kNumbers> at(std::size_t column, std::size_t row) {
    const Grid& grid = job_.surface.grid;
    NetworkState point = copy_state(job_.planes.origin(), job_.engine.device());
    place_on_grid(*plane_, grid.coordinates_of(row * grid.axes[0].points + column), point);
    std::array<double, kNumbers> numbers;
    numbers.fill(std::nan(""));
    try {
      LossProducts products = job_.maps->products_at(point, &stop_);
      const SymmetricOperator hessian{products.size(), [&](auto in, auto out) { multiply(products, in, out); }};
      LanczosOptions options{.largest = 1, .smallest = 1, .tolerance = 0, .most_products = job_.maps->products};
      if (start_.empty()) options.most_products = std::max(options.most_products, kFirstProducts);
      if (!start_.empty()) options.first = &start_;
      Eigenpairs pairs = lanczos(hessian, options).pairs;
      numbers = {pairs.values.front(), pairs.values.back(), pairs.residuals.front(), pairs.residuals.back()};
      start_ = pairs.vectors.front();
      if (pairs.size() > 1) add_multiples(start_, std::array{1.0}, std::span(pairs.vectors).last(1));
    } catch (const Error&) {  // not finite there: the chain begins again behind it
      start_.clear();
    }
    return numbers;
  }

 private:
  const SurfaceJob& job_;
  const std::atomic<bool>& stop_;
  std::shared_ptr<const Plane> plane_;
  Vector start_;
};

/// The chain along the first column of this process, as far as it was asked for.
class FirstColumn {
 public:
  FirstColumn(const SurfaceJob& job, const std::atomic<bool>& stop) : job_(job), stop_(stop) {}

  /// The chain at the first point of a row, and what it found there.
  std::pair<EigenChain, std::array<double, kNumbers>> at(std::size_t row) {
    const std::scoped_lock lock(mutex_);
    if (!chain_ || row < next_) {
      chain_.emplace(job_, stop_);
      next_ = 0;
    }
    for (; next_ <= row; ++next_) found_ = chain_->at(0, next_);
    return {*chain_, found_};
  }

 private:
  const SurfaceJob& job_;
  const std::atomic<bool>& stop_;
  std::mutex mutex_;
  std::optional<EigenChain> chain_;
  std::size_t next_ = 0;  // row
  std::array<double, kNumbers> found_{};
};

Work map_work(const SurfaceJob& job, FirstColumn& column) {
  const auto on_thread = [&]() -> EvaluateItem {
    return [&](std::size_t row) -> ItemResult {
      ItemResult result;
      try {
        auto [chain, found] = column.at(row);
        auto& numbers = result.images.losses;
        for (std::size_t x = 0; x < job.surface.grid.axes[0].points; ++x) {
          if (x > 0) found = chain.at(x, row);
          numbers.insert(numbers.end(), found.begin(), found.end());
        }
      } catch (const ProductsStopped&) {
        result.images.losses.clear();  // an interrupted row begins again
      }
      return result;
    };
  };
  const bool is_on_cpu = job.engine.device().is_cpu();
  return {.request = json_text(nlohmann::json{{"what", kMapsRequest}}),
          .on_thread = on_thread,
          .threads = is_on_cpu ? job.threads : 1,
          .threads_each = is_on_cpu ? job.maps->threads_each : 1};
}

}  // namespace

bool lacks_eigen_maps(const SurfaceJob& job) {
  return job.maps && !(job.surface.maps && job.surface.maps->is_complete());
}

bool find_eigen_maps(SurfaceJob& job, Observer& observer, const std::function<void()>& on_row) {
  Surface& surface = job.surface;
  const std::size_t columns = surface.grid.axes[0].points, rows = surface.grid.axes[1].points;
  if (!surface.maps) surface.maps.emplace(columns, rows);
  EigenMaps& maps = *surface.maps;
  maps.products = job.maps->products;
  maps.batch_size = job.maps->batch_size;
  std::vector<std::size_t> items;
  for (std::size_t row = 0; row < rows; ++row) {
    if (maps.done[row] == 0) items.push_back(row);
  }
  const std::atomic<bool>& stop = observer.should_stop();
  FirstColumn column(job, stop);
  const Stopwatch watch;
  std::mutex mutex;
  std::size_t done = 0;    // rows of this run
  const auto rate = [&] {  // samples times products a second, without those along the first column
    const double made = static_cast<double>(done * columns * maps.products);
    return made * static_cast<double>(job.engine.images()) / std::max(watch.seconds(), 1e-3);
  };
  observer.on_note(fmt::format("eigenvalues of the Hessian at {} points, {} rows: {} products each, on {} {}s",
                               columns * items.size(), items.size(), maps.products, job.engine.images(),
                               sample_word(surface)));
  SweepHooks hooks;
  hooks.stop = &stop;
  hooks.on_note = [&](const std::string& text) { observer.on_note(text); };
  hooks.take = [&](std::size_t row, const ItemResult& result) {
    const auto& numbers = result.images.losses;
    if (numbers.size() != kNumbers * columns) return;
    const std::scoped_lock lock(mutex);
    for (std::size_t x = 0; x < columns; ++x) {
      const std::size_t at = row * columns + x;
      maps.largest[at] = numbers[kNumbers * x];
      maps.smallest[at] = numbers[kNumbers * x + 1];
      maps.largest_residuals[at] = numbers[kNumbers * x + 2];
      maps.smallest_residuals[at] = numbers[kNumbers * x + 3];
    }
    maps.done[row] = 1;
    ++done;
    on_row();
    observer.on_progress(CurvatureProgress{.stage = "rows",
                                           .done = static_cast<double>(done),
                                           .planned = items.size(),
                                           .largest = std::nan(""),
                                           .images_per_second = rate(),
                                           .sample = sample_word(surface)});
    if (done == 1 && items.size() > 1) {
      const double threads = job.ranks ? job.ranks->threads() : job.threads;
      const double crews = std::max(1.0, std::floor(threads / job.maps->threads_each));
      const double left = std::ceil(static_cast<double>(items.size() - 1) / crews) * watch.seconds();
      if (left > 60) observer.on_note(fmt::format("the other rows take about {}", duration_text(left)));
    }
  };
  carry_out(map_work(job, column), items, job.ranks, hooks);
  observer.on_progress_end();
  if (done > 0) {
    observer.on_note(fmt::format("eigenvalues of {} row{} in {}, {:.0f} {}s times products a second", done,
                                 done == 1 ? "" : "s", duration_text(watch.seconds()), rate(), sample_word(surface)));
  }
  return maps.is_complete();
}

void serve_eigen_maps(const SurfaceJob& job, Observer& observer) {
  const std::atomic<bool>& stop = observer.should_stop();
  FirstColumn column(job, stop);
  serve(map_work(job, column), *job.ranks);
}

}  // namespace lossatlas
