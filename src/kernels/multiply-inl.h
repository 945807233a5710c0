#pragma once

#include "kernels/vector-inl.h"

namespace lossatlas {
namespace {

// A tile of C in registers: kTileRows rows by kPanelVectors vectors, chosen so that the accumulators, one row of B and
// a broadcast number fill the register file.
#if LOSSATLAS_LANES == 16
constexpr int kTileRows = 12, kPanelVectors = 2;
#elif LOSSATLAS_LANES == 8
constexpr int kTileRows = 6, kPanelVectors = 2;
#else
constexpr int kTileRows = 3, kPanelVectors = 4;
#endif
constexpr std::int64_t kPanel = kPanelVectors * kLanes;

constexpr std::int64_t kDepthChunk = 128;  // a panel of so many rows of B stays in the first-level cache
constexpr std::int64_t kRowChunk = 144;    // so many rows of A stay in the second-level cache

// B is packed in panels: [⌈16·blocks / panel⌉][depth][panel], the last one narrower where 16·blocks ends.

std::int64_t packed_size(std::int64_t depth, std::int64_t blocks) { return depth * blocks * kBlock; }

constexpr std::int64_t padded_depth(std::int64_t depth) { return depth; }

/// One block of columns of B, [depth][16]. True: floats lose nothing.
bool store_block_of_b(float* packed, std::int64_t depth, std::int64_t blocks, std::int64_t block, const float* rows) {
  const std::int64_t column = block * kBlock, first = column / kPanel * kPanel;
  const std::int64_t width = blocks * kBlock - first < kPanel ? blocks * kBlock - first : kPanel;
  float* to = packed + first * depth + column - first;
  for (std::int64_t k = 0; k < depth; ++k, to += width, rows += kBlock) {
    for (int lane = 0; lane < kBlock; lane += kLanes) stream(to + lane, load(rows + lane));
  }
  return true;
}

std::int64_t rows_size(std::int64_t count, std::int64_t depth) { return blocks_of(depth) * staggered(count); }

std::int64_t multiply_scratch(std::int64_t, std::int64_t) { return 0; }

/// Where a tile lies within a product.
struct TilePlace {
  std::int64_t row;
  std::int64_t block;         // first of its blocks of 16 columns
  std::int64_t begin, depth;  // the chunk of the depth
  bool accumulate, last;
  bool fetch_rows;          // the rows of A were not read for a panel before
  const float* next;        // what will be read of B after this panel, fetched ahead by the line
  std::int64_t next_lines;  // at each block of the depth
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
    for (std::int64_t line = 0; line < at.next_lines; ++line, next += kLine) __builtin_prefetch(next, 0, 3);
    if (at.fetch_rows) {
#pragma GCC unroll 16
      for (int r = 0; r < Rows; ++r) __builtin_prefetch(a + product.a_stride + r * kBlock, 0, 3);
    }
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
        const float* residual =
            tail.residual + (at.block + column / kBlock) * tail.residual_stride + at.row * kBlock + column % kBlock;
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

/// The rows of a product that are multiplied by one panel after another, shared out evenly among as few tiles as will
/// do: short tiles keep the processor less busy.
struct RowShare {
  std::int64_t first, tiles;
  std::int64_t rows;    // of a tile,
  std::int64_t longer;  // and one more in so many of the first tiles

  RowShare(std::int64_t first_row, std::int64_t count)
      : first(first_row), tiles((count + kTileRows - 1) / kTileRows), rows(count / tiles), longer(count % tiles) {}
};

template <int Rows, int Vectors>
void multiply_rows(std::int64_t rows, const Product& product, const TilePlace& at, const float* b) {
  if constexpr (Rows > 0) {
    if (rows == Rows) {
      multiply_tile<Rows, Vectors>(product, at, b);
    } else {
      multiply_rows<Rows - 1, Vectors>(rows, product, at, b);
    }
  }
}

template <int Vectors>
void multiply_panel(const Product& product, const RowShare& share, TilePlace at, const float* b) {
  const std::int64_t fetched = at.next ? at.next_lines * kLine * blocks_of(at.depth) : 0;
  if (!at.next) at.next_lines = 0;
  at.row = share.first;
  for (std::int64_t tile = 0; tile < share.tiles; ++tile) {
    const std::int64_t rows = share.rows + (tile < share.longer ? 1 : 0);
    multiply_rows<kTileRows, Vectors>(rows, product, at, b);
    at.row += rows;
    at.next += fetched;
  }
}

/// `next_b`: what will be read of B after this product; null if nothing is known.
void multiply_rows_by_all(const Product& product, const RowShare& share, const float* next_b) {
  constexpr std::int64_t panel_blocks = kPanel / kBlock;
  for (std::int64_t begin = 0; begin < product.depth; begin += kDepthChunk) {
    const std::int64_t left = product.depth - begin, depth = left < kDepthChunk ? left : kDepthChunk;
    const std::int64_t steps = share.tiles * blocks_of(depth);
    const std::int64_t lines = (depth * kPanel / kLine + steps - 1) / steps;
    for (std::int64_t block = 0; block < product.blocks; block += panel_blocks) {
      const float* panel = product.b + block * kBlock * product.depth;
      const bool whole = product.blocks - block >= panel_blocks;
      const float* next = depth < left ? product.b + (begin + kDepthChunk) * kPanel : next_b;
      if (product.blocks - block >= 2 * panel_blocks) next = panel + kPanel * product.depth + begin * kPanel;
      const TilePlace at{.row = 0,
                         .block = block,
                         .begin = begin,
                         .depth = depth,
                         .accumulate = begin > 0,
                         .last = depth == left,
                         .fetch_rows = block == 0,
                         .next = next,
                         .next_lines = lines};
      if (whole) {
        multiply_panel<kPanelVectors>(product, share, at, panel + begin * kPanel);
      } else {
        multiply_panel<kParts>(product, share, at, panel + begin * kBlock);
      }
    }
  }
}

void multiply(const Product& product) {
  Product one = product;
  for (std::int64_t left = product.count; left > 0; --left) {
    for (std::int64_t row = 0; row < product.rows; row += kRowChunk) {
      const std::int64_t rows = product.rows - row;
      const bool last = rows <= kRowChunk;
      const float* next = !last ? one.b : left > 1 ? one.b + product.b_step : nullptr;
      multiply_rows_by_all(one, RowShare(row, last ? rows : kRowChunk), next);
    }
    one.a += product.a_step;
    one.b += product.b_step;
    one.c += product.c_step;
  }
}

}  // namespace
}  // namespace lossatlas
