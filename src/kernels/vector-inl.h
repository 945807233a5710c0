#pragma once

// Vectors of LOSSATLAS_LANES floats, by the vector extension of GCC and Clang. Everything in this file and in those
// that build on it has internal linkage: each instruction set compiles a copy of its own, and none may leak into
// another.

#include <cstdint>

#include "kernels/kernels.h"

#if LOSSATLAS_LANES == 16
#include <immintrin.h>
#endif

namespace lossatlas {
namespace {

constexpr int kLanes = LOSSATLAS_LANES;
constexpr int kParts = static_cast<int>(kBlock) / kLanes;  // vectors in a block
constexpr std::int64_t kLine = 16;                         // floats in a cache line

using Vector [[gnu::vector_size(4 * kLanes)]] = float;
using UnalignedVector [[gnu::vector_size(4 * kLanes), gnu::aligned(4), gnu::may_alias]] = float;

[[gnu::always_inline]] inline Vector load(const float* from) { return *reinterpret_cast<const UnalignedVector*>(from); }
[[gnu::always_inline]] inline void store(float* to, Vector value) { *reinterpret_cast<UnalignedVector*>(to) = value; }
/// Stores past the caches where a vector is a cache line: for large results that are read much later. `to` is aligned
/// to the vector. Ordinary stores and loads of other threads see it after finish_streaming().
[[gnu::always_inline]] inline void stream(float* to, Vector value) {
#if LOSSATLAS_LANES == 16
  _mm512_stream_ps(to, reinterpret_cast<__m512>(value));
#else
  store(to, value);  // a vector is part of a cache line, and to stream parts is slow
#endif
}
[[gnu::always_inline]] inline void finish_streaming() {
#if LOSSATLAS_LANES == 16
  _mm_sfence();
#endif
}
// Subtracting +0 keeps every value, -0 included, so that the compiler drops it.
[[gnu::always_inline]] inline Vector broadcast(float value) { return value - Vector{}; }
[[gnu::always_inline]] inline Vector relu(Vector value) { return value < 0 ? Vector{} : value; }  // NaN stays

}  // namespace
}  // namespace lossatlas
