#include "evaluation/loss_products.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/dot.h>
#include <ATen/ops/zeros.h>
#include <c10/util/Exception.h>
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <exception>
#include <mutex>
#include <numeric>
#include <utility>

#include "base/error.h"
#include "base/process.h"
#include "base/text.h"
#include "evaluation/engines/eager.h"

namespace lossatlas {
namespace {

/// Zeros like the point's parameters, on its device.
NetworkState zeros_of(const NetworkState& point) {
  return state_on(zeros_like(point, StatePart::parameters), point.flat.device());
}

std::vector<std::size_t> all_places(const NetworkState& point) {
  std::vector<std::size_t> places(point.parameters.size());
  std::iota(places.begin(), places.end(), 0);
  return places;
}

std::size_t batches_of(std::int64_t samples, std::int64_t batch_size) {
  return static_cast<std::size_t>((samples + batch_size - 1) / batch_size);
}

}  // namespace

std::size_t groups_of(std::int64_t samples, std::int64_t batch_size) {
  constexpr std::size_t kMostGroups = 16;
  return std::min(batches_of(samples, batch_size), kMostGroups);
}

/// What one thread computes with.
struct LossProducts::Worker {
  std::unique_ptr<Objective> objective;
  std::vector<NetworkState> results = {};  // of one batch
  Measurement sums = Measurement();        // the same

