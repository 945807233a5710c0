#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/instruction_set.h"
#include "checkpoint/index.h"
#include "landscape/direction.h"
#include "landscape/pca.h"
#include "models/state.h"
#include "surface/products.h"

namespace lossatlas {

struct Kernels;
template <class Number>
struct GramKernels;

/// Who sums. The last bits of a sum depend on the instruction set, and not on the threads.
struct SumOptions {
  int threads = 1;
  InstructionSet instruction_set = best_instruction_set();
  double few_products = 1e10;  // multiply-adds: up to so many take Differences::pca little time in double
};

/// The differences w_i = θ_i - θ between many checkpoints and one origin, read from their files block by block: memory
/// does not grow with the number of checkpoints. Differences and sums are in double; the bits of what is summed do not
/// depend on the number of threads. Not while torch runs elsewhere: its number of threads is changed and put back.
class Differences {
 public:
  /// `origin`: float32 on the CPU. Each checkpoint holds tensors of its names and sizes (check_fit), and outlives this
  /// object.
  Differences(NetworkState origin, std::vector<const CheckpointIndex*> checkpoints, const SumOptions& options);

  std::size_t count() const { return checkpoints_.size(); }

  /// ⟨w_i, w_j⟩, [n, n]. Reads each file once. Throws Error naming a checkpoint whose parameters are not finite.
  std::vector<double> gram() const;

  /// The principal components, as pca_of_gram has them. Where there are many products they are formed in float and
  /// summed in it over some columns, in double beyond: they are within 1e-7 ‖w_i‖ ‖w_j‖, in about half the time. Where
  /// that could be seen, since the second component is small beside the first, they are formed in double after all.
  /// Reads each file once, or twice. Throws as gram() does.
  Pca pca(std::size_t components) const;

  /// Σ_i combinations[k][i] w_i for k = 0, 1, rounded to float; for states the statistics are combined in the same way.
  /// The parameter of largest magnitude is made positive (the first of equals), as scikit-learn (1.5 and later) fixes
  /// the signs of components. Their products come from the same reading. Reads each file once.
  std::vector<Direction> combine(std::span<const std::vector<double>> combinations, DirectionType type,
                                 Products& products) const;

  /// With two directions. Reads each file once.
  Products products(const std::vector<Direction>& directions) const;

 private:
  /// Summed at a time, so that they stay in the cache; not 1024, where rows would share its lines.
  static constexpr std::int64_t kColumns = 1040;

  /// A few columns of the checkpoints' own numbers: row i is numbers + i * stride.
  struct Block {
    std::int64_t first, columns;  // of all columns; at most kColumns
    const float* numbers;
    std::int64_t stride;
  };
  /// Adds to `total` what a block adds to a sum.
  using Part = std::function<void(const Block& block, double* total)>;
  /// The two directions in a block's columns; zeros past them.
  using TwoRows = std::array<std::array<double, kColumns>, 2>;

  static std::int64_t stretch_width(std::size_t rows);
  /// The products of differences that are held in this type of number. Not finite where they are not, or overflow.
  template <class Number>
  std::vector<double> gram_in(const GramKernels<Number>& kernels) const;
  /// The sum over all columns, [sums, of_each], block after block in their order; on several threads.
  at::Tensor sum(std::int64_t sums, std::int64_t of_each, const Part& part) const;
  /// Products with the two directions, of which each block's columns are asked for.
  Products sum_products(const std::function<void(const Block& block, TwoRows& rows)>& directions) const;
  /// Columns of the checkpoints' own numbers, [n, count].
  void read(std::int64_t first, std::int64_t count, float* numbers) const;
  /// The part of each parameter that lies in a block: use(parameter, first element in it, count, first column).
  void for_each_part(std::int64_t first, std::int64_t count,
                     const std::function<void(std::size_t, std::int64_t, std::int64_t, std::int64_t)>& use) const;
  /// The same for each checkpoint: use(checkpoint, its numbers, those of the origin, count, first column).
  void for_each_row_of(
      const Block& block,
      const std::function<void(std::size_t, const float*, const float*, std::int64_t, std::int64_t)>& use) const;
  void combine_buffer(const NamedTensor& buffer, const std::vector<double>& combination, const at::Tensor& out) const;

  NetworkState origin_;
  std::vector<std::int64_t> begins_;  // first column of each parameter, and the end
  std::vector<const CheckpointIndex*> checkpoints_;
  std::vector<std::vector<const StoredTensor*>> stored_;  // [checkpoint][parameter]
  std::deque<TensorReader> readers_;                      // as many, the first ones, as may do so keep their files open
  int threads_;
  double few_products_;
  const Kernels& kernels_;
};

}  // namespace lossatlas
