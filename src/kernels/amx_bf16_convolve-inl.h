#pragma once

#include "kernels/amx_bf16_multiply-inl.h"
#include "kernels/winograd_filters-inl.h"

// Convolutions by minimal filtering along rows, in tiles of two outputs, with FilterTwo's four positions. The
// transformed and rounded input of each position is a list of tiles, row after row and image after image with a row of
// zeros between them, of which each of the three rows of a window reads its part. A third of the products of a direct
// convolution is saved, by a transform that doubles the numbers; rounding does less harm than to tiles of 2x2 outputs.

namespace lossatlas {
namespace {

constexpr int kPositions = FilterTwo::n;
constexpr std::int64_t kRows = 3;                     // of a window
constexpr std::int64_t kGroupSums = 4 * kTileFloats;  // of a position, for kRowUnit tiles and two blocks of columns

/// The lists of some images.
struct TileLists {
  std::int64_t across, pitch;  // tiles in a row, in an image with the row of zeros after it
  std::int64_t stride;         // floats from one list to the next

  TileLists(const Activations& in, std::int64_t images)
      : across((in.width + FilterTwo::m - 1) / FilterTwo::m),
        pitch((in.height + 1) * across),
        stride(staggered(across + images * pitch + kRowUnit)) {}
};

/// So many images that their lists stay in the second-level cache.
std::int64_t convolved_at_once(const Activations& in) {
  constexpr std::int64_t kNear = 1 << 14;  // cache lines: 1 MB
  const std::int64_t fitting = kNear / (chunks_of(in.blocks * kBlock) * kPositions * TileLists(in, 1).pitch);
  return fitting < 1 ? 1 : fitting < in.images ? fitting : in.images;
}

std::int64_t convolve_scratch(const Activations& in) {
  return chunks_of(in.blocks * kBlock) * kPositions * TileLists(in, convolved_at_once(in)).stride;
}

/// One row of an image, of two blocks of its channels or of only the last one, as a row of tiles at each position.
void transform_row(const float* low, const float* high, std::int64_t width, float* to, std::int64_t stride) {
  const float* const halves[2] = {low, high};
  Vector d[2][kPositions] = {};
  const auto pixel = [&](int half, std::int64_t x) __attribute__((always_inline)) {
    return x < width && halves[half] ? load(halves[half] + x * kBlock) : Vector{};
  };
  for (int half = 0; half < 2; ++half) d[half][1] = pixel(half, 0);
  for (std::int64_t x = 0; x < width; x += FilterTwo::m, to += kBlock) {
    Vector v[2][kPositions];
#pragma GCC unroll 2
    for (int half = 0; half < 2; ++half) {
      d[half][2] = pixel(half, x + 1);
      d[half][3] = pixel(half, x + 2);
      FilterTwo::input(d[half], v[half]);
      d[half][0] = d[half][2];
      d[half][1] = d[half][3];
    }
#pragma GCC unroll 4
    for (int position = 0; position < kPositions; ++position)
      store_line(to + position * stride, v[0][position], v[1][position]);
  }
}

/// The lists of some images, [chunk of the channels][position].
void transform_images(const Activations& in, std::int64_t first, std::int64_t count, const TileLists& lists,
                      float* to) {
  const auto clear = [&](float* at, std::int64_t tiles) {
    for (int position = 0; position < kPositions; ++position) {
      for (std::int64_t i = 0; i < tiles; ++i) store(at + position * lists.stride + i * kBlock, Vector{});
    }
  };
  for (std::int64_t block = 0; block < in.blocks; block += 2, to += kPositions * lists.stride) {
    const float* low = in.data + block * in.stride + first * in.height * in.width * kBlock;
    const bool both = block + 1 < in.blocks;
    float* row = to;
    clear(row, lists.across);
    row += lists.across * kBlock;
    for (std::int64_t image = 0; image < count; ++image) {
      for (std::int64_t y = 0; y < in.height; ++y, low += in.width * kBlock, row += lists.across * kBlock) {
        transform_row(low, both ? low + in.stride : nullptr, in.width, row, lists.stride);
      }
      clear(row, lists.across);
      row += lists.across * kBlock;
    }
    clear(row, kRowUnit);
  }
}

/// Some tiles of a row of an image from their sums at all positions, `step` floats apart.
[[gnu::always_inline]] inline void finish_tiles(const Tail& tail, std::int64_t block, std::int64_t pixel,
                                                std::int64_t outputs, const float* sums, std::int64_t step, float* c) {
  const float* residual = tail.residual ? tail.residual + block * tail.residual_stride + pixel * kBlock : nullptr;
  const Vector bias = tail.bias ? load(tail.bias + block * kBlock) : Vector{};
  for (std::int64_t x = 0; x < outputs; x += FilterTwo::m, sums += kBlock) {
    Vector products[kPositions], y[FilterTwo::m];
#pragma GCC unroll 4
    for (int position = 0; position < kPositions; ++position) products[position] = load(sums + position * step);
    FilterTwo::output(products, y);
#pragma GCC unroll 2
    for (int i = 0; i < FilterTwo::m; ++i) {
      if (x + i >= outputs) break;
      Vector value = y[i] + bias;
      if (residual) value += load(residual + (x + i) * kBlock);
      store(c + (x + i) * kBlock, tail.relu ? relu(value) : value);
    }
  }
}

/// How far outputs have come: a tile of a row of the list, of the images and the rows of zeros between them.
struct OutputPlace {
  std::int64_t tile = 0, y = 0;
  std::int64_t row;  // of all images, without those of zeros
};

/// Outputs from the sums of up to kRowUnit tiles and up to two blocks of columns. Sums of rows of zeros are dropped.
void finish_group(const Convolution& convolution, const TileLists& lists, std::int64_t block, std::int64_t count,
                  const float* sums, OutputPlace& at) {
  const Activations& out = convolution.out;
  while (count > 0) {
    const std::int64_t left = lists.across - at.tile, run = left < count ? left : count;
    const std::int64_t x = at.tile * FilterTwo::m, pixel = at.row * out.width + x;
    const std::int64_t outputs = out.width - x < run * FilterTwo::m ? out.width - x : run * FilterTwo::m;
    for (std::int64_t j = 0; at.y < out.height && j < 2 && block + j < out.blocks; ++j) {
      finish_tiles(convolution.tail, block + j, pixel, outputs, sums + j * kRowUnit * kBlock, kGroupSums,
                   out.data + (block + j) * out.stride + pixel * kBlock);
    }
    sums += run * kBlock;
    count -= run;
    at.tile += run;
    if (at.tile < lists.across) continue;
    at.tile = 0;
    if (at.y < out.height) ++at.row;
    at.y = at.y < out.height ? at.y + 1 : 0;
  }
}

void convolve(const Convolution& convolution) {
  const TileRegisters registers;
  const Activations& in = convolution.in;
  const std::int64_t blocks = convolution.out.blocks, chunks = chunks_of(in.blocks * kBlock);
  const std::int64_t at_once = convolved_at_once(in);
  alignas(64) float sums[kPositions * kGroupSums];
  for (std::int64_t first = 0; first < in.images; first += at_once) {
    const std::int64_t count = in.images - first < at_once ? in.images - first : at_once;
    const TileLists lists(in, count);
    transform_images(in, first, count, lists, convolution.scratch);
    const std::int64_t shifts[kRows] = {0, lists.across * kBlock, 2 * lists.across * kBlock};
    const std::int64_t tiles = count * lists.pitch - lists.across;
    for (std::int64_t block = 0; block < blocks; block += 2) {
      OutputPlace place{.row = first * in.height};
      for (std::int64_t tile = 0; tile < tiles; tile += kRowUnit) {
        for (int position = 0; position < kPositions; ++position) {
          const float* b = convolution.b + packed_size(kRows * chunks * kTileDepth, position * blocks + block);
          const float* a = convolution.scratch + position * lists.stride + tile * kBlock;
          float* const to = sums + position * kGroupSums;
          float* const c[2][2] = {{to, to + 2 * kTileFloats}, {to + kTileFloats, to + 3 * kTileFloats}};
          const RowsOfA rows{
              .data = a, .stride = kPositions * lists.stride, .chunks = chunks, .shifts = shifts, .taps = kRows};
          blocks - block > 1 ? multiply_tiles<2, 2>(rows, b, c) : multiply_tiles<2, 1>(rows, b, c);
        }
        finish_group(convolution, lists, block, tiles - tile < kRowUnit ? tiles - tile : kRowUnit, sums, place);
      }
    }
  }
}

/// [position] B, the depth of each in the order (row of the window, channel).
void convolve_weights(const float* weights, const float* scale, std::int64_t outputs, std::int64_t inputs,
                      float* scratch, float* packed) {
  const std::int64_t blocks = blocks_of(outputs), channels = padded_depth(inputs), depth = kRows * channels;
  for (std::int64_t block = 0; block < blocks; ++block) {
    const std::int64_t first = block * kBlock, columns = outputs - first < kBlock ? outputs - first : kBlock;
    for (std::int64_t k = 0; k < depth; ++k) {
      const std::int64_t row = k / channels, channel = k % channels;
      alignas(64) float taps[3][kBlock] = {};
      if (channel < inputs) {
        const float* kernels = weights + ((first * inputs + channel) * kRows + row) * 3;
        gather_taps(kernels, inputs * kRows * 3, scale + first, columns, taps);
      }
      Vector g[3], u[kPositions];
      for (int tap = 0; tap < 3; ++tap) g[tap] = load(taps[tap]);
      FilterTwo::weights(g, u);
      for (int position = 0; position < kPositions; ++position)
        store(scratch + (position * depth + k) * kBlock, u[position]);
    }
    for (int position = 0; position < kPositions; ++position) {
      store_block_of_b(packed + packed_size(depth, position * blocks), depth, blocks, block,
                       scratch + position * depth * kBlock);
    }
  }
  finish_streaming();
}

}  // namespace
}  // namespace lossatlas
