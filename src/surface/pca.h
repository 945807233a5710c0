#pragma once

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

}  // namespace lossatlas
