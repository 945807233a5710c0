#include "surface/curvature.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace lossatlas {
namespace {

using Matrix = std::vector<std::vector<double>>;

/// A point near the centre, in steps from it along each axis, and how far its loss is from the centre's.
struct Sample {
  std::vector<double> steps;
  double rise;
};

/// Axes of more than one point.
std::vector<std::size_t> axes_of(const Grid& grid) {
  std::vector<std::size_t> axes;
  for (std::size_t k = 0; k < grid.dimensions(); ++k) {
    if (grid.axes[k].points > 1) axes.push_back(k);
  }
  return axes;
}

std::vector<Sample> samples_around(const Grid& grid, std::span<const double> heights, std::size_t centre,
                                   const std::vector<std::size_t>& axes) {
  constexpr int kReach = 2;
  const auto at = grid.indices_of(centre);
  std::vector<int> steps(axes.size(), -kReach);  // along each axis, the first one counting fastest
  std::vector<Sample> samples;
  for (std::size_t k = 0; k < axes.size();) {
    auto indices = at;
    bool is_inside = true;
    for (k = 0; k < axes.size(); ++k) {
      const std::ptrdiff_t index = static_cast<std::ptrdiff_t>(at[axes[k]]) + steps[k];
      is_inside = is_inside && index >= 0 && index < static_cast<std::ptrdiff_t>(grid.axes[axes[k]].points);
      indices[axes[k]] = static_cast<std::size_t>(index);
    }
    const double rise = is_inside ? heights[grid.point_of(indices)] - heights[centre] : kNotKnown;
    if (std::isfinite(rise)) samples.push_back({{steps.begin(), steps.end()}, rise});
    for (k = 0; k < axes.size() && ++steps[k] > kReach; ++k) steps[k] = -kReach;
  }
  return samples;
}

/// 1, each step, and each product of two: the terms that the fit has coefficients of.
std::vector<double> terms_of(const std::vector<double>& steps) {
  std::vector<double> terms{1};
  terms.insert(terms.end(), steps.begin(), steps.end());
  for (std::size_t i = 0; i < steps.size(); ++i) {
    for (std::size_t k = i; k < steps.size(); ++k) terms.push_back(steps[i] * steps[k]);
  }
  return terms;
}

/// Solves A x = b by elimination with pivots; nothing if A is singular.
std::optional<std::vector<double>> solve(Matrix a, std::vector<double> b) {
  const std::size_t n = b.size();
  for (std::size_t k = 0; k < n; ++k) {
    std::size_t pivot = k;
    for (std::size_t row = k + 1; row < n; ++row) {
      if (std::abs(a[row][k]) > std::abs(a[pivot][k])) pivot = row;
    }
    if (std::abs(a[pivot][k]) < 1e-9) return std::nullopt;
    std::swap(a[k], a[pivot]);
    std::swap(b[k], b[pivot]);
    for (std::size_t row = k + 1; row < n; ++row) {
      const double factor = a[row][k] / a[k][k];
      for (std::size_t column = k; column < n; ++column) a[row][column] -= factor * a[k][column];
      b[row] -= factor * b[k];
    }
  }
  for (std::size_t k = n; k-- > 0;) {
    for (std::size_t column = k + 1; column < n; ++column) b[k] -= a[k][column] * b[column];
    b[k] /= a[k][k];
  }
  return b;
}

/// Coefficients of the terms in the least-squares fit; nothing if the samples do not decide them.
std::optional<std::vector<double>> fit(const std::vector<Sample>& samples, std::size_t axes) {
  const std::size_t n = terms_of(std::vector<double>(axes)).size();
  Matrix products(n, std::vector<double>(n, 0));
  std::vector<double> sums(n, 0);
  for (const Sample& sample : samples) {
    const auto terms = terms_of(sample.steps);
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t k = 0; k < n; ++k) products[i][k] += terms[i] * terms[k];
      sums[i] += terms[i] * sample.rise;
    }
  }
  return solve(std::move(products), std::move(sums));
}

/// Of a symmetric matrix, ascending, by Jacobi's rotations (Golub and Van Loan, "Matrix Computations", section 8.5):
/// each makes one entry beside the diagonal zero, and the sum of the squares of the others smaller.
std::vector<double> eigenvalues_of(Matrix a) {
  constexpr int kMostSweeps = 30;
  const std::size_t n = a.size();
  for (int sweep = 0; sweep < kMostSweeps; ++sweep) {
    for (std::size_t p = 0; p < n; ++p) {
      for (std::size_t q = p + 1; q < n; ++q) {
        if (a[p][q] == 0) continue;
        const double theta = (a[q][q] - a[p][p]) / (2 * a[p][q]);
        const double t = std::copysign(1 / (std::abs(theta) + std::hypot(theta, 1)), theta);
        const double c = 1 / std::hypot(t, 1), s = t * c;
        for (std::size_t k = 0; k < n; ++k) {
          const double kp = a[k][p], kq = a[k][q];
          a[k][p] = c * kp - s * kq;
          a[k][q] = s * kp + c * kq;
        }
        for (std::size_t k = 0; k < n; ++k) {
          const double pk = a[p][k], qk = a[q][k];
          a[p][k] = c * pk - s * qk;
          a[q][k] = s * pk + c * qk;
        }
        a[p][q] = a[q][p] = 0;
      }
    }
  }
  std::vector<double> values;
  for (std::size_t k = 0; k < n; ++k) values.push_back(a[k][k]);
  std::sort(values.begin(), values.end());
  return values;
}

}  // namespace

double Curvature::smallest() const { return eigenvalues.empty() ? kNotKnown : eigenvalues.front(); }

double Curvature::largest() const { return eigenvalues.empty() ? kNotKnown : eigenvalues.back(); }

Curvature curvature_at(const Grid& grid, std::span<const double> heights, std::size_t centre) {
  const auto axes = axes_of(grid);
  Curvature curvature{.eigenvalues = std::vector<double>(axes.size(), kNotKnown)};
  if (axes.empty() || !std::isfinite(heights[centre])) return curvature;
  const auto samples = samples_around(grid, heights, centre, axes);
  curvature.points = samples.size();
  const auto coefficients = fit(samples, axes.size());
  if (!coefficients) return curvature;
  const auto step = [&](std::size_t k) { return grid.axes[axes[k]].step(); };
  Matrix hessian(axes.size(), std::vector<double>(axes.size()));
  std::size_t term = 1 + axes.size();
  for (std::size_t i = 0; i < axes.size(); ++i) {
    for (std::size_t k = i; k < axes.size(); ++k) {
      hessian[i][k] = hessian[k][i] = (i == k ? 2 : 1) * (*coefficients)[term++] / (step(i) * step(k));
    }
  }
  curvature.eigenvalues = eigenvalues_of(std::move(hessian));
  if (axes.size() < 2) return curvature;
  std::vector<double> sizes;
  for (const double value : curvature.eigenvalues) sizes.push_back(std::abs(value));
  const auto [small, large] = std::minmax_element(sizes.begin(), sizes.end());
  curvature.condition = *large / *small;
  return curvature;
}

}  // namespace lossatlas
