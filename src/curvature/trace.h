#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "curvature/vectors.h"

namespace lossatlas {

/// Numbers first, …, first + count - 1 of a vector.
struct Part {
  std::size_t first = 0, count = 0;
};

/// A mean over random probes.
struct Estimate {
  double value = 0;
  double standard_error = 0;  // from the spread of the probes; NaN of one
};

/// Mean and standard error of numbers.
Estimate estimate_of(std::span<const double> samples);

/// The trace of a symmetric matrix A by Hutchinson's estimator on the complement of known orthonormal vectors U: with
/// P = I - UUᵀ and random signs z,
///   tr A = tr UᵀAU + E[zᵀPAPz],   diag A = diag(A - PAP) + E[z ∘ PAPz].
/// The first part is exact, whether or not the vectors are eigenvectors. If they are, what they hold no longer adds to
/// the variance, which for plain probes is 2(‖A‖²_F - Σ A²ᵢᵢ) (Hutchinson 1989; deflation: Gambhir, Stathopoulos,
/// Orginos 2017, SIAM J. Sci. Comput. 39(2); diagonal: Bekas, Kokiopoulou, Saad 2007).
struct Trace {
  std::vector<Part> parts;                           // of the diagonal, whose sums are estimated too
  double exact = 0;                                  // tr UᵀAU
  std::vector<double> exact_of_parts;                // diag(A - PAP), summed over each part
  std::vector<double> probes;                        // zᵀPAPz of each
  std::vector<std::vector<double>> probes_of_parts;  // [probe][part], of z ∘ PAPz
  std::vector<double> diagonal;                      // its estimate once all probes are there; empty: not wanted

  /// The trace, or the sum over a part of the diagonal; without an error while there is no probe.
  Estimate value() const;
  Estimate value_of(std::size_t part) const;
  /// Of several parts together.
  Estimate value_of(std::span<const std::size_t> together) const;
};

/// Before the first probe. `images`: A times each of the vectors.
Trace begin_trace(std::span<const Vector> vectors, std::span<const Vector> images, std::vector<Part> parts,
                  bool has_diagonal);

/// Makes one product with each of `count` further probes, all in one call of apply(). Probe k is stream k of the seed,
/// whatever the count. `planned`: all probes that there will be, of which the diagonal is the mean.
void add_probes(const SymmetricOperator& matrix, std::span<const Vector> vectors, std::size_t count,
                std::size_t planned, std::uint64_t seed, Trace& trace);

}  // namespace lossatlas
