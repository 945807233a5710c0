#pragma once

#include <immintrin.h>

#include "kernels/amx_tiles-inl.h"
#include "kernels/passes-inl.h"
#include "kernels/vector-inl.h"

// Products of float32 on the processor's matrix unit (AMX), which multiplies whole numbers of 8 bits at twice the rate
// of bfloat16, and adds them in 32 bits without rounding. A row of A is scaled so that its largest number becomes
// kLargest, and rounded to whole numbers of 24 bits: three digits from -128 to 127, 65536 a0 + 256 a1 + a2. So are the
// columns of B. Of the nine products of digits the six largest are summed. What is left out, and what was rounded, is
// about 2⁻²⁵ of a row's largest number times a column's, for each number of the depth: as much as sums in float32 lose.
// A row's scale is its own, whatever other rows hold. Where a few numbers are so large that the others lose their
// digits beside them, the row or column is reported: it is to be multiplied by another instruction set.

namespace lossatlas {
namespace {

constexpr int kDigits = 3;
constexpr std::int64_t kTileDepth = 4 * kBlock;  // of A and B
constexpr std::int64_t kRowUnit = kTileSide;     // rows that a product takes in one go

constexpr std::int64_t chunks_of(std::int64_t depth) { return (depth + kTileDepth - 1) / kTileDepth; }
constexpr std::int64_t padded_depth(std::int64_t depth) { return chunks_of(depth) * kTileDepth; }

using Whole [[gnu::vector_size(4 * kLanes)]] = std::int32_t;

constexpr std::int64_t kMostDepth = 1 << 15;  // three products of digits, of at most 2¹⁴ each, at each of it: below 2³¹

constexpr float kLargest = 0x7f7f00;  // 127 127 0, that no rounding makes a fourth digit of

constexpr std::int32_t kInfinity = 0x7f800000;  // its bits

/// What numbers of a row or column are multiplied by, and what their integers are to be multiplied by in the end.
struct Scales {
  Vector up, down;
};

/// Of the bits of the largest magnitude. Not a number where that is not finite, so that sums come out as such.
[[gnu::always_inline]] inline Scales scales_of(Whole largest_bits) {
  constexpr float kTiny = 1e-30f;  // numbers below it lose digits
  const Vector magnitude = reinterpret_cast<Vector>(largest_bits);
  const Vector largest = magnitude < kTiny ? broadcast(kTiny) : magnitude;
  const Vector down = largest / kLargest;
  return {kLargest / largest, largest_bits >= kInfinity ? broadcast(__builtin_nanf("")) : down};
}

[[gnu::always_inline]] inline Whole magnitude_bits(Vector value) { return reinterpret_cast<Whole>(value) & 0x7fffffff; }
[[gnu::always_inline]] inline Whole larger(Whole a, Whole b) { return a > b ? a : b; }
[[gnu::always_inline]] inline std::int32_t largest_of(Whole x) {
  x = larger(x, __builtin_shufflevector(x, x, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7));
  x = larger(x, __builtin_shufflevector(x, x, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11));
  x = larger(x, __builtin_shufflevector(x, x, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13));
  x = larger(x, __builtin_shufflevector(x, x, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14));
  return x[0];
}

// Rounding changes a number of at least kKept times the largest by at most 2⁻¹² of itself. Where fewer than one in
// kFewest of those other than 0 are so large, too much is lost: what a sum is made of may be the others alone.
constexpr float kKept = 0x1p-12f;
constexpr int kFewest = 8;

/// Counts, by lane.
struct Kept {
  Whole numbers{}, kept{};  // other than 0; of them, at least kKept times the largest
};

/// Of `count` vectors that lie `step` floats apart.
[[gnu::always_inline]] inline Kept count_kept(const float* from, std::int64_t count, std::int64_t step,
                                              Vector largest) {
  Kept counts;
  for (; count > 0; --count, from += step) {
    const Whole bits = magnitude_bits(load(from));
    counts.numbers -= bits != 0;
    counts.kept -= reinterpret_cast<Vector>(bits) >= largest * kKept;
  }
  return counts;
}

/// Digits with 128 added to each, in the lowest three bytes.
[[gnu::always_inline]] inline Whole digits_of(Vector value, Vector up) {
  return reinterpret_cast<Whole>(_mm512_maskz_cvtps_epi32(0xffff, reinterpret_cast<__m512>(value * up))) + 0x808080;
}

/// Bits of the first where the mask is 1, else of the second.
[[gnu::always_inline]] inline Whole select(int mask, Whole ones, Whole zeros) {
  return reinterpret_cast<Whole>(_mm512_ternarylogic_epi32(_mm512_set1_epi32(mask), reinterpret_cast<__m512i>(ones),
                                                           reinterpret_cast<__m512i>(zeros), 0xca));
}

/// The digits of four numbers in each lane, joined digit by digit and stored `step` floats apart, the highest first.
[[gnu::always_inline]] inline void store_digits(Whole a, Whole b, Whole c, Whole d, float* to, std::int64_t step) {
  constexpr int kEven = 0x00ff00ff, kLow = 0xffff, kSign = static_cast<int>(0x80808080u);
  using Unsigned [[gnu::vector_size(4 * kLanes)]] = std::uint32_t;
  const auto up = [](Whole x, int bits) __attribute__((always_inline)) { return x << bits; };
  const auto down = [](Whole x, int bits) __attribute__((always_inline)) {
    return reinterpret_cast<Whole>(reinterpret_cast<Unsigned>(x) >> bits);
  };
  const Whole even_ab = select(kEven, a, up(b, 8)), odd_ab = select(kEven, down(a, 8), b);
  const Whole even_cd = select(kEven, c, up(d, 8)), odd_cd = select(kEven, down(c, 8), d);
  const auto put = [&](int digit, Whole value) __attribute__((always_inline)) {
    store(to + digit * step, reinterpret_cast<Vector>(value ^ kSign));
  };
  put(0, select(kLow, down(even_ab, 16), even_cd));
  put(1, select(kLow, odd_ab, up(odd_cd, 16)));
  put(2, select(kLow, even_ab, up(even_cd, 16)));
}

// B is [block]: [16] scales, then [chunk of the depth][digit] tiles, the depth of each in fours, numbers 0, 16, 32, 48
// of a chunk first: [16][16][4].

std::int64_t packed_size(std::int64_t depth, std::int64_t blocks) {
  return blocks * (chunks_of(depth) * kDigits * kTileFloats + kBlock);
}

/// One block of columns, [padded_depth(depth)][16]. False if one of them loses digits.
bool store_block_of_b(float* packed, std::int64_t depth, std::int64_t, std::int64_t block, const float* rows) {
  Whole largest{};
  for (std::int64_t k = 0; k < padded_depth(depth); ++k)
    largest = larger(largest, magnitude_bits(load(rows + k * kBlock)));
  const Scales scales = scales_of(largest);
  float* to = packed + packed_size(depth, block);
  store(to, scales.down * 65536.0f);  // the lowest digit's product that is summed is 256²
  to += kBlock;
  for (std::int64_t chunk = 0; chunk < chunks_of(depth); ++chunk, to += kDigits * kTileFloats) {
    for (std::int64_t i = 0; i < kBlock; ++i, rows += kBlock) {
      const auto number = [&](std::int64_t n) { return digits_of(load(rows + n * kBlock * kBlock), scales.up); };
      store_digits(number(0), number(1), number(2), number(3), to + i * kBlock, kTileFloats);
    }
    rows += 3 * kBlock * kBlock;
  }
  const float* const first = rows - padded_depth(depth) * kBlock;
  const Kept counts = count_kept(first, depth, kBlock, reinterpret_cast<Vector>(largest));
  const Whole lost = (counts.kept * kFewest < counts.numbers) & (largest < kInfinity);
  return largest_of(-lost) == 0;
}

// A is [chunk of the depth][digit][rows][64], with `stride` floats from one list of rows to the next: a tile is 16 rows
// of such a list. Tiles reach past the last row, into whatever lies there: what comes of it is not stored. After it the
// rows' scales.

std::int64_t split_size(std::int64_t rows, std::int64_t depth) {
  return chunks_of(depth) * kDigits * staggered(rows) + kTileFloats;
}

std::int64_t multiply_scratch(std::int64_t rows, std::int64_t depth) {
  return split_size(rows < kRowChunk ? rows : kRowChunk, depth) + kRowChunk;
}

std::int64_t rows_size(std::int64_t count, std::int64_t depth) { return blocks_of(depth) * staggered(count); }

/// Whether a row loses digits. Most have so many highest digits other than 0, which are those of numbers of at least
/// 2⁻⁹ of the largest, that no more is looked at.
[[gnu::always_inline]] inline bool loses_digits(const Product& product, const float* row, const float* digits,
                                                std::int64_t stride, std::int32_t largest_bits) {
  std::int64_t high = 0;
  for (std::int64_t chunk = 0; chunk < chunks_of(product.depth); ++chunk, digits += kDigits * stride) {
    const __m512i highest = _mm512_load_si512(digits);
    high += __builtin_popcountll(_mm512_test_epi8_mask(highest, highest));
  }
  if (high * kFewest >= product.depth || largest_bits >= kInfinity) return false;
  const Vector largest = broadcast(__builtin_bit_cast(float, largest_bits));
  const Kept counts = count_kept(row, blocks_of(product.depth), product.a_stride, largest);
  std::int64_t numbers = 0, kept = 0;
  for (int lane = 0; lane < kLanes; ++lane) {
    numbers += counts.numbers[lane];
    kept += counts.kept[lane];
  }
  return kept * kFewest < numbers;
}

/// Some rows of activations as A; their scales go to `scales`.
void split_rows(const Product& product, std::int64_t first, std::int64_t count, float* rows, float* scales) {
  const std::int64_t blocks = blocks_of(product.depth), stride = staggered(count);
  for (std::int64_t row = 0; row < count; row += kTileSide, rows += kTileFloats, scales += kTileSide) {
    const float* const from = product.a + (first + row) * kBlock;
    const std::int64_t known = count - row < kTileSide ? count - row : kTileSide;
    alignas(64) std::int32_t largest[kTileSide] = {};
    alignas(64) float up[kTileSide];
    for (std::int64_t i = 0; i < known; ++i) {
      Whole of_row{};
      for (std::int64_t block = 0; block < blocks; ++block) {
        of_row = larger(of_row, magnitude_bits(load(from + block * product.a_stride + i * kBlock)));
      }
      largest[i] = largest_of(of_row);
    }
    const Scales of_rows = scales_of(reinterpret_cast<Whole>(_mm512_load_si512(largest)));
    store(up, of_rows.up);
    store(scales, of_rows.down);
    float* list = rows;
    for (std::int64_t block = 0; block < blocks; block += 4, list += kDigits * stride) {
      const float* chunk = from + block * product.a_stride;
      const std::int64_t left = blocks - block;
      for (std::int64_t i = 0; i < known; ++i) {
        const Vector scale = broadcast(up[i]);
        const auto number = [&](std::int64_t n) __attribute__((always_inline)) {
          return digits_of(n < left ? load(chunk + n * product.a_stride + i * kBlock) : Vector{}, scale);
        };
        store_digits(number(0), number(1), number(2), number(3), list + i * kBlock, stride);
      }
    }
    for (std::int64_t i = 0; product.lost && i < known; ++i) {
      if (loses_digits(product, from + i * kBlock, rows + i * kBlock, stride, largest[i]))
        product.lost[first + row + i] = 1;
    }
  }
}

/// Sums of products of a tile of rows by a block of columns, [power of 256, highest first] tiles, that become rows of C
/// one by one while the matrix unit makes the next sums.
struct Finish {
  std::int64_t rows = 0;  // left
  const std::int32_t* sums = nullptr;
  const float* row_scale = nullptr;
  float* c = nullptr;
  Tail tail;  // of the block
  Vector column_scales{};