  void begin(std::size_t count, const NetworkState& point) {
    while (results.size() < count) results.push_back(zeros_of(point));
    for (std::size_t k = 0; k < count; ++k) results[k].flat.zero_();
    sums = Measurement(objective->criterion().measures().size());
  }
};

LossProducts::LossProducts(const Problem& problem, std::shared_ptr<const SampleSource> samples,
                           const NetworkState& point, LossProductsOptions options)
    : network_(problem.name()),
      samples_(std::move(samples)),
      point_(point),
      options_(std::move(options)),
      places_(options_.parameters.empty() ? all_places(point) : options_.parameters) {
  for (const std::size_t place : places_) {
    const auto& [name, tensor] = point.parameters[place];
    parts_.push_back({name, size_, static_cast<std::size_t>(tensor.numel())});
    size_ += parts_.back().count;
  }
  const auto most = point.flat.device().is_cpu() ? static_cast<std::size_t>(std::max(1, options_.threads)) : 1;
  while (workers_.size() < std::min(most, batches())) {
    NetworkAndLoss apart = options_.matrix == CurvatureMatrix::gauss_newton
                               ? problem.apart(point.flat.device())
                               : NetworkAndLoss{problem.make_program(point.flat.device()), problem.criterion()};
    workers_.push_back(std::make_unique<Worker>(
        Worker{make_eager_objective(std::move(apart.network), std::move(apart.loss), samples_, options_.batch_size)}));
    const at::NoGradGuard no_gradients;
    workers_.back()->objective->load(point_);
  }
}

LossProducts::LossProducts(LossProducts&&) noexcept = default;
LossProducts::~LossProducts() = default;

const std::vector<Criterion::Measure>& LossProducts::measures() const {
  return workers_.front()->objective->criterion().measures();
}

std::size_t LossProducts::batches() const { return batches_of(samples_->size(), options_.batch_size); }

GroupRange LossProducts::own_groups() const {
  return options_.others ? options_.others->own(groups()) : GroupRange{0, groups()};
}

std::size_t LossProducts::own_batches() const {
  const GroupRange own = own_groups();
  return first_batch(own.last) - first_batch(own.first);
}

/// compute(worker, samples) on all threads, each followed by take(worker, batch) in the order of the batches: sums do
/// not depend on the number of threads. False if it was stopped.
bool LossProducts::for_batches(std::size_t first, std::size_t last, const Compute& compute, const Take& take) {
  const int threads = static_cast<int>(workers_.size()), operator_threads = at::get_num_threads();
  std::atomic<bool> ends{false};
  std::exception_ptr failure;
  std::mutex mutex;
  const auto guarded = [&](const auto& work) {
    try {
      work();
    } catch (...) {
      const std::scoped_lock lock(mutex);
      if (!failure) failure = std::current_exception();
      ends = true;
    }
  };
#pragma omp parallel num_threads(threads)
  {
    at::set_num_threads(1);  // the setting is a thread's own
    Worker& worker = *workers_[static_cast<std::size_t>(omp_get_thread_num())];
#pragma omp for ordered schedule(static, 1)
    for (std::size_t batch = first; batch < last; ++batch) {
      if (options_.stop && *options_.stop) ends = true;
      if (!ends) {
        guarded([&] {
          const std::int64_t begin = static_cast<std::int64_t>(batch) * options_.batch_size;
          compute(worker, {begin, std::min(begin + options_.batch_size, samples_->size())});
        });
      }
#pragma omp ordered
      if (!ends) {
        guarded([&] {
          const at::NoGradGuard no_gradients;
          if (worker.sums[0].count > 0) batch_weights_[batch] = worker.sums[0].weights;  // else known, as it was kept
          take(worker, batch);
          if (options_.on_batch) options_.on_batch();
        });
      }
    }
  }
  at::set_num_threads(operator_threads);
  if (failure) std::rethrow_exception(failure);
  return !ends;
}

LossProducts::Compute LossProducts::slope_of_batch() {
  return [this](Worker& worker, SampleRange range) {
    worker.begin(1, point_);
    const Wanted wanted{.gradient = worker.results.data(), .parameters = places_};
    worker.objective->add(*samples_, range, worker.sums, wanted);
  };
}

LossProducts::Compute LossProducts::products_of_batch(const std::vector<NetworkState>& directions) {
  kept_.resize(batches());
  if (most_memory_ == 0 && point_.flat.device().is_cpu()) {
    most_memory_ = memory_of_process() + std::min(options_.most_kept, available_memory() / 4);
  }
  return [this, &directions](Worker& worker, SampleRange range) {
    worker.begin(directions.size(), point_);
    std::unique_ptr<KeptBatch>& kept = kept_[static_cast<std::size_t>(range.first / options_.batch_size)];
    const bool has_room = memory_of_process() < most_memory_;
    worker.objective->add(*samples_, range, worker.sums,
                          {.directions = directions,
                           .products = std::span(worker.results).first(directions.size()),
                           .matrix = options_.matrix,
                           .kept = kept || has_room ? &kept : nullptr,
                           .parameters = places_});
  };
}

bool LossProducts::for_groups(std::span<const std::vector<float>> in, GroupRange groups, const TakeGroup& take) {
  const std::vector<NetworkState> directions = states_of(in);
  std::vector<at::Tensor> sums, exact;
  for (std::size_t k = 0; k < std::max<std::size_t>(1, in.size()); ++k) {
    sums.push_back(at::zeros_like(zeros_of(point_).flat, at::kDouble));
    if (!in.empty()) exact.push_back(directions[k].flat.to(at::kDouble));
  }
  batch_weights_.resize(batches());
  std::size_t group = groups.first;
  GroupSums of_group;
  const auto take_batch = [&](Worker& worker, std::size_t batch) {
    of_group.weights.push_back(batch_weights_[batch]);
    of_group.forms.resize(in.size());
    if (in.empty()) of_group.measurement += worker.sums;
    for (std::size_t k = 0; k < sums.size(); ++k) {
      const at::Tensor result = worker.results[k].flat.to(at::kDouble);
      sums[k].add_(result);
      if (!in.empty()) of_group.forms[k].push_back(at::dot(exact[k], result).item<double>() / batch_weights_[batch]);
    }
    if (batch + 1 < first_batch(group + 1)) return;
    for (at::Tensor& sum : sums) {
      of_group.vectors.push_back(vector_of(sum));
      sum.zero_();
    }
    take(std::exchange(of_group, {}));
    ++group;
  };
  try {
    return for_batches(first_batch(groups.first), first_batch(groups.last),
                       in.empty() ? slope_of_batch() : products_of_batch(directions), take_batch);
  } catch (const c10::Error& error) {
    throw Error("{}: a {} cannot be computed: {}", network_, in.empty() ? "gradient" : "product",
                reason_of(error.what_without_backtrace()));
  }
}

/// The sums of groups, in their order.
struct LossProducts::Total {
  Measurement measurement = Measurement();
  std::vector<std::vector<double>> vectors = {}, forms = {};
  std::vector<double> weights = {};

