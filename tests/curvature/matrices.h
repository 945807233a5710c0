#pragma once

#include <cmath>
#include <numeric>
#include <utility>
#include <vector>

#include "curvature/vectors.h"

namespace lossatlas {

/// A matrix with these eigenvalues: Q D Q in float64, with the sines Q = √(2 / (n + 1)) sin(π (i + 1) (k + 1) / (n +
/// 1)), which are symmetric and orthogonal: eigenvector k is column k. Counts its products.
class Matrix {
 public:
  explicit Matrix(std::vector<double> values) : values_(std::move(values)), sines_(2 * (values_.size() + 1)) {
    const auto n = static_cast<double>(values_.size());
    for (std::size_t m = 0; m < sines_.size(); ++m) {
      sines_[m] = std::sqrt(2 / (n + 1)) * std::sin(std::acos(-1.0) * static_cast<double>(m) / (n + 1));
    }
  }

  std::size_t products = 0;

  SymmetricOperator as_operator() {
    return {values_.size(), [this](std::span<const Vector> in, std::span<Vector> out) {
              for (std::size_t k = 0; k < in.size(); ++k) {
                std::vector<double> x = transformed({in[k].begin(), in[k].end()});
                for (std::size_t i = 0; i < x.size(); ++i) x[i] *= values_[i];
                x = transformed(x);
                out[k].assign(x.begin(), x.end());
                ++products;
              }
            }};
  }

  double trace() const { return std::accumulate(values_.begin(), values_.end(), 0.0); }

  /// Entry of the diagonal.
  double diagonal(std::size_t i) const {
    double sum = 0;
    for (std::size_t k = 0; k < values_.size(); ++k) sum += values_[k] * q(i, k) * q(i, k);
    return sum;
  }

  double q(std::size_t i, std::size_t k) const { return sines_[(i + 1) * (k + 1) % sines_.size()]; }

 private:
  std::vector<double> transformed(const std::vector<double>& x) const {
    std::vector<double> y(x.size());
    for (std::size_t i = 0; i < x.size(); ++i) {
      for (std::size_t k = 0; k < x.size(); ++k) y[i] += q(i, k) * x[k];
    }
    return y;
  }

  std::vector<double> values_, sines_;
};

/// Five outliers, a bulk of n - 6 values in (-1, 1), and -10: as the Hessian of a trained network has them.
inline std::vector<double> outliers_and_bulk(std::size_t n) {
  std::vector<double> values{391, 325, 257, 185, 66};
  for (std::size_t i = 0; i < n - 6; ++i) values.push_back(std::sin(static_cast<double>(i)));
  values.push_back(-10);
  return values;
}

}  // namespace lossatlas
