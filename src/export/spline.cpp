#include "export/spline.h"

#include <algorithm>
#include <stdexcept>

namespace lossatlas {
namespace {

/// Second derivatives of the spline at its points. Continuity of the first derivative gives
///   h[i-1] m[i-1] + 2 (h[i-1] + h[i]) m[i] + h[i] m[i+1] = 6 (s[i] - s[i-1])
/// with h the steps and s the slopes between points. Without knots at 1 and n-2 the third derivative is continuous
/// there: m[0] and m[n-1] follow from their two neighbours, and what is left is tridiagonal.
std::vector<double> second_derivatives(std::span<const double> x, std::span<const double> y) {
  const std::size_t n = x.size();
  std::vector<double> h(n - 1), slope(n - 1);
  for (std::size_t i = 0; i + 1 < n; ++i) {
    h[i] = x[i + 1] - x[i];
    slope[i] = (y[i + 1] - y[i]) / h[i];
  }
  std::vector<double> lower(n, 0), middle(n, 0), upper(n, 0), m(n, 0);
  for (std::size_t i = 1; i + 1 < n; ++i) {
    lower[i] = h[i - 1];
    middle[i] = 2 * (h[i - 1] + h[i]);
    upper[i] = h[i];
    m[i] = 6 * (slope[i] - slope[i - 1]);
  }
  // m[0] = (1 + a) m[1] - a m[2], and the same from the other end.
  const double a = h[0] / h[1], b = h[n - 2] / h[n - 3];
  middle[1] += h[0] * (1 + a);
  upper[1] -= h[0] * a;
  middle[n - 2] += h[n - 2] * (1 + b);
  lower[n - 2] -= h[n - 2] * b;
  for (std::size_t i = 2; i + 1 < n; ++i) {
    const double factor = lower[i] / middle[i - 1];
    middle[i] -= factor * upper[i - 1];
    m[i] -= factor * m[i - 1];
  }
  m[n - 2] /= middle[n - 2];
  for (std::size_t i = n - 3; i >= 1; --i) m[i] = (m[i] - upper[i] * m[i + 1]) / middle[i];
  m[0] = (1 + a) * m[1] - a * m[2];
  m[n - 1] = (1 + b) * m[n - 2] - b * m[n - 3];
  return m;
}

}  // namespace

std::vector<double> spline(std::span<const double> x, std::span<const double> y, std::span<const double> at) {
  if (x.size() < kLeastForSpline || y.size() != x.size()) throw std::logic_error("spline: too few points");
  const auto m = second_derivatives(x, y);
  const bool rises = x.front() < x.back();
  std::vector<double> values;
  values.reserve(at.size());
  for (const double place : at) {
    const auto above = std::upper_bound(x.begin() + 1, x.end() - 1, place,
                                        [rises](double p, double knot) { return rises ? p < knot : p > knot; });
    const auto i = static_cast<std::size_t>(above - x.begin()) - 1;
    const double h = x[i + 1] - x[i], right = (place - x[i]) / h, left = 1 - right;
    values.push_back(left * y[i] + right * y[i + 1] +
                     h * h / 6 * ((left * left * left - left) * m[i] + (right * right * right - right) * m[i + 1]));
  }
  return values;
}

std::vector<double> bicubic_spline(std::span<const double> x, std::span<const double> y, std::span<const double> values,
                                   std::span<const double> at_x, std::span<const double> at_y) {
  const std::size_t columns = at_x.size();
  std::vector<double> rows;  // [y, at_x]
  rows.reserve(y.size() * columns);
  for (std::size_t row = 0; row < y.size(); ++row) {
    const auto line = spline(x, values.subspan(row * x.size(), x.size()), at_x);
    rows.insert(rows.end(), line.begin(), line.end());
  }
  std::vector<double> result(at_y.size() * columns), column(y.size());
  for (std::size_t j = 0; j < columns; ++j) {
    for (std::size_t row = 0; row < y.size(); ++row) column[row] = rows[row * columns + j];
    const auto line = spline(y, column, at_y);
    for (std::size_t row = 0; row < at_y.size(); ++row) result[row * columns + j] = line[row];
  }
  return result;
}

}  // namespace lossatlas