  void add(const GroupSums& group) {
    measurement += group.measurement;
    weights.insert(weights.end(), group.weights.begin(), group.weights.end());
    forms.resize(group.forms.size());
    for (std::size_t k = 0; k < forms.size(); ++k) {
      forms[k].insert(forms[k].end(), group.forms[k].begin(), group.forms[k].end());
    }
    vectors.resize(group.vectors.size());
    for (std::size_t k = 0; k < vectors.size(); ++k) {
      vectors[k].resize(group.vectors[k].size());
      for (std::size_t i = 0; i < vectors[k].size(); ++i) vectors[k][i] += group.vectors[k][i];
    }
  }

  std::vector<float> mean(std::size_t k) const {
    const double weight = std::accumulate(weights.begin(), weights.end(), 0.0);
    std::vector<float> mean(vectors[k].size());
    for (std::size_t i = 0; i < mean.size(); ++i) mean[i] = static_cast<float>(vectors[k][i] / weight);
    return mean;
  }
};

/// Over all groups, whoever computes them. False if it was stopped.
bool LossProducts::add_all(std::span<const std::vector<float>> in, Total& total) {
  const auto add = [&](const GroupSums& group) { total.add(group); };
  if (options_.others) options_.others->begin(in);
  if (!for_groups(in, own_groups(), add) || (options_.others && !options_.others->finish(add))) return false;
  batch_weights_ = total.weights;
  return true;
}

std::optional<LossProducts::Slope> LossProducts::slope() {
  Total total;
  if (!add_all({}, total)) return std::nullopt;
  return Slope{total.measurement, total.mean(0)};
}

bool LossProducts::multiply(std::span<const std::vector<float>> in, std::span<std::vector<float>> out,
                            std::span<std::vector<double>> forms) {
  Total total;
  if (!add_all(in, total)) return false;
  for (std::size_t k = 0; k < in.size(); ++k) {
    out[k] = total.mean(k);
    check_finite(out[k]);
    forms[k] = std::move(total.forms[k]);
  }
  return true;
}

std::vector<NetworkState> LossProducts::states_of(std::span<const std::vector<float>> vectors) const {
  std::vector<NetworkState> states;
  for (const auto& vector : vectors) {
    const NetworkState state = zeros_like(point_, StatePart::parameters);
    for (std::size_t i = 0; i < places_.size(); ++i) {
      std::copy_n(vector.data() + parts_[i].first, parts_[i].count,
                  numbers_of(state.parameters[places_[i]].tensor).begin());
    }
    states.push_back(state_on(state, point_.flat.device()));
  }
  return states;
}

std::vector<float> LossProducts::vector_of(const at::Tensor& flat) const {
  NetworkState state = zeros_like(point_, StatePart::parameters);
  state.flat.copy_(flat);
  std::vector<float> vector(size_);
  for (std::size_t i = 0; i < places_.size(); ++i) {
    std::ranges::copy(numbers_of(state.parameters[places_[i]].tensor), vector.data() + parts_[i].first);
  }
  return vector;
}

void LossProducts::check_finite(const std::vector<float>& product) const {
  for (const auto& [name, first, count] : parts_) {
    const std::span numbers(product.data() + first, count);
    if (std::ranges::all_of(numbers, [](float number) { return std::isfinite(number); })) continue;
    throw Error("{}: a product with the {} is not finite in {}: the second derivatives overflow float32 there",
                network_, options_.matrix == CurvatureMatrix::hessian ? "Hessian" : "Gauss-Newton matrix", name);
  }
}

}  // namespace lossatlas
