#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace lossatlas {

/// Numbers of float32, whose products and sums are formed in float64. No result depends on the number of threads: sums
/// are formed block by block.
using Vector = std::vector<float>;

/// A symmetric matrix, known by its products alone: apply(in, out) sets out[k] to A in[k], of `size` numbers each, for
/// as many vectors as there are. What it throws ends the algorithm that asked.
struct SymmetricOperator {
  std::size_t size = 0;
  std::function<void(std::span<const Vector> in, std::span<Vector> out)> apply;
};

double dot(std::span<const float> a, std::span<const float> b);
double norm(std::span<const float> a);
/// to = factor * to.
void scale(std::span<float> to, double factor);

/// ⟨v, w⟩ for each v of the basis: [basis.size()].
std::vector<double> products_with(std::span<const Vector> basis, std::span<const float> w);
/// to = to + Σ_k factors[k] of[k].
void add_multiples(std::span<float> to, std::span<const double> factors, std::span<const Vector> of);

/// Takes out of w what lies along an orthonormal basis, twice, so that rounding leaves nothing of it ("twice is
/// enough": Giraud, Langou, Rozložník 2005). What was taken out along each vector.
std::vector<double> orthogonalize(std::span<float> w, std::span<const Vector> basis);

/// basis[k] = Σ_i factors[k][i] basis[i] for each k < factors.size(), all at once, in place.
void combine(std::span<Vector> basis, const std::vector<std::vector<double>>& factors);

/// Numbers ±1, each with probability 1/2, of stream `number` of the seed.
Vector rademacher(std::size_t size, std::uint64_t seed, std::uint64_t number);
/// Standard normal numbers, the same way.
Vector gaussian(std::size_t size, std::uint64_t seed, std::uint64_t number);

}  // namespace lossatlas
