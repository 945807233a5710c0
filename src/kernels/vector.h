#pragma once

// Vectors of LOSSATLAS_LANES floats, by the vector extension of GCC and Clang. Everything in this file and in those that
// build on it has internal linkage: each instruction set compiles a copy of its own, and none may leak into another.

#include <cstdint>

#include "kernels/kernels.h"

namespace lossatlas {
namespace {

constexpr int kLanes = LOSSATLAS_LANES;
constexpr int kParts = static_cast<int>(kBlock) / kLanes;  // vectors in a block

using Vector [[gnu::vector_size(4 * kLanes)]] = float;
using UnalignedVector [[gnu::vector_size(4 * kLanes), gnu::aligned(4), gnu::may_alias]] = float;

[[gnu::always_inline]] inline Vector load(const float* from) {
  return *reinterpret_cast<const UnalignedVector*>(from);
}
[[gnu::always_inline]] inline void store(float* to, Vector value) { *reinterpret_cast<UnalignedVector*>(to) = value; }
// Subtracting +0 keeps every value, -0 included, so that the compiler drops it.
[[gnu::always_inline]] inline Vector broadcast(float value) { return value - Vector{}; }
[[gnu::always_inline]] inline Vector relu(Vector value) { return value < 0 ? Vector{} : value; }  // NaN stays

}  // namespace
}  // namespace lossatlas
