#pragma once

#include <immintrin.h>

#include "kernels/passes.h"
#include "kernels/vector.h"

// Products on the processor's matrix unit (AMX), which multiplies bfloat16 (8 significant bits) and adds in float32.
// LOSSATLAS_PARTS says how many bfloat16 stand for a number. One: numbers are rounded. Three: a float32 is the sum of
// three bfloat16, a product of two the sum of nine; the six largest are computed, and what is left out is below 2⁻²⁴ of
// the product: as exact as float32 arithmetic, at 2.7 times the rate of AVX-512.

namespace lossatlas {
namespace {

constexpr int kSplit = LOSSATLAS_PARTS;
static_assert(kSplit == 1 || kSplit == 3);
constexpr std::int64_t kTileSide = 16;            // rows of a tile of A and C, columns of one of B and C
constexpr std::int64_t kTileDepth = 2 * kBlock;   // of A and B
constexpr std::int64_t kTileFloats = 256;         // 1 KB
constexpr std::int64_t kRowChunk = 128;           // so many rows of A stay in cache, split before any of C is written
static_assert(kRowChunk >= kMostGathered);        // Kernels::in_place
constexpr std::int64_t kLargestFetched = 1 << 16;  // floats of B
constexpr std::int64_t kRowUnit = 2 * kTileSide;  // rows that a product takes in one go

constexpr std::int64_t chunks_of(std::int64_t depth) { return (depth + kTileDepth - 1) / kTileDepth; }

using Bits [[gnu::vector_size(4 * kLanes)]] = std::uint32_t;

/// The bfloat16 nearest to each number, as a float32 (halves are rounded away from 0). NaN may become anything: where the
/// number is split, what is left of it stays NaN.
[[gnu::always_inline]] inline Vector round_to_bfloat16(Vector value) {
  return reinterpret_cast<Vector>((reinterpret_cast<Bits>(value) + 0x8000u) & 0xffff0000u);
}

/// Stores two vectors as bfloat16, one after the other. Of three parts each is one already.
[[gnu::always_inline]] inline void store_in_line(float* to, Vector first, Vector second) {
  if constexpr (kSplit == 1) {
    const auto rounded = _mm512_cvtne2ps_pbh(reinterpret_cast<__m512>(second), reinterpret_cast<__m512>(first));
    _mm512_store_si512(to, reinterpret_cast<__m512i>(rounded));
  } else {
    alignas(64) static constexpr std::uint16_t places[32] = {1,  3,  5,  7,  9,  11, 13, 15, 17, 19, 21,
                                                             23, 25, 27, 29, 31, 33, 35, 37, 39, 41, 43,
                                                             45, 47, 49, 51, 53, 55, 57, 59, 61, 63};
    const __m512i halves = _mm512_permutex2var_epi16(reinterpret_cast<__m512i>(first), _mm512_load_si512(places),
                                                     reinterpret_cast<__m512i>(second));
    _mm512_store_si512(to, halves);
  }
}

/// Streams two vectors as bfloat16, in turn.
[[gnu::always_inline]] inline void stream_in_turn(float* to, Vector even, Vector odd) {
  if constexpr (kSplit == 1) {
    even = even == even ? round_to_bfloat16(even) : even;
    odd = odd == odd ? round_to_bfloat16(odd) : odd;
  }
  const Bits both = (reinterpret_cast<Bits>(even) >> 16) | (reinterpret_cast<Bits>(odd) & 0xffff0000u);
  stream(to, reinterpret_cast<Vector>(both));
}

/// The bfloat16 that stand for the numbers of two vectors, joined and stored by `put`, `step` floats apart.
template <class Put>
[[gnu::always_inline]] inline void split(Vector a, Vector b, float* to, std::int64_t step, Put put) {
#pragma GCC unroll 2
  for (int part = 1; part < kSplit; ++part, to += step) {
    const Vector upper_a = round_to_bfloat16(a), upper_b = round_to_bfloat16(b);
    put(to, upper_a, upper_b);
    a -= upper_a;
    b -= upper_b;
  }
  put(to, a, b);  // of three, the last has no bits left to lose
}

/// The same of one vector: half a line each.
[[gnu::always_inline]] inline void split_half(Vector value, float* to, std::int64_t step) {
  const auto store_upper = [&](Vector upper) __attribute__((always_inline)) {
    const Bits halves = reinterpret_cast<Bits>(upper) >> 16;
    _mm256_store_si256(reinterpret_cast<__m256i*>(to), _mm512_maskz_cvtepi32_epi16(0xffff, reinterpret_cast<__m512i>(halves)));
  };
  if constexpr (kSplit == 1) {
    const auto rounded = _mm512_cvtneps_pbh(reinterpret_cast<__m512>(value));
    _mm256_store_si256(reinterpret_cast<__m256i*>(to), reinterpret_cast<__m256i>(rounded));
    return;
  }
#pragma GCC unroll 2
  for (int part = 0; part < 2; ++part, to += step) {
    const Vector upper = round_to_bfloat16(value);
    store_upper(upper);
    value -= upper;
  }
  store_upper(value);
}

// B is [panel of two blocks][chunk of the depth][block][part] tiles, the depth of each in pairs: [16][16][2].

std::int64_t packed_size(std::int64_t depth, std::int64_t blocks) {
  return blocks * chunks_of(depth) * kSplit * kTileFloats;
}

constexpr std::int64_t padded_depth(std::int64_t depth) { return chunks_of(depth) * kTileDepth; }

/// Rows k and k + 1 of one block of columns of B; k is even.
[[gnu::always_inline]] inline void store_rows_of_b(float* packed, std::int64_t depth, std::int64_t blocks,
                                                   std::int64_t block, std::int64_t k, int, Vector even, Vector odd) {
  const std::int64_t first = block & ~std::int64_t{1}, width = blocks - first < 2 ? 1 : 2;
  const std::int64_t tile = first * chunks_of(depth) + k / kTileDepth * width + (block - first);
  float* to = packed + tile * kSplit * kTileFloats + k % kTileDepth / 2 * kBlock;
  split(even, odd, to, kTileFloats, stream_in_turn);
}

// A is [chunk of the depth][part][rows][32], with `stride` floats from one list of rows to the next: a tile is 16 rows of
// such a list. Tiles reach past the last row, into whatever lies there: what comes of it is not stored.

std::int64_t rows_size(std::int64_t rows, std::int64_t depth) {
  return chunks_of(depth) * kSplit * staggered(rows) + kTileFloats;
}

std::int64_t multiply_scratch(std::int64_t rows, std::int64_t depth) {
  return rows_size(rows < kRowChunk ? rows : kRowChunk, depth);
}

/// Some rows of activations as A.
void split_rows(const Product& product, std::int64_t first, std::int64_t count, float* rows) {
  const std::int64_t blocks = blocks_of(product.depth), stride = staggered(count);
  for (std::int64_t block = 0; block < blocks; block += 2, rows += kSplit * stride) {
    const float* low = product.a + block * product.a_stride + first * kBlock;
    const bool whole = block + 1 < blocks;
    for (std::int64_t i = 0; i < count * kBlock; i += kBlock) {
      split(load(low + i), whole ? load(low + product.a_stride + i) : Vector{}, rows + i, stride, store_in_line);
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
      float* list = rows + number / 2 * kSplit * stride + number % 2 * kHalf;
      for (std::int64_t i = 0; i < known; ++i) {
        const Run run = runs[i];
        float* to = list + run.row * kBlock;
        float* const end = to + run.count * kBlock;
        const float* from = in.data + block * in.stride + run.place;
        if (run.place == kOutside) {
          for (; to < end; to += kBlock) {
            both ? split(Vector{}, Vector{}, to, stride, store_in_line) : split_half(Vector{}, to, stride);
          }
        } else if (both) {
          for (; to < end; to += kBlock, from += step) {
            split(apply(affine, block * kBlock, load(from)), apply(affine, (block + 1) * kBlock, load(from + in.stride)), to,
                  stride, store_in_line);
          }
        } else {
          for (; to < end; to += kBlock, from += step) split_half(apply(affine, block * kBlock, load(from)), to, stride);
        }
      }
      block += both ? 2 : 1;
      number += both ? 2 : 1;
    }
  }
  for (std::int64_t row = 0; blocks % 2 == 1 && row < count; ++row) {
    split_half(Vector{}, rows + number / 2 * kSplit * stride + kHalf + row * kBlock, stride);
  }
}

struct [[gnu::packed]] TileConfiguration {
  std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
  std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

/// What will be read of B after this panel, fetched ahead while the matrix unit works: so many lines each time.
struct Ahead {
  const float* next;
  std::int64_t lines;
};

/// C of Rows x Columns tiles, in tile registers 0 to 3; 4 and 5 hold A, 6 and 7 B.
template <int Rows, int Columns>
void multiply_tiles(const float* a, std::int64_t a_stride, const float* b, std::int64_t chunks,
                    float* const (&c)[2][2], Ahead ahead) {
  constexpr int kLineBytes = 64;
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  const auto load_a = [&](int part) __attribute__((always_inline)) {
    _tile_loadd(4, a + part * a_stride, kLineBytes);
    if constexpr (Rows > 1) _tile_loadd(5, a + part * a_stride + kTileFloats, kLineBytes);
  };
  const auto load_b = [&](int part) __attribute__((always_inline)) {
    _tile_loadd(6, b + part * kTileFloats, kLineBytes);
    if constexpr (Columns > 1) _tile_loadd(7, b + (kSplit + part) * kTileFloats, kLineBytes);
  };
  const auto add_products = [&]() __attribute__((always_inline)) {
    for (std::int64_t line = 0; line < ahead.lines; ++line, ahead.next += kLine) __builtin_prefetch(ahead.next, 0, 2);
    _tile_dpbf16ps(0, 4, 6);
    if constexpr (Columns > 1) _tile_dpbf16ps(1, 4, 7);
    if constexpr (Rows > 1) _tile_dpbf16ps(2, 5, 6);
    if constexpr (Rows > 1 && Columns > 1) _tile_dpbf16ps(3, 5, 7);
  };
  for (std::int64_t chunk = 0; chunk < chunks; ++chunk, a += kSplit * a_stride, b += Columns * kSplit * kTileFloats) {
    load_a(0);
    if constexpr (kSplit == 1) {
      load_b(0);
      add_products();
    } else {
      load_b(2);
      add_products();
      load_b(1);
      add_products();
      load_b(0);
      add_products();
      load_a(1);
      add_products();
      load_b(1);
      add_products();
      load_a(2);
      load_b(0);
      add_products();
    }
  }
  _tile_stored(0, c[0][0], kLineBytes);
  if constexpr (Columns > 1) _tile_stored(1, c[0][1], kLineBytes);
  if constexpr (Rows > 1) _tile_stored(2, c[1][0], kLineBytes);
  if constexpr (Rows > 1 && Columns > 1) _tile_stored(3, c[1][1], kLineBytes);
}

/// What follows the sum of products, on some rows of one block of C.
void finish(const Product& product, std::int64_t block, std::int64_t row, std::int64_t rows) {
  const Tail& tail = product.tail;
  float* c = product.c + block * product.c_stride + row * kBlock;
  const float* residual = tail.residual ? tail.residual + block * tail.residual_stride + row * kBlock : nullptr;
  const Vector bias = tail.bias ? load(tail.bias + block * kBlock) : Vector{};
  for (std::int64_t i = 0; i < rows * kBlock; i += kLanes) {
    Vector value = load(c + i) + bias;
    if (residual) value += load(residual + i);
    store(c + i, tail.relu ? relu(value) : value);
  }
}

/// Some rows of A.
struct RowsOfA {
  const float* data;
  std::int64_t stride;
};

/// Up to two tiles of rows by up to two blocks of columns. Rows past the last one go to `spare`.
void multiply_rows(const Product& product, std::int64_t block, std::int64_t row, std::int64_t rows, RowsOfA a,
                   const float* b, Ahead ahead, float* spare) {
  const bool wide = product.blocks - block > 1;
  float* c[2][2];
  for (int i = 0; i < 2; ++i) {
    for (int j = 0; j < 2; ++j) c[i][j] = product.c + (block + j) * product.c_stride + (row + i * kTileSide) * kBlock;
  }
  const std::int64_t chunks = chunks_of(product.depth), left = rows % kTileSide, full = rows - left;
  if (full > kTileSide) {
    wide ? multiply_tiles<2, 2>(a.data, a.stride, b, chunks, c, ahead)
         : multiply_tiles<2, 1>(a.data, a.stride, b, chunks, c, ahead);
  } else if (full > 0) {
    wide ? multiply_tiles<1, 2>(a.data, a.stride, b, chunks, c, ahead)
         : multiply_tiles<1, 1>(a.data, a.stride, b, chunks, c, ahead);
  }
  if (left > 0) {  // a tile is stored whole
    float* to[2][2] = {{spare, spare + kTileFloats}, {}};
    const float* rest = a.data + full * kBlock;
    wide ? multiply_tiles<1, 2>(rest, a.stride, b, chunks, to, {}) : multiply_tiles<1, 1>(rest, a.stride, b, chunks, to, {});
    for (std::int64_t j = 0; j < (wide ? 2 : 1); ++j) {
      float* last = product.c + (block + j) * product.c_stride + (row + full) * kBlock;
      for (std::int64_t i = 0; i < left * kBlock; i += kLanes) store(last + i, load(to[0][j] + i));
    }
  }
  if (product.tail.bias || product.tail.residual || product.tail.relu) {
    for (std::int64_t j = 0; j < (wide ? 2 : 1); ++j) finish(product, block + j, row, rows);
  }
}

void multiply_one(const Product& product) {
  alignas(64) float spare[2 * kTileFloats];
  constexpr std::int64_t kTimes = 6;  // that products of three parts are added for a chunk of the depth
  const std::int64_t chunks = chunks_of(product.depth);
  for (std::int64_t first = 0; first < product.rows; first += kRowChunk) {
    const std::int64_t count = product.rows - first < kRowChunk ? product.rows - first : kRowChunk;
    RowsOfA a{product.a + first * kBlock, product.a_stride};
    if (!product.gathered) {
      split_rows(product, first, count, product.scratch);
      a = {product.scratch, staggered(count)};
    }
    // Rounded to bfloat16, B mostly is in cache. Where a panel serves few rows, the next one is wanted sooner than memory
    // could bring it; a large one would drive A out of the second-level cache.
    const std::int64_t lines = 2 * kSplit * kTileFloats / kLine, panel = chunks * lines * kLine;
    const std::int64_t times = (count + kRowUnit - 1) / kRowUnit * kTimes;
    const bool fetches = kSplit > 1 && count > kRowUnit && panel <= kLargestFetched;
    const std::int64_t lines_each_time = fetches ? (lines + times - 1) / times : 0;
    for (std::int64_t block = 0; block < product.blocks; block += 2) {
      const float* b = product.b + block * chunks * kSplit * kTileFloats;
      Ahead ahead{b + panel, lines_each_time};
      for (std::int64_t row = 0; row < count; row += kRowUnit) {
        const std::int64_t rows = count - row < kRowUnit ? count - row : kRowUnit;
        multiply_rows(product, block, first + row, rows, {a.data + row * kBlock, a.stride}, b, ahead, spare);
        ahead.next += lines_each_time * kTimes * chunks * kLine;
      }
    }
  }
}

void multiply(const Product& product) {
  static constexpr TileConfiguration configuration;
  _tile_loadconfig(&configuration);
  Product one = product;
  for (std::int64_t left = product.count; left > 0; --left) {
    multiply_one(one);
    one.a += product.a_step;
    one.b += product.b_step;
    one.c += product.c_step;
  }
  _tile_release();
}

}  // namespace
}  // namespace lossatlas
