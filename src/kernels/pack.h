#pragma once

// Weights as a product wants them. Comes after the header that defines packed_size, padded_depth and store_rows_of_b.

#include "kernels/vector.h"

namespace lossatlas {
namespace {

void pack(const float* weights, std::int64_t outputs, std::int64_t row, const std::int32_t* offsets, std::int64_t depth,
          const float* scale, float* packed) {
  const std::int64_t blocks = blocks_of(outputs);
  for (std::int64_t block = 0; block < blocks; ++block) {
    const std::int64_t first = block * kBlock, columns = outputs - first < kBlock ? outputs - first : kBlock;
    for (std::int64_t k = 0; k < padded_depth(depth); k += 2) {
      alignas(64) float rows[2][kBlock] = {};
      for (std::int64_t i = 0; i < 2 && k + i < depth; ++i) {
        if (offsets[k + i] < 0) continue;
        const float* from = weights + first * row + offsets[k + i];
        for (std::int64_t j = 0; j < columns; ++j) rows[i][j] = from[j * row] * (scale ? scale[first + j] : 1.0f);
      }
      for (int lane = 0; lane < kBlock; lane += kLanes) {
        store_rows_of_b(packed, depth, blocks, block, k, lane, load(&rows[0][lane]), load(&rows[1][lane]));
      }
    }
  }
  finish_streaming();
}

}  // namespace
}  // namespace lossatlas
