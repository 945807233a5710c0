#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "evaluation/criterion.h"
#include "evaluation/measurement.h"
#include "evaluation/samples.h"
#include "models/state.h"

namespace lossatlas {

/// What an engine can do with a program, asked before anything is computed.
struct Capabilities {
  bool gradient = false;
  bool hessian_vector = false;
  bool per_sample = false;  // what a sample gives does not depend on those that share its batch
  /// What the fused engine lacks: "the operator aten::…"; "" if it runs, or was not asked to.
  std::string why_not_fused = {};
};

/// Samples first, …, end - 1.
struct SampleRange {
  std::int64_t first = 0, end = 0;
};

/// What a direction is multiplied by, of Σ w loss over some samples at the loaded parameters.
enum class CurvatureMatrix {
  hessian,       // the second derivatives: twice through the program backwards
  gauss_newton,  // Σ Jᵀ H J, J the derivatives of the outputs, H the Hessian of the loss by the outputs (Schraudolph
                 // 2002): what is left of the Hessian without the second derivatives of the network
};

/// What an objective keeps of a batch, to multiply further directions without running the program again.
class KeptBatch {
 public:
  virtual ~KeptBatch() = default;
};

/// What is computed besides the sums.
struct Wanted {
  /// The values of single samples are added to it: values_for(criterion).
  SampleValues* each = nullptr;
  /// The gradient of Σ w loss is added to it: zeros_like(state, StatePart::parameters), on the state's device. Requires
  /// Capabilities::gradient; costs some three times the sums alone. Not with products of Gauss and Newton's matrix.
  NetworkState* gradient = nullptr;
  /// The products of a matrix with these directions, parameters of the state, are added to as many `products`, of the
  /// gradient's form. Requires Capabilities::hessian_vector. The first costs some ten times the sums alone, each other
  /// six.
  std::span<const NetworkState> directions = {};
  std::span<NetworkState> products = {};
  CurvatureMatrix matrix = CurvatureMatrix::hessian;
  /// Of one batch, with products: where it holds null, what further products by this objective, of the same matrix at
  /// the same parameters, begin from is put there, some three times the memory of a gradient. Else products begin from
  /// that, in three quarters of the time, and add nothing to the sums.
  std::unique_ptr<KeptBatch>* kept = nullptr;
  /// Places of the parameters that derivatives are by, ascending; others count as constants. Empty: all.
  std::span<const std::size_t> parameters = {};

  bool differentiates() const { return gradient || !products.empty(); }
};

/// A program, a criterion and samples: parameters in, sums of measures out. One a thread.
class Objective {
 public:
  /// `batch_size`: samples in one run of the program; the last bits of a loss depend on it.
  Objective(std::shared_ptr<const Criterion> criterion, std::shared_ptr<const SampleSource> samples,
            std::int64_t batch_size);
  virtual ~Objective() = default;

  virtual Capabilities capabilities() const = 0;
  const Criterion& criterion() const { return *criterion_; }
  const SampleSource& samples() const { return *samples_; }

  std::int64_t batch_size() const { return batch_size_; }
  /// No larger than that it was made with.
  void set_batch_size(std::int64_t samples) { batch_size_ = samples; }

  /// The sums over some samples at these parameters and buffers: names, order and shapes of the program's state,
  /// float32 (integer buffers as they are), contiguous, on its device. Throws std::logic_error for what the
  /// capabilities lack.
  Measurement evaluate(const NetworkTensors& state, SampleRange range, const Wanted& wanted = {});

  /// The same in steps: takes parameters and buffers, whose memory lives until the next, for the sums to come;
  virtual void load(const NetworkTensors& state) = 0;
  /// then goes on adding, batch by batch, sample by sample. `samples`: of the same kind as the objective's own.
  void add(const SampleSource& samples, SampleRange range, Measurement& sum, const Wanted& wanted = {});

 protected:
  /// run(first, count) for each batch.
  template <class Function>
  void for_batches(SampleRange range, const Function& run) const {
    for (; range.first < range.end; range.first += batch_size_) {
      run(range.first, std::min(batch_size_, range.end - range.first));
    }
  }

 private:
  virtual void add_batches(const SampleSource& samples, SampleRange range, Tally& tally, const Wanted& wanted) = 0;

  std::shared_ptr<const Criterion> criterion_;
  std::shared_ptr<const SampleSource> samples_;
  std::int64_t batch_size_;
};

}  // namespace lossatlas
