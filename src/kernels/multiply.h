#pragma once

#include "kernels/vector.h"

namespace lossatlas {
namespace {

// A tile of C in registers: kTileRows rows by kPanelVectors vectors, chosen so that the accumulators, one row of B and a
// broadcast number fill the register file.
#if LOSSATLAS_LANES == 16
constexpr int kTileRows = 12, kPanelVectors = 2;
#elif LOSSATLAS_LANES == 8
constexpr int kTileRows = 6, kPanelVectors = 2;
#else
constexpr int kTileRows = 3, kPanelVectors = 4;
#endif
constexpr std::int64_t kPanel = kPanelVectors * kLanes;

constexpr std::int64_t kDepthChunk = 256;  // a panel of so many rows of B stays in the first-level cache
constexpr std::int64_t kRowChunk = 144;    // so many rows of A stay in the second-level cache
constexpr std::int64_t kLine = 16;         // floats in a cache line

/// Where a tile lies within a product.
struct TilePlace {
  std::int64_t row;
  std::int64_t block;         // first of its blocks of 16 columns
  std::int64_t begin, depth;  // the chunk of the depth
  bool accumulate, last;
  const float* next;          // what will be read of B after this panel, fetched ahead by the line
  std::int64_t next_lines;    // at each block of the depth
};

template <int Rows, int Vectors>
void multiply_tile(const Product& product, const TilePlace& at, const float* b) {
  Vector sum[Rows][Vectors];
  float* c[Vectors];
  for (int v = 0; v < Vectors; ++v) {
    const std::int64_t column = v * kLanes;
    c[v] = product.c + (at.block + column / kBlock) * product.c_stride + at.row * kBlock + column % kBlock;
  }
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) sum[r][v] = at.accumulate ? load(c[v] + r * kBlock) : Vector{};
  }
  const float* a = product.a + at.begin / kBlock * product.a_stride + at.row * kBlock;
  const float* next = at.next;
  for (std::int64_t left = at.depth; left > 0; left -= kBlock, a += product.a_stride) {
    for (std::int64_t line = 0; line < at.next_lines; ++line, next += kLine) __builtin_prefetch(next, 0, 2);
    const std::int64_t count = left < kBlock ? left : kBlock;
#pragma GCC unroll 4
    for (std::int64_t k = 0; k < count; ++k, b += Vectors * kLanes) {
      Vector row_of_b[Vectors];
#pragma GCC unroll 4
      for (int v = 0; v < Vectors; ++v) row_of_b[v] = load(b + v * kLanes);
#pragma GCC unroll 16
      for (int r = 0; r < Rows; ++r) {
        const Vector number = broadcast(a[r * kBlock + k]);
#pragma GCC unroll 4
        for (int v = 0; v < Vectors; ++v) sum[r][v] += number * row_of_b[v];
      }
    }
  }
  if (at.last) {
    const Tail& tail = product.tail;
    if (tail.bias) {
#pragma GCC unroll 4
      for (int v = 0; v < Vectors; ++v) {
        const Vector bias = load(tail.bias + at.block * kBlock + v * kLanes);
#pragma GCC unroll 16
        for (int r = 0; r < Rows; ++r) sum[r][v] += bias;
      }
    }
    if (tail.residual) {
#pragma GCC unroll 4
      for (int v = 0; v < Vectors; ++v) {
        const std::int64_t column = v * kLanes;
        const float* residual = tail.residual + (at.block + column / kBlock) * tail.residual_stride + at.row * kBlock +
                                column % kBlock;
#pragma GCC unroll 16
        for (int r = 0; r < Rows; ++r) sum[r][v] += load(residual + r * kBlock);
      }
    }
    if (tail.relu) {
#pragma GCC unroll 16
      for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 4
        for (int v = 0; v < Vectors; ++v) sum[r][v] = relu(sum[r][v]);
      }
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) store(c[v] + r * kBlock, sum[r][v]);
  }
}

template <int Rows, int Vectors>
void multiply_rows(int rows, const Product& product, const TilePlace& at, const float* b) {
  if constexpr (Rows > 0) {
    if (rows == Rows) {
      multiply_tile<Rows, Vectors>(product, at, b);
    } else {
      multiply_rows<Rows - 1, Vectors>(rows, product, at, b);
    }
  }
}

/// Rows are shared out evenly among as few tiles as will do: short tiles keep the processor less busy.
template <int Vectors>
void multiply_panel(const Product& product, TilePlace at, std::int64_t rows, const float* b) {
  const std::int64_t all_tiles = (rows + kTileRows - 1) / kTileRows, steps = all_tiles * blocks_of(at.depth);
  const std::int64_t lines = at.depth * Vectors * kLanes / kLine;
  at.next_lines = at.next ? (lines + steps - 1) / steps : 0;
  for (std::int64_t tiles = all_tiles; tiles > 0; --tiles) {
    const std::int64_t take = (rows + tiles - 1) / tiles;
    multiply_rows<kTileRows, Vectors>(static_cast<int>(take), product, at, b);
    at.row += take;
    at.next += at.next ? at.next_lines * kLine * blocks_of(at.depth) : 0;
    rows -= take;
  }
}

void multiply(const Product& product) {
  constexpr std::int64_t panel_blocks = kPanel / kBlock;
  for (std::int64_t row = 0; row < product.rows; row += kRowChunk) {
    const std::int64_t rows = product.rows - row < kRowChunk ? product.rows - row : kRowChunk;
    for (std::int64_t begin = 0; begin < product.depth; begin += kDepthChunk) {
      const std::int64_t left = product.depth - begin;
      const std::int64_t depth = left < kDepthChunk ? left : kDepthChunk;
      for (std::int64_t block = 0; block < product.blocks; block += panel_blocks) {
        const float* panel = product.b + block * kBlock * product.depth;
        TilePlace at{row, block, begin, depth, begin > 0, depth == left, nullptr, 0};
        if (product.blocks - block >= panel_blocks) {
          if (product.blocks - block >= 2 * panel_blocks) at.next = panel + kPanel * product.depth + begin * kPanel;
          multiply_panel<kPanelVectors>(product, at, rows, panel + begin * kPanel);
        } else {
          multiply_panel<kParts>(product, at, rows, panel + begin * kBlock);
        }
      }
    }
  }
}

}  // namespace
}  // namespace lossatlas
