#pragma once

#include "kernels/vector-inl.h"

namespace lossatlas {
namespace {

constexpr int kDoubles = kLanes / 2;
// So many rows by as many: enough sums to hide the time that a multiply-add takes, and as few reads as registers allow.
constexpr int kGramRows = kLanes == 16 ? 5 : 3;
using DoubleVector [[gnu::vector_size(4 * kLanes)]] = double;
using UnalignedDoubleVector [[gnu::vector_size(4 * kLanes), gnu::aligned(8), gnu::may_alias]] = double;

template <class Number>
void subtract(const float* numbers, const float* from, std::int64_t count, Number* differences) {
  for (std::int64_t i = 0; i < count; ++i) {
    differences[i] = static_cast<Number>(numbers[i]) - static_cast<Number>(from[i]);
  }
}

using UnalignedHalf [[gnu::vector_size(2 * kLanes), gnu::aligned(4), gnu::may_alias]] = float;

[[gnu::always_inline]] inline DoubleVector load(const double* from) {
  return *reinterpret_cast<const UnalignedDoubleVector*>(from);
}
[[gnu::always_inline]] inline DoubleVector load_as_doubles(const float* from) {
  return __builtin_convertvector(*reinterpret_cast<const UnalignedHalf*>(from), DoubleVector);
}
/// In pairs, so that few additions wait for one before.
template <class Numbers>
[[gnu::always_inline]] inline double sum_of_lanes(Numbers vector) {
#pragma GCC unroll 4
  for (int half = sizeof(vector) / sizeof(vector[0]) / 2; half > 0; half /= 2) {
#pragma GCC unroll 8
    for (int lane = 0; lane < half; ++lane) vector[lane] += vector[lane + half];
  }
  return static_cast<double>(vector[0]);
}

void add_combinations(const float* numbers, std::int64_t stride, std::int64_t rows, const float* from,
                      std::int64_t count, const std::array<double, 2>* weights, const std::array<double*, 2>& sums) {
  constexpr int kSums = 4;  // vectors of each: an addition waits for the one before
  std::int64_t i = 0;
  for (; i + kSums * kDoubles <= count; i += kSums * kDoubles) {
    DoubleVector origin[kSums], sum[2][kSums];
    for (int c = 0; c < kSums; ++c) {
      origin[c] = load_as_doubles(from + i + c * kDoubles);
      for (int k = 0; k < 2; ++k) sum[k][c] = load(sums[k] + i + c * kDoubles);
    }
    for (std::int64_t row = 0; row < rows; ++row) {
      const float* own = numbers + row * stride + i;
#pragma GCC unroll 4
      for (int c = 0; c < kSums; ++c) {
        const DoubleVector difference = load_as_doubles(own + c * kDoubles) - origin[c];
        sum[0][c] += weights[row][0] * difference;
        sum[1][c] += weights[row][1] * difference;
      }
    }
    for (int c = 0; c < kSums; ++c) {
      for (int k = 0; k < 2; ++k) *reinterpret_cast<UnalignedDoubleVector*>(sums[k] + i + c * kDoubles) = sum[k][c];
    }
  }
  for (; i < count; ++i) {
    for (std::int64_t row = 0; row < rows; ++row) {
      const double difference = static_cast<double>(numbers[row * stride + i]) - static_cast<double>(from[i]);
      sums[0][i] += weights[row][0] * difference;
      sums[1][i] += weights[row][1] * difference;
    }
  }
}

void add_projections(const float* numbers, const float* from, std::int64_t count,
                     const std::array<const double*, 2>& rows, double* sums) {
  constexpr int kChains = 2;  // sums of their own: an addition waits for the one before
  DoubleVector sum[3][kChains] = {};
  std::int64_t i = 0;
  for (; i + kChains * kDoubles <= count; i += kChains * kDoubles) {
#pragma GCC unroll 2
    for (int c = 0; c < kChains; ++c) {
      const std::int64_t at = i + c * kDoubles;
      const DoubleVector difference = load_as_doubles(numbers + at) - load_as_doubles(from + at);
      sum[0][c] += difference * load(rows[0] + at);
      sum[1][c] += difference * load(rows[1] + at);
      sum[2][c] += difference * difference;
    }
  }
  for (int k = 0; k < 3; ++k) sums[k] += sum_of_lanes(sum[k][0] + sum[k][1]);
  for (; i < count; ++i) {
    const double difference = static_cast<double>(numbers[i]) - static_cast<double>(from[i]);
    sums[0] += difference * rows[0][i];
    sums[1] += difference * rows[1][i];
    sums[2] += difference * difference;
  }
}

/// Products of kGramRows rows with as many others, `width` numbers each.
template <class Number>
void add_products_of_rows(const Number* a, const Number* b, std::int64_t width, std::int64_t count, double* products) {
  using Numbers = decltype(load(a));
  constexpr std::int64_t kAtOnce = sizeof(Numbers) / sizeof(Number);
  Numbers sum[kGramRows][kGramRows] = {};
  for (std::int64_t k = 0; k < width; k += kAtOnce) {
    Numbers row_of_b[kGramRows];
#pragma GCC unroll 5
    for (int j = 0; j < kGramRows; ++j) row_of_b[j] = load(b + j * width + k);
#pragma GCC unroll 5
    for (int i = 0; i < kGramRows; ++i) {
      const Numbers row_of_a = load(a + i * width + k);
#pragma GCC unroll 5
      for (int j = 0; j < kGramRows; ++j) sum[i][j] += row_of_a * row_of_b[j];
    }
  }
  for (int i = 0; i < kGramRows; ++i) {
    for (int j = 0; j < kGramRows; ++j) {
      products[i * count + j] += sum_of_lanes(sum[i][j]);
    }
  }
}

template <class Number>
void add_gram(const Number* rows, std::int64_t count, std::int64_t width, double* products) {
  for (std::int64_t i = 0; i < count; i += kGramRows) {
    for (std::int64_t j = 0; j <= i; j += kGramRows) {
      add_products_of_rows(rows + i * width, rows + j * width, width, count, products + i * count + j);
    }
  }
}

}  // namespace
}  // namespace lossatlas
