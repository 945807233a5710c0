#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace lossatlas {

/// Principal components of n points, as scikit-learn's PCA defines them: of the centred points, sorted by descending
/// variance, divisor n - 1. Each vector has one entry a component.
struct Pca {
  std::vector<double> explained_variance;        // λ / (n - 1), λ the eigenvalues of the centred Gram matrix
  std::vector<double> explained_variance_ratio;  // of the variance of all components
  std::vector<double> singular_values;           // √λ
  /// [n] each: component k, of unit length, is Σ_i combinations[k][i] w_i. They sum to 0, so the points may be counted
  /// from any origin. Zero where the component has no variance.
  std::vector<std::vector<double>> combinations;

  bool is_known() const { return !explained_variance.empty(); }
};

/// From the inner products ⟨w_i, w_j⟩ alone, [n, n], counted from any origin: nothing of the points' dimension is
/// formed (Sirovich 1987's method of snapshots). At most `components` of them, n at most. The signs of the components
/// are left open.
Pca pca_of_gram(std::span<const double> gram, std::size_t n, std::size_t components);

}  // namespace lossatlas
