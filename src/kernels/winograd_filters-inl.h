#pragma once

#include "kernels/vector-inl.h"

namespace lossatlas {
namespace {

// The one-dimensional transforms: Bᵀd of the inputs, G g of the weights, Aᵀm of the products; two-dimensional ones
// apply them to columns, then to rows.

// Interpolated at 0, 1, -1, ∞.
struct FilterTwo {
  static constexpr int m = 2, n = 4, stride = 1;
  [[gnu::always_inline]] static void input(const Vector* d, Vector* v) {
    v[0] = d[0] - d[2];
    v[1] = d[1] + d[2];
    v[2] = d[2] - d[1];
    v[3] = d[1] - d[3];
  }
  [[gnu::always_inline]] static void weights(const Vector* g, Vector* u) {
    const Vector even = 0.5f * (g[0] + g[2]), odd = 0.5f * g[1];
    u[0] = g[0];
    u[1] = even + odd;
    u[2] = even - odd;
    u[3] = g[2];
  }
  [[gnu::always_inline]] static void output(const Vector* p, Vector* y) {
    y[0] = p[0] + p[1] + p[2];
    y[1] = p[1] - p[2] - p[3];
  }
};

// Interpolated at 0, 1, -1, 2, -2, ∞.
struct FilterFour {
  static constexpr int m = 4, n = 6, stride = 1;
  [[gnu::always_inline]] static void input(const Vector* d, Vector* v) {
    const Vector even = d[4] - 4.0f * d[2], odd = d[3] - 4.0f * d[1];
    const Vector even_difference = d[4] - d[2], odd_difference = d[3] - d[1];
    v[0] = 4.0f * d[0] + (d[4] - 5.0f * d[2]);
    v[1] = even + odd;
    v[2] = even - odd;
    v[3] = even_difference + 2.0f * odd_difference;
    v[4] = even_difference - 2.0f * odd_difference;
    v[5] = 4.0f * d[1] + (d[5] - 5.0f * d[3]);
  }
  [[gnu::always_inline]] static void weights(const Vector* g, Vector* u) {
    const Vector sum = (-1.0f / 6) * (g[0] + g[2]), middle = (1.0f / 6) * g[1];
    const Vector ends = (1.0f / 24) * g[0] + (1.0f / 6) * g[2], half = (1.0f / 12) * g[1];
    u[0] = 0.25f * g[0];
    u[1] = sum - middle;
    u[2] = sum + middle;
    u[3] = ends + half;
    u[4] = ends - half;
    u[5] = g[2];
  }
  [[gnu::always_inline]] static void output(const Vector* p, Vector* y) {
    const Vector sum1 = p[1] + p[2], difference1 = p[1] - p[2];
    const Vector sum2 = p[3] + p[4], difference2 = p[3] - p[4];
    y[0] = p[0] + sum1 + sum2;
    y[1] = difference1 + 2.0f * difference2;
    y[2] = sum1 + 4.0f * sum2;
    y[3] = (difference1 + p[5]) + 8.0f * difference2;
  }
};

// The even inputs and the outer taps: F(2, 2) interpolated at 0, 1, ∞; the odd inputs and the middle tap: two products
// as they are.
struct FilterTwoByStrides {
  static constexpr int m = 2, n = 5, stride = 2;
  [[gnu::always_inline]] static void input(const Vector* d, Vector* v) {
    v[0] = d[0] - d[2];
    v[1] = d[2];
    v[2] = d[2] - d[4];
    v[3] = d[1];
    v[4] = d[3];
  }
  [[gnu::always_inline]] static void weights(const Vector* g, Vector* u) {
    u[0] = g[0];
    u[1] = g[0] + g[2];
    u[2] = g[2];
    u[3] = u[4] = g[1];
  }
  [[gnu::always_inline]] static void output(const Vector* p, Vector* y) {
    y[0] = p[0] + p[1] + p[3];
    y[1] = p[1] - p[2] + p[4];
  }
};

/// So many taps of the kernels of up to 16 outputs, `step` floats from one kernel to the next, times scale[output].
/// Those past the last output stay as they are.
template <int Taps>
[[gnu::always_inline]] inline void gather_taps(const float* kernels, std::int64_t step, const float* scale,
                                               std::int64_t outputs, float (&taps)[Taps][kBlock]) {
  for (std::int64_t o = 0; o < outputs; ++o, kernels += step) {
    for (int tap = 0; tap < Taps; ++tap) taps[tap][o] = kernels[tap] * scale[o];
  }
}

}  // namespace
}  // namespace lossatlas
