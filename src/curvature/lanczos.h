#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "curvature/vectors.h"

namespace lossatlas {

struct LanczosOptions {
  std::size_t largest = 5, smallest = 1;  // eigenpairs wanted at either end of the spectrum
  /// A pair (θ, v) has converged when ‖A v - θ v‖ <= tolerance · max(|θ|, |θ|max / 100). The error of θ is then about
  /// the residual's square over the distance to the next eigenvalue.
  double tolerance = 3e-3;
  std::size_t most_products = 1000;
  std::uint64_t seed = 0;         // of the first vector
  const Vector* first = nullptr;  // in the direction of which the algorithm begins instead; may be null
};

/// Eigenvalues with their vectors, of unit length.
struct Eigenpairs {
  std::vector<double> values;
  std::vector<double> residuals;  // ‖A v - θ v‖
  std::vector<Vector> vectors;

  std::size_t size() const { return values.size(); }
};

/// What is known after a product.
struct LanczosProgress {
  std::size_t products = 0;
  std::size_t converged = 0;  // of the wanted pairs
  double largest = 0;         // eigenvalue so far
};

struct LanczosResult {
  /// The largest eigenvalues, descending, then the smallest, descending: the last is the smallest of all. Fewer than
  /// were wanted of a matrix that has fewer.
  Eigenpairs pairs;
  std::size_t products = 0;
  bool has_converged = false;  // false: most_products were made
};

/// Vectors that the algorithm holds: memory is (basis_of(…) + 1) · size · 4 bytes.
std::size_t basis_of(const LanczosOptions& options, std::size_t size);

/// Lanczos' algorithm with full reorthogonalization and thick restart (Wu, Simon 2000, SIAM J. Matrix Anal. Appl.
/// 22(2)): the projected matrix is formed from float64 products of all vectors held, so its eigenvalues are Rayleigh
/// quotients.
LanczosResult lanczos(const SymmetricOperator& matrix, const LanczosOptions& options,
                      const std::function<void(const LanczosProgress&)>& on_product = nullptr);

/// The products A v of the vectors, made once more, with which values (Rayleigh quotients vᵀAv / vᵀv in float64) and
/// residuals are set.
std::vector<Vector> measure(const SymmetricOperator& matrix, Eigenpairs& pairs);

}  // namespace lossatlas
