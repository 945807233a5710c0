#include "curvature/trace.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

namespace lossatlas {
namespace {

/// diagonal += factor · a ∘ b, and the sums of a ∘ b over the parts.
std::vector<double> add_diagonal(std::span<const float> a, std::span<const float> b, double factor, Trace& trace) {
  std::vector<double> sums;
  for (const auto& [first, count] : trace.parts) sums.push_back(dot(a.subspan(first, count), b.subspan(first, count)));
  for (std::size_t i = 0; i < trace.diagonal.size(); ++i) {
    trace.diagonal[i] += factor * static_cast<double>(a[i]) * static_cast<double>(b[i]);
  }
  return sums;
}

}  // namespace

Estimate estimate_of(std::span<const double> samples) {
  const auto n = static_cast<double>(samples.size());
  double sum = 0, squares = 0;
  for (const double sample : samples) sum += sample;
  for (const double sample : samples) squares += (sample - sum / n) * (sample - sum / n);
  return {sum / n, samples.size() > 1 ? std::sqrt(squares / (n - 1) / n) : std::numeric_limits<double>::quiet_NaN()};
}

Estimate Trace::value() const {
  if (probes.empty()) return {exact, std::numeric_limits<double>::quiet_NaN()};
  const Estimate rest = estimate_of(probes);
  return {exact + rest.value, rest.standard_error};
}

Estimate Trace::value_of(std::size_t part) const { return value_of(std::span(&part, 1)); }

Estimate Trace::value_of(std::span<const std::size_t> together) const {
  double known = 0;
  for (const std::size_t part : together) known += exact_of_parts[part];
  if (probes.empty()) return {known, std::numeric_limits<double>::quiet_NaN()};
  std::vector<double> samples(probes.size());
  for (std::size_t k = 0; k < samples.size(); ++k) {
    for (const std::size_t part : together) samples[k] += probes_of_parts[k][part];
  }
  const Estimate rest = estimate_of(samples);
  return {known + rest.value, rest.standard_error};
}

// A - PAP = Σ_i (u_i w_iᵀ + w_i u_iᵀ) - U (UᵀW) Uᵀ with w_i = A u_i: its diagonal is Σ_i 2 u_i ∘ (w_i - ½ Σ_k (UᵀW)_ki
// u_k).
Trace begin_trace(std::span<const Vector> vectors, std::span<const Vector> images, std::vector<Part> parts,
                  bool has_diagonal) {
  Trace trace;
  trace.parts = std::move(parts);
  trace.exact_of_parts.resize(trace.parts.size());
  for (const auto& [first, count] : trace.parts) {
    if (has_diagonal) trace.diagonal.resize(std::max(trace.diagonal.size(), first + count));
  }
  for (std::size_t i = 0; i < vectors.size(); ++i) {
    std::vector<double> along = products_with(vectors, images[i]);
    trace.exact += along[i];
    for (double& factor : along) factor = -factor / 2;
    Vector rest = images[i];
    add_multiples(rest, along, vectors);
    const std::vector<double> sums = add_diagonal(vectors[i], rest, 2, trace);
    for (std::size_t p = 0; p < sums.size(); ++p) trace.exact_of_parts[p] += 2 * sums[p];
  }
  return trace;
}

void add_probes(const SymmetricOperator& matrix, std::span<const Vector> vectors, std::size_t count,
                std::size_t planned, std::uint64_t seed, Trace& trace) {
  std::vector<Vector> in, out(count, Vector(matrix.size));
  for (std::size_t k = 0; k < count; ++k) {
    in.push_back(rademacher(matrix.size, seed, trace.probes.size() + k));
    orthogonalize(in.back(), vectors);
  }
  matrix.apply(in, out);
  for (std::size_t k = 0; k < count; ++k) {
    const Vector signs = rademacher(matrix.size, seed, trace.probes.size());
    trace.probes.push_back(dot(in[k], out[k]));
    orthogonalize(out[k], vectors);
    trace.probes_of_parts.push_back(add_diagonal(signs, out[k], 1 / static_cast<double>(planned), trace));
  }
}

}  // namespace lossatlas
