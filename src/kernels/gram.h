#pragma once

#include "kernels/vector.h"

namespace lossatlas {
namespace {

constexpr int kDoubles = kLanes / 2;
using DoubleVector [[gnu::vector_size(4 * kLanes)]] = double;
using UnalignedDoubleVector [[gnu::vector_size(4 * kLanes), gnu::aligned(8), gnu::may_alias]] = double;

void subtract(const float* numbers, const float* from, std::int64_t count, double* differences) {
  for (std::int64_t i = 0; i < count; ++i) {
    differences[i] = static_cast<double>(numbers[i]) - static_cast<double>(from[i]);
  }
}

/// Products of three rows with three others, `width` numbers each, added to 3x3 of `products`.
void add_products_of_threes(const double* a, const double* b, std::int64_t width, std::int64_t count,
                            double* products) {
  DoubleVector sum[kGramRows][kGramRows] = {};
  for (std::int64_t k = 0; k < width; k += kDoubles) {
    DoubleVector row_of_b[kGramRows];
#pragma GCC unroll 3
    for (int j = 0; j < kGramRows; ++j)
      row_of_b[j] = *reinterpret_cast<const UnalignedDoubleVector*>(b + j * width + k);
#pragma GCC unroll 3
    for (int i = 0; i < kGramRows; ++i) {
      const DoubleVector row_of_a = *reinterpret_cast<const UnalignedDoubleVector*>(a + i * width + k);
#pragma GCC unroll 3
      for (int j = 0; j < kGramRows; ++j) sum[i][j] += row_of_a * row_of_b[j];
    }
  }
  for (int i = 0; i < kGramRows; ++i) {
    for (int j = 0; j < kGramRows; ++j) {
      double total = 0;
      for (int lane = 0; lane < kDoubles; ++lane) total += sum[i][j][lane];
      products[i * count + j] += total;
    }
  }
}

void add_gram(const double* rows, std::int64_t count, std::int64_t width, double* products) {
  for (std::int64_t i = 0; i < count; i += kGramRows) {
    for (std::int64_t j = 0; j <= i; j += kGramRows) {
      add_products_of_threes(rows + i * width, rows + j * width, width, count, products + i * count + j);
    }
  }
}

}  // namespace
}  // namespace lossatlas
