#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "curvature/trace.h"
#include "curvature/vectors.h"

namespace lossatlas {

/// The distribution of eigenvalues by stochastic Lanczos quadrature (Ubaru, Chen, Saad 2017, SIAM J. Matrix Anal. Appl.
/// 38(4)): from `steps` products with a random vector v, nodes and weights with Σ w f(node) ≈ vᵀf(A)v / vᵀv, exact for
/// polynomials to degree 2 steps - 1; the mean over probes estimates tr f(A) / n.
struct Density {
  std::size_t steps = 0;
  std::vector<double> nodes, weights;  // [probes, steps]; of a probe that needs fewer, the rest has weight 0

  std::size_t probes() const { return steps == 0 ? 0 : nodes.size() / steps; }
};

/// Adds `count` probes, whose products are made together: memory is count · (steps + 1) vectors. Probe k is stream k of
/// the seed, whatever the count.
void add_probes(const SymmetricOperator& matrix, std::size_t count, std::uint64_t seed, Density& density);

/// How many of n eigenvalues lie above a threshold, or below it, with the standard error from the spread of the probes.
/// Right for thresholds well apart from the bulk: within it the nodes of a few steps are not eigenvalues.
Estimate count_above(const Density& density, std::size_t n, double threshold);
Estimate count_below(const Density& density, std::size_t n, double threshold);

}  // namespace lossatlas