  [[gnu::always_inline]] void next_row() {
    if (rows == 0) return;
    const auto sum_of = [&](int power) __attribute__((always_inline)) {
      return reinterpret_cast<Vector>(_mm512_maskz_cvtepi32_ps(0xffff, _mm512_load_si512(sums + power * kTileFloats)));
    };
    const Vector sum = (sum_of(0) * 256.0f + sum_of(1)) * 256.0f + sum_of(2);
    Vector value = sum * column_scales * broadcast(*row_scale);
    if (tail.bias) value += load(tail.bias);
    if (tail.residual) value += load(tail.residual);
    store(c, tail.relu ? relu(value) : value);
    --rows;
    sums += kBlock;
    ++row_scale;
    c += kBlock;
    if (tail.residual) tail.residual += kBlock;
  }
};

/// Where the digits of A and B lie, and how much of the depth they have; and what will be read of B after this block,
/// fetched ahead while the matrix unit works, so many lines a chunk.
struct Factors {
  const float *a, *b;
  std::int64_t a_stride, chunks;
  const float* next;
  std::int64_t lines;
};

/// One tile of sums, in tile registers 0 to 2, while rows of another are finished. 3, 4 and 5 take the digits of A, the
/// highest first, 6 and 7 those of B: where another virtual processor keeps the matrix unit busy, loads cost least side
/// by side. Held: A is of one chunk, and in its registers already.
template <bool Held>
[[gnu::always_inline]] inline void multiply_tile(Factors of, std::int64_t rows_each_time, std::int32_t* sums,
                                                 Finish& finish) {
  const auto meanwhile = [&]() __attribute__((always_inline)) {
    for (std::int64_t i = 0; i < rows_each_time; ++i) finish.next_row();
  };
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  for (; of.chunks > 0; --of.chunks, of.a += kDigits * of.a_stride, of.b += kDigits * kTileFloats) {
    for (std::int64_t line = 0; line < of.lines; ++line, of.next += kLine) __builtin_prefetch(of.next, 0, 2);
    if constexpr (!Held) {
      _tile_loadd(3, of.a, kLineBytes);
      _tile_loadd(4, of.a + of.a_stride, kLineBytes);
    }
    _tile_loadd(7, of.b + kTileFloats, kLineBytes);
    _tile_loadd(6, of.b, kLineBytes);
    _tile_dpbssd(1, 3, 7);
    meanwhile();
    _tile_dpbssd(2, 4, 7);
    meanwhile();
    _tile_dpbssd(0, 3, 6);
    meanwhile();
    _tile_loadd(7, of.b + 2 * kTileFloats, kLineBytes);
    if constexpr (!Held) _tile_loadd(5, of.a + 2 * of.a_stride, kLineBytes);
    _tile_dpbssd(2, 3, 7);
    meanwhile();
    _tile_dpbssd(1, 4, 6);
    meanwhile();
    _tile_dpbssd(2, 5, 6);
    meanwhile();
  }
  _tile_stored(0, sums, kLineBytes);
  _tile_stored(1, sums + kTileFloats, kLineBytes);
  _tile_stored(2, sums + 2 * kTileFloats, kLineBytes);
}

/// Some rows of A, split, by all of B.
void multiply_split(const Product& product, std::int64_t first, std::int64_t count, const float* scales) {
  alignas(64) std::int32_t sums[2][kDigits * kTileFloats];
  const std::int64_t chunks = chunks_of(product.depth), stride = staggered(count);
  const std::int64_t tiles = (count + kTileSide - 1) / kTileSide;
  const std::int64_t rows_each_time = (kTileSide + 6 * chunks - 1) / (6 * chunks);
  Finish finish;
  int turn = 0;
  const auto finish_later = [&](std::int64_t tile, std::int64_t block) __attribute__((always_inline)) {
    while (finish.rows > 0) finish.next_row();
    const std::int64_t row = tile * kTileSide;
    finish = {.rows = count - row < kTileSide ? count - row : kTileSide,
              .sums = sums[turn],
              .row_scale = scales + row,
              .c = product.c + block * product.c_stride + (first + row) * kBlock,
              .tail = product.tail,
              .column_scales = load(product.b + packed_size(product.depth, block))};
    if (finish.tail.bias) finish.tail.bias += block * kBlock;
    if (finish.tail.residual) finish.tail.residual += block * product.tail.residual_stride + (first + row) * kBlock;
    turn ^= 1;
  };
  const auto b_of = [&](std::int64_t block) { return product.b + packed_size(product.depth, block) + kBlock; };
  if (chunks == 1) {
    for (std::int64_t tile = 0; tile < tiles; ++tile) {
      const float* a = product.scratch + tile * kTileFloats;
      _tile_loadd(3, a, kLineBytes);
      _tile_loadd(4, a + stride, kLineBytes);
      _tile_loadd(5, a + 2 * stride, kLineBytes);
      for (std::int64_t block = 0; block < product.blocks; ++block) {
        const Factors factors{.a = a, .b = b_of(block), .a_stride = stride, .chunks = 1, .next = nullptr, .lines = 0};
        multiply_tile<true>(factors, rows_each_time, sums[turn], finish);
        finish_later(tile, block);
      }
    }
  } else {
    const std::int64_t lines = (kDigits * kTileFloats / kLine + tiles - 1) / tiles;
    for (std::int64_t block = 0; block < product.blocks; ++block) {
      const float* next = b_of(block + 1);
      for (std::int64_t tile = 0; tile < tiles; ++tile, next += lines * chunks * kLine) {
        const Factors factors{.a = product.scratch + tile * kTileFloats,
                              .b = b_of(block),
                              .a_stride = stride,
                              .chunks = chunks,
                              .next = next,
                              .lines = lines};
        multiply_tile<false>(factors, rows_each_time, sums[turn], finish);
        finish_later(tile, block);
      }
    }
  }
  while (finish.rows > 0) finish.next_row();
}

void multiply_one(const Product& product) {
  for (std::int64_t first = 0; first < product.rows; first += kRowChunk) {
    const std::int64_t count = product.rows - first < kRowChunk ? product.rows - first : kRowChunk;
    float* const scales = product.scratch + split_size(count, product.depth);
    split_rows(product, first, count, product.scratch, scales);
    multiply_split(product, first, count, scales);
  }
}

void multiply(const Product& product) { multiply_each(product, multiply_one); }

}  // namespace
}  // namespace lossatlas
