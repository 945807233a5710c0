#pragma once

#include "kernels/vector-inl.h"

namespace lossatlas {
namespace {

/// As many multiply-adds as fit, none waiting for another: what the processor could do at best.
double multiply_add(std::int64_t rounds) {
  constexpr int kSums = 12;
  Vector sum[kSums] = {}, factor = broadcast(0.999f), number = broadcast(1e-3f);
  for (std::int64_t i = 0; i < rounds; ++i) {
    asm volatile("" : "+x"(factor), "+x"(number));  // or the compiler would see that all sums are equal
#pragma GCC unroll 12
    for (int k = 0; k < kSums; ++k) sum[k] = sum[k] * factor + number;
#pragma GCC unroll 12
    for (int k = 0; k < kSums; ++k) asm volatile("" : "+x"(sum[k]));
  }
  return 2.0 * kSums * kLanes * static_cast<double>(rounds);
}

}  // namespace
}  // namespace lossatlas
