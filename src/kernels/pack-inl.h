#pragma once

// Weights as a product requires them. Comes after the header that defines padded_depth and store_block_of_b.

#include "kernels/vector-inl.h"

namespace lossatlas {
namespace {

bool pack(const float* weights, std::int64_t outputs, std::int64_t row, const std::int32_t* offsets, std::int64_t depth,
          const float* scale, float* scratch, float* packed) {
  const std::int64_t blocks = blocks_of(outputs);
  bool keeps_digits = true;
  for (std::int64_t block = 0; block < blocks; ++block) {
    const std::int64_t first = block * kBlock, columns = outputs - first < kBlock ? outputs - first : kBlock;
    float* to = scratch;
    for (std::int64_t k = 0; k < padded_depth(depth); ++k, to += kBlock) {
      const bool is_known = k < depth && offsets[k] >= 0;
      const float* from = is_known ? weights + first * row + offsets[k] : nullptr;
      for (std::int64_t j = 0; j < kBlock; ++j) {
        to[j] = is_known && j < columns ? from[j * row] * (scale ? scale[first + j] : 1.0f) : 0.0f;
      }
    }
    keeps_digits &= store_block_of_b(packed, depth, blocks, block, scratch);
  }
  finish_streaming();
  return keeps_digits;
}

}  // namespace
}  // namespace lossatlas
