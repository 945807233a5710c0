#pragma once

#include <immintrin.h>

#include "kernels/amx_tiles-inl.h"
#include "kernels/passes-inl.h"

// Products of numbers rounded to bfloat16 (8 significant bits), which the processor's matrix unit adds in float32.

namespace lossatlas {
namespace {

constexpr std::int64_t kTileDepth = 2 * kBlock;   // of A and B
constexpr std::int64_t kRowUnit = 2 * kTileSide;  // rows that a product takes in one go

constexpr std::int64_t chunks_of(std::int64_t depth) { return (depth + kTileDepth - 1) / kTileDepth; }
constexpr std::int64_t padded_depth(std::int64_t depth) { return chunks_of(depth) * kTileDepth; }

using Bits [[gnu::vector_size(4 * kLanes)]] = std::uint32_t;

/// Stores two vectors as bfloat16, one after the other.
[[gnu::always_inline]] inline void store_line(float* to, Vector first, Vector second) {
  const auto rounded = _mm512_cvtne2ps_pbh(reinterpret_cast<__m512>(second), reinterpret_cast<__m512>(first));
  _mm512_store_si512(to, reinterpret_cast<__m512i>(rounded));
}

/// The same of one vector: half a line.
[[gnu::always_inline]] inline void store_half(float* to, Vector value) {
  const auto rounded = _mm512_cvtneps_pbh(reinterpret_cast<__m512>(value));
  _mm256_store_si256(reinterpret_cast<__m256i*>(to), reinterpret_cast<__m256i>(rounded));
}

/// Streams two vectors as bfloat16, in turn.
[[gnu::always_inline]] inline void stream_in_turn(float* to, Vector even, Vector odd) {
  const auto round = [](Vector value) __attribute__((always_inline)) {  // halves away from 0
    const auto rounded = reinterpret_cast<Vector>(reinterpret_cast<Bits>(value) + 0x8000u);
    return reinterpret_cast<Bits>(value == value ? rounded : value);
  };
  stream(to, reinterpret_cast<Vector>((round(even) >> 16) | (round(odd) & 0xffff0000u)));
}

// B is [panel of two blocks][chunk of the depth][block] tiles, the depth of each in pairs: [16][16][2].

std::int64_t packed_size(std::int64_t depth, std::int64_t blocks) { return blocks * chunks_of(depth) * kTileFloats; }

/// One block of columns of B, [padded_depth(depth)][16]. True: bfloat16 has the exponents of floats.
bool store_block_of_b(float* packed, std::int64_t depth, std::int64_t blocks, std::int64_t block, const float* rows) {
  const std::int64_t first = block & ~std::int64_t{1}, width = blocks - first < 2 ? 1 : 2;
  float* to = packed + (first * chunks_of(depth) + block - first) * kTileFloats;
  for (std::int64_t k = 0; k < padded_depth(depth); k += 2, rows += 2 * kBlock) {
    stream_in_turn(to + k / kTileDepth * width * kTileFloats + k % kTileDepth / 2 * kBlock, load(rows),
                   load(rows + kBlock));
  }
  return true;
}

// A is [chunk of the depth][rows][32], with `stride` floats from one list of rows to the next: a tile is 16 rows of
// such a list. Tiles reach past the last row, into whatever lies there: what comes of it is not stored.

std::int64_t rows_size(std::int64_t rows, std::int64_t depth) {
  return chunks_of(depth) * staggered(rows) + kTileFloats;
}

std::int64_t multiply_scratch(std::int64_t rows, std::int64_t depth) {
  return rows_size(rows < kRowChunk ? rows : kRowChunk, depth);
}

/// Some rows of activations as A.
void round_rows(const Product& product, std::int64_t first, std::int64_t count, float* rows) {
  const std::int64_t blocks = blocks_of(product.depth);
  for (std::int64_t block = 0; block < blocks; block += 2, rows += staggered(count)) {
    const float* low = product.a + block * product.a_stride + first * kBlock;
    const float* high = block + 1 < blocks ? low + product.a_stride : nullptr;
    for (std::int64_t i = 0; i < count * kBlock; i += kBlock) {
      store_line(rows + i, load(low + i), high ? load(high + i) : Vector{});
    }
  }
}

/// Output pixels one after another whose inputs, for one tap of a window, lie in one row of an image, or outside.
struct Run {
  std::int64_t row, count;
  std::int64_t place;  // floats from the begin of a block, or kOutside
};
constexpr std::int64_t kOutside = -1;

/// Fills `runs` for one tap; returns their number.
std::int64_t find_runs(const Activations& in, const Window& window, std::int64_t out_height, std::int64_t out_width,
                       std::int64_t tap, std::int64_t first, std::int64_t count, Run (&runs)[kMostGathered]) {
  const std::int64_t down = tap / window.width * window.dilation_y - window.padding_y;
  const std::int64_t right = tap % window.width * window.dilation_x - window.padding_x;
  // Outputs begin <= x < end have their input inside.
  const std::int64_t begin = right < 0 ? (-right + window.stride_x - 1) / window.stride_x : 0;
  const std::int64_t last = (in.width - 1 - right + window.stride_x) / window.stride_x;
  const std::int64_t end = last < begin ? begin : last < out_width ? last : out_width;
  std::int64_t x = first % out_width, y = first / out_width % out_height, image = first / out_width / out_height;
  std::int64_t known = 0;
  for (std::int64_t row = 0; row < count;) {
    const std::int64_t in_y = y * window.stride_y + down;
    const bool is_row_inside = in_y >= 0 && in_y < in.height;
    const bool is_inside = is_row_inside && x >= begin && x < end;
    std::int64_t stop = !is_row_inside || x >= end ? out_width : x < begin ? begin : end;
    if (stop > out_width) stop = out_width;
    if (stop - x > count - row) stop = x + count - row;
    const std::int64_t in_x = x * window.stride_x + right;
    runs[known++] = {row, stop - x, is_inside ? ((image * in.height + in_y) * in.width + in_x) * kBlock : kOutside};
    row += stop - x;
    x = stop;
    if (x < out_width) continue;
    x = 0;
    if (++y < out_height) continue;
    y = 0;
    ++image;
  }
  return known;
}

/// Kernels::gather: two blocks of the depth, each a tap and a block of channels, make a chunk.
void gather(const Activations& in, const Window& window, std::int64_t out_height, std::int64_t out_width,
            const Affine& affine, std::int64_t first, std::int64_t count, float* rows) {
  constexpr std::int64_t kHalf = kBlock / 2;
  const std::int64_t blocks = window.taps() * in.blocks, stride = staggered(count), step = window.stride_x * kBlock;
  Run runs[kMostGathered];
  std::int64_t number = 0;
  for (std::int64_t tap = 0; tap < window.taps(); ++tap) {
    const std::int64_t known = find_runs(in, window, out_height, out_width, tap, first, count, runs);
    for (std::int64_t block = 0; block < in.blocks;) {
      const bool both = number % 2 == 0 && block + 1 < in.blocks;  // fill lines whole
      float* list = rows + number / 2 * stride + number % 2 * kHalf;
      for (std::int64_t i = 0; i < known; ++i) {
        const Run run = runs[i];
        float* to = list + run.row * kBlock;
        float* const end = to + run.count * kBlock;
        const float* from = in.data + block * in.stride + run.place;
        if (run.place == kOutside) {
          for (; to < end; to += kBlock) both ? store_line(to, Vector{}, Vector{}) : store_half(to, Vector{});
        } else if (both) {
          for (; to < end; to += kBlock, from += step) {
            store_line(to, apply(affine, block * kBlock, load(from)),
                       apply(affine, (block + 1) * kBlock, load(from + in.stride)));
          }
        } else {
          for (; to < end; to += kBlock, from += step) store_half(to, apply(affine, block * kBlock, load(from)));
        }
      }
      block += both ? 2 : 1;
      number += both ? 2 : 1;
    }
  }
  for (std::int64_t row = 0; blocks % 2 == 1 && row < count; ++row) {
    store_half(rows + number / 2 * stride + kHalf + row * kBlock, Vector{});
  }
}

/// Where the tiles of A lie: a chunk of the depth after another, for a tap of a window after another, `shifts` floats
/// apart.
struct RowsOfA {
  const float* data;
  std::int64_t stride, chunks;
  const std::int64_t* shifts;
  std::int64_t taps;
};

/// C of Rows x Columns tiles, in tile registers 0 to 3; 4 and 5 hold A, 6 and 7 B.
template <int Rows, int Columns>
void multiply_tiles(const RowsOfA& rows, const float* b, float* const (&c)[2][2]) {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (std::int64_t tap = 0; tap < rows.taps; ++tap) {
    const float* a = rows.data + rows.shifts[tap];
    for (std::int64_t chunk = 0; chunk < rows.chunks; ++chunk, a += rows.stride, b += Columns * kTileFloats) {
      _tile_loadd(4, a, kLineBytes);
      if constexpr (Rows > 1) _tile_loadd(5, a + kTileFloats, kLineBytes);
      _tile_loadd(6, b, kLineBytes);
      if constexpr (Columns > 1) _tile_loadd(7, b + kTileFloats, kLineBytes);
      _tile_dpbf16ps(0, 4, 6);
      if constexpr (Columns > 1) _tile_dpbf16ps(1, 4, 7);
      if constexpr (Rows > 1) _tile_dpbf16ps(2, 5, 6);
      if constexpr (Rows > 1 && Columns > 1) _tile_dpbf16ps(3, 5, 7);
    }
  }
  _tile_stored(0, c[0][0], kLineBytes);
  if constexpr (Columns > 1) _tile_stored(1, c[0][1], kLineBytes);
  if constexpr (Rows > 1) _tile_stored(2, c[1][0], kLineBytes);
  if constexpr (Rows > 1 && Columns > 1) _tile_stored(3, c[1][1], kLineBytes);
}

/// What follows the sums of products, on some rows of one block of C.
void finish(const Product& product, std::int64_t block, std::int64_t row, std::int64_t rows) {
  const Tail& tail = product.tail;
  float* c = product.c + block * product.c_stride + row * kBlock;
  const float* residual = tail.residual ? tail.residual + block * tail.residual_stride + row * kBlock : nullptr;
  const Vector bias = tail.bias ? load(tail.bias + block * kBlock) : Vector{};
  for (std::int64_t i = 0; i < rows * kBlock; i += kBlock) {
    Vector value = load(c + i) + bias;
    if (residual) value += load(residual + i);
    store(c + i, tail.relu ? relu(value) : value);
  }
}

/// Up to two tiles of rows by up to two blocks of columns. Rows past the last one go to `spare`.
void multiply_rows(const Product& product, std::int64_t block, std::int64_t row, std::int64_t rows, RowsOfA a,
                   const float* b, float* spare) {
  const bool wide = product.blocks - block > 1;
  float* c[2][2];
  for (int i = 0; i < 2; ++i) {
    for (int j = 0; j < 2; ++j) c[i][j] = product.c + (block + j) * product.c_stride + (row + i * kTileSide) * kBlock;
  }
  const std::int64_t left = rows % kTileSide, full = rows - left;
  if (full > kTileSide) {
    wide ? multiply_tiles<2, 2>(a, b, c) : multiply_tiles<2, 1>(a, b, c);
  } else if (full > 0) {
    wide ? multiply_tiles<1, 2>(a, b, c) : multiply_tiles<1, 1>(a, b, c);
  }
  if (left > 0) {  // a tile is stored whole
    float* to[2][2] = {{spare, spare + kTileFloats}, {}};
    a.data += full * kBlock;
    wide ? multiply_tiles<1, 2>(a, b, to) : multiply_tiles<1, 1>(a, b, to);
    for (std::int64_t j = 0; j < (wide ? 2 : 1); ++j) {
      float* last = product.c + (block + j) * product.c_stride + (row + full) * kBlock;
      for (std::int64_t i = 0; i < left * kBlock; i += kBlock) store(last + i, load(to[0][j] + i));
    }
  }
  if (product.tail.bias || product.tail.residual || product.tail.relu) {
    for (std::int64_t j = 0; j < (wide ? 2 : 1); ++j) finish(product, block + j, row, rows);
  }
}

void multiply_one(const Product& product) {
  alignas(64) float spare[2 * kTileFloats];
  static constexpr std::int64_t kNoShift = 0;
  for (std::int64_t first = 0; first < product.rows; first += kRowChunk) {
    const std::int64_t count = product.rows - first < kRowChunk ? product.rows - first : kRowChunk;
    RowsOfA a{.data = product.a + first * kBlock,
              .stride = product.a_stride,
              .chunks = chunks_of(product.depth),
              .shifts = &kNoShift,
              .taps = 1};
    if (!product.gathered) {
      round_rows(product, first, count, product.scratch);
      a.data = product.scratch;
      a.stride = staggered(count);
    }
    for (std::int64_t block = 0; block < product.blocks; block += 2) {
      const float* b = product.b + packed_size(product.depth, block);
      RowsOfA rows_of_a = a;
      for (std::int64_t row = 0; row < count; row += kRowUnit, rows_of_a.data += kRowUnit * kBlock) {
        multiply_rows(product, block, first + row, count - row < kRowUnit ? count - row : kRowUnit, rows_of_a, b,
                      spare);
      }
    }
  }
}

void multiply(const Product& product) { multiply_each(product, multiply_one); }

}  // namespace
}  // namespace lossatlas
