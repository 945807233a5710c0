#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "evaluation/objective.h"
#include "evaluation/problem.h"
#include "models/state.h"

namespace lossatlas {

/// Consecutive groups of batches, from `first` to before `last`.
struct GroupRange {
  std::size_t first = 0, last = 0;
};

/// How many groups the batches of so many samples fall into.
std::size_t groups_of(std::int64_t samples, std::int64_t batch_size);

/// What the batches of a group give together.
struct GroupSums {
  Measurement measurement = Measurement();       // of a slope
  std::vector<std::vector<float>> vectors = {};  // Σ w times the gradient or the product, [k][size()]
  std::vector<std::vector<double>> forms = {};   // of products, [k][batch of the group]
  std::vector<double> weights = {};              // Σ w of each batch
};

/// Processes that each compute some of the groups, for the one that adds them up.
class GroupExchange {
 public:
  virtual ~GroupExchange() = default;
  /// Of so many groups those that this process computes: the first ones.
  virtual GroupRange own(std::size_t groups) const = 0;
  /// Has the others begin with the products with these vectors; none: with the slope.
  virtual void begin(std::span<const std::vector<float>> in) = 0;
  /// Waits for them and gives their groups, in order. False if one was stopped.
  virtual bool finish(const std::function<void(GroupSums)>& take) = 0;
};

/// Bytes of graphs that products keep, where a quarter of the free memory is not less.
inline constexpr std::uint64_t kMostKept = std::uint64_t{4} << 30;

struct LossProductsOptions {
  CurvatureMatrix matrix = CurvatureMatrix::hessian;
  std::int64_t batch_size = 32;  // samples differentiated at a time: memory grows with it, and last bits depend on it
  std::vector<std::size_t> parameters = {};         // places of those that count, ascending; empty: all
  int threads = 1;                                  // batches at a time, on the CPU; no bit depends on it
  std::uint64_t most_kept = kMostKept;              // bytes of graphs that are kept, at most
  const std::atomic<bool>* stop = nullptr;          // may be null
  std::shared_ptr<GroupExchange> others = nullptr;  // processes that share the work; null: this one does all
  /// Called after each batch, by one thread at a time.
  std::function<void()> on_batch = nullptr;
};

/// Products of the Hessian, or of Gauss and Newton's matrix, of the mean loss over samples with vectors of parameters,
/// at one point. Vectors hold the chosen parameters one after the other, without gaps. Memory does not depend on the
/// number of samples: on the CPU, up to 4 GiB hold the graphs of the first batches, whose further products take three
/// quarters of the time. Sums are taken over the batches of each group, then over the at most 16 groups: so the bits
/// depend neither on the number of threads nor on that of processes that share the groups. One thread calls it.
class LossProducts {
 public:
  /// Where the numbers of a parameter are in a vector.
  struct Part {
    std::string name;
    std::size_t first = 0, count = 0;
  };

  /// `point`: the problem's state, on the device. Throws Error if the problem's loss cannot be told from its network,
  /// of which Gauss and Newton's matrix is made.
  LossProducts(const Problem& problem, std::shared_ptr<const SampleSource> samples, const NetworkState& point,
               LossProductsOptions options);
  LossProducts(LossProducts&&) noexcept;
  ~LossProducts();

  std::size_t size() const { return size_; }
  const std::vector<Part>& parts() const { return parts_; }
  std::size_t batches() const;
  std::size_t groups() const { return groups_of(samples_->size(), options_.batch_size); }
  /// Batches that this process computes.
  std::size_t own_batches() const;
  const SampleSource& samples() const { return *samples_; }
  /// The criterion's.
  const std::vector<Criterion::Measure>& measures() const;

  /// What the criterion measures, and the gradient of the mean loss.
  struct Slope {
    Measurement sums;
    std::vector<float> gradient;
  };
  /// Nothing if it was stopped.
  std::optional<Slope> slope();

  /// Sets out[k] to the matrix times in[k], and forms[k] to what each batch alone gives for vᵀAv, [batches()]. False if
  /// it was stopped. Throws Error naming the tensor in which a product is not finite, and if an operator of the network
  /// has no second derivative.
  bool multiply(std::span<const std::vector<float>> in, std::span<std::vector<float>> out,
                std::span<std::vector<double>> forms);
  /// Σ w of each batch's samples: the weights of the forms. Known after the first call of either.
  const std::vector<double>& batch_weights() const { return batch_weights_; }

  /// For another process that adds up: gives the sums of these groups in their order, of products with `in`, or of the
  /// slope if that is empty. False if it was stopped. Throws as multiply().
  using TakeGroup = std::function<void(GroupSums)>;
  bool for_groups(std::span<const std::vector<float>> in, GroupRange groups, const TakeGroup& take);

 private:
  struct Worker;
  struct Total;
  using Compute = std::function<void(Worker&, SampleRange)>;
  using Take = std::function<void(Worker&, std::size_t batch)>;

  std::size_t first_batch(std::size_t group) const { return group * batches() / groups(); }
  GroupRange own_groups() const;
  bool add_all(std::span<const std::vector<float>> in, Total& total);
  bool for_batches(std::size_t first, std::size_t last, const Compute& compute, const Take& take);
  Compute slope_of_batch();
  Compute products_of_batch(const std::vector<NetworkState>& directions);
  std::vector<NetworkState> states_of(std::span<const std::vector<float>> vectors) const;
  std::vector<float> vector_of(const at::Tensor& flat) const;
  void check_finite(const std::vector<float>& product) const;

  std::string network_;
  std::shared_ptr<const SampleSource> samples_;
  NetworkState point_;
  LossProductsOptions options_;
  std::vector<std::size_t> places_;  // of the chosen parameters in the state
  std::vector<Part> parts_;
  std::size_t size_ = 0;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<double> batch_weights_;
  std::vector<std::unique_ptr<KeptBatch>> kept_;  // [batch], each by the worker that computes it every time
  std::uint64_t most_memory_ = 0;                 // of the process, while batches may be kept; 0: none may
};

}  // namespace lossatlas
