#include "curvature/symmetric_eigen.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace lossatlas {
namespace {

/// x and y become cos x - sin y and sin x + cos y, number by number.
void rotate(double* x, double* y, std::size_t count, std::size_t step, double cosine, double sine) {
  for (std::size_t i = 0; i < count * step; i += step) {
    const double a = x[i], b = y[i];
    x[i] = cosine * a - sine * b;
    y[i] = sine * a + cosine * b;
  }
}

/// The rotation of rows and columns p and q that makes their common entry 0.
void annihilate(std::vector<double>& matrix, std::vector<double>& vectors, std::size_t n, std::size_t p,
                std::size_t q) {
  const double between = matrix[p * n + q];
  const double ratio = (matrix[q * n + q] - matrix[p * n + p]) / (2 * between);
  const double tangent = std::copysign(1 / (std::abs(ratio) + std::hypot(1, ratio)), ratio);
  const double cosine = 1 / std::hypot(1, tangent), sine = tangent * cosine;
  rotate(&matrix[p], &matrix[q], n, n, cosine, sine);
  rotate(&matrix[p * n], &matrix[q * n], n, 1, cosine, sine);
  rotate(&vectors[p * n], &vectors[q * n], n, 1, cosine, sine);
}

}  // namespace

SymmetricEigen eigen_of(std::vector<double> matrix, std::size_t n) {
  std::vector<double> vectors(n * n);
  for (std::size_t i = 0; i < n; ++i) vectors[i * n + i] = 1;
  double scale = 0;
  for (const double entry : matrix) scale = std::max(scale, std::abs(entry));
  const double least = scale * std::numeric_limits<double>::epsilon() / 16;
  constexpr int kMostSweeps = 50;  // some eight are enough
  bool changed = true;
  for (int sweep = 0; sweep < kMostSweeps && changed; ++sweep) {
    changed = false;
    for (std::size_t p = 0; p < n; ++p) {
      for (std::size_t q = p + 1; q < n; ++q) {
        if (std::abs(matrix[p * n + q]) <= least) continue;
        annihilate(matrix, vectors, n, p, q);
        changed = true;
      }
    }
  }
  std::vector<std::size_t> order(n);
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return matrix[a * n + a] < matrix[b * n + b]; });
  SymmetricEigen eigen;
  for (const std::size_t k : order) {
    eigen.values.push_back(matrix[k * n + k]);
    const auto row = vectors.begin() + static_cast<std::ptrdiff_t>(k * n);
    eigen.vectors.emplace_back(row, row + static_cast<std::ptrdiff_t>(n));
  }
  return eigen;
}

}  // namespace lossatlas
