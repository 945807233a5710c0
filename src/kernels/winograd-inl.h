#pragma once

#include "kernels/vector-inl.h"
#include "kernels/winograd_filters-inl.h"

namespace lossatlas {
namespace {

/// Place of a tile: its image and the corner of its outputs.
struct TileCorner {
  std::int64_t image, y, x;
};

/// Walks tiles in order without a division a tile.
template <class Filter>
class TileWalk {
 public:
  explicit TileWalk(const Tiles& tiles)
      : tiles_(tiles),
        column_(tiles.first % tiles.across),
        row_(tiles.first / tiles.across % tiles.down),
        image_(tiles.first / tiles.across / tiles.down) {}
  TileCorner corner() const { return {image_, row_ * Filter::m, column_ * Filter::m}; }
  void advance() {
    if (++column_ < tiles_.across) return;
    column_ = 0;
    if (++row_ < tiles_.down) return;
    row_ = 0;
    ++image_;
  }

 private:
  const Tiles& tiles_;
  std::int64_t column_, row_, image_;
};

/// Where the rows of a tile's inputs begin, and which of its columns lie in the image. Rows past the image are read
/// from zeros.
template <class Filter>
struct TileInputs {
  const float* rows[Filter::n];
  std::int64_t begin, end;  // columns

  TileInputs(const Activations& in, const float* block, const TileCorner& at, std::int64_t padding) {
    alignas(64) static constexpr float zeros[Filter::n * kBlock] = {};
    const std::int64_t y = at.y * Filter::stride - padding, x = at.x * Filter::stride - padding;
    begin = x < 0 ? -x : 0;
    end = x + Filter::n > in.width ? in.width - x : Filter::n;
    for (int i = 0; i < Filter::n; ++i) {
      const bool inside = y + i >= 0 && y + i < in.height;
      rows[i] = inside ? block + ((at.image * in.height + y + i) * in.width + x) * kBlock : zeros;
    }
  }
};

/// Makes the compiler forget how an address came about: it would otherwise keep one number in memory for each of n²
/// places of a tile, and spend more on reading those than on the arithmetic.
template <class Number>
[[gnu::always_inline]] inline void keep_apart(Number*& address) {
  asm("" : "+r"(address));
}

/// One vector of channels of a tile. Whole: all columns lie in the image.
template <class Filter, bool Whole>
[[gnu::always_inline]] inline void transform_input(const TileInputs<Filter>& inputs, int lane, float* to,
                                                   std::int64_t position_stride) {
  constexpr int n = Filter::n;
  Vector columns[n][n], d[n], v[n];
#pragma GCC unroll 9
  for (int j = 0; j < n; ++j) {
    if (Whole || (j >= inputs.begin && j < inputs.end)) {
#pragma GCC unroll 9
      for (int i = 0; i < n; ++i) d[i] = load(inputs.rows[i] + j * kBlock + lane);
      Filter::input(d, v);
#pragma GCC unroll 9
      for (int i = 0; i < n; ++i) columns[i][j] = v[i];
    } else {
#pragma GCC unroll 9
      for (int i = 0; i < n; ++i) columns[i][j] = Vector{};
    }
  }
  float* row = to + lane;
#pragma GCC unroll 9
  for (int i = 0; i < n; ++i, row += n * position_stride) {
    keep_apart(row);
    Filter::input(columns[i], v);
#pragma GCC unroll 9
    for (int j = 0; j < n; ++j) store(row + j * position_stride, v[j]);
  }
}

template <class Filter>
void winograd_input_of(const Activations& in, std::int64_t padding, const Tiles& tiles, float* transformed) {
  for (std::int64_t block = 0; block < in.blocks; ++block) {
    TileWalk<Filter> walk(tiles);
    float* to = transformed + block * tiles.block_stride;
    for (std::int64_t t = 0; t < tiles.count; ++t, walk.advance(), to += kBlock) {
      const TileInputs<Filter> inputs(in, in.data + block * in.stride, walk.corner(), padding);
      const bool whole = inputs.begin == 0 && inputs.end == Filter::n;
      for (int lane = 0; lane < kBlock; lane += kLanes) {
        if (whole) {
          transform_input<Filter, true>(inputs, lane, to, tiles.position_stride);
        } else {
          transform_input<Filter, false>(inputs, lane, to, tiles.position_stride);
        }
      }
    }
  }
}

/// The outputs of a tile that lie in the image. Whole: all do.
struct TileOutputs {
  float* to;
  const float* residual;  // null: none
  std::int64_t row_stride, rows, columns;
};

template <class Filter, bool Whole, bool Residual>
[[gnu::always_inline]] inline void transform_output(const float* from, std::int64_t position_stride, Vector bias,
                                                    bool with_relu, const TileOutputs& outputs) {
  constexpr int m = Filter::m, n = Filter::n;
  Vector half[m][n], products[n], y[m];
#pragma GCC unroll 9
  for (int j = 0; j < n; ++j, from += position_stride) {
    keep_apart(from);
#pragma GCC unroll 9
    for (int i = 0; i < n; ++i) products[i] = load(from + i * n * position_stride);
    Filter::output(products, y);
#pragma GCC unroll 4
    for (int i = 0; i < m; ++i) half[i][j] = y[i];
  }
#pragma GCC unroll 4
  for (int i = 0; i < m; ++i) {
    if (!Whole && i >= outputs.rows) break;
    Filter::output(half[i], y);
#pragma GCC unroll 4
    for (int j = 0; j < m; ++j) {
      if (!Whole && j >= outputs.columns) break;
      const std::int64_t offset = i * outputs.row_stride + j * kBlock;
      Vector value = y[j] + bias;
      if (Residual) value += load(outputs.residual + offset);
      store(outputs.to + offset, with_relu ? relu(value) : value);
    }
  }
}

template <class Filter, bool Residual>
void winograd_output_with(const float* transformed, const Tiles& tiles, const Tail& tail, const Activations& out) {
  constexpr int m = Filter::m;
  for (std::int64_t block = 0; block < out.blocks; ++block) {
    TileWalk<Filter> walk(tiles);
    const float* from = transformed + block * tiles.block_stride;
    for (std::int64_t t = 0; t < tiles.count; ++t, walk.advance(), from += kBlock) {
      const TileCorner at = walk.corner();
      const std::int64_t place = ((at.image * out.height + at.y) * out.width + at.x) * kBlock;
      TileOutputs outputs{.to = out.data + block * out.stride + place,
                          .residual = Residual ? tail.residual + block * tail.residual_stride + place : nullptr,
                          .row_stride = out.width * kBlock,
                          .rows = out.height - at.y,
                          .columns = out.width - at.x};
      const bool whole = outputs.rows >= m && outputs.columns >= m;
      for (int lane = 0; lane < kBlock;
           lane += kLanes, outputs.to += kLanes, outputs.residual += Residual ? kLanes : 0) {
        const Vector bias = tail.bias ? load(tail.bias + block * kBlock + lane) : Vector{};
        if (whole) {
          transform_output<Filter, true, Residual>(from + lane, tiles.position_stride, bias, tail.relu, outputs);
        } else {
          transform_output<Filter, false, Residual>(from + lane, tiles.position_stride, bias, tail.relu, outputs);
        }
      }
    }
  }
}

template <class Filter>
void winograd_output_of(const float* transformed, const Tiles& tiles, const Tail& tail, const Activations& out) {
  const auto transform = tail.residual ? winograd_output_with<Filter, true> : winograd_output_with<Filter, false>;
  transform(transformed, tiles, tail, out);
}

/// One vector of the kernels of 16 outputs and one input, [9][16] taps.
template <class Filter>
[[gnu::always_inline]] inline void transform_weights(const float (&taps)[9][kBlock], int lane,
                                                     Vector (&u)[Filter::n * Filter::n]) {
  constexpr int n = Filter::n;
  Vector rows[n][3], g[3], v[n];
  for (int j = 0; j < 3; ++j) {
    for (int i = 0; i < 3; ++i) g[i] = load(&taps[i * 3 + j][lane]);
    Filter::weights(g, v);
    for (int i = 0; i < n; ++i) rows[i][j] = v[i];
  }
  for (int i = 0; i < n; ++i) Filter::weights(rows[i], u + i * n);
}

template <class Filter>
bool winograd_weights_of(const float* weights, const float* scale, std::int64_t outputs, std::int64_t inputs,
                         std::int64_t position_stride, float* scratch, float* transformed) {
  constexpr int positions = Filter::n * Filter::n;
  const std::int64_t blocks = blocks_of(outputs), depth = blocks_of(inputs) * kBlock,
                     size = padded_depth(depth) * kBlock;
  bool keeps_digits = true;
  for (std::int64_t block = 0; block < blocks; ++block) {
    const std::int64_t first = block * kBlock, columns = outputs - first < kBlock ? outputs - first : kBlock;
    for (std::int64_t k = 0; k < padded_depth(depth); ++k) {
      alignas(64) float taps[9][kBlock] = {};
      if (k < inputs) gather_taps(weights + (first * inputs + k) * 9, inputs * 9, scale + first, columns, taps);
      for (int lane = 0; lane < kBlock; lane += kLanes) {
        Vector u[positions];
        transform_weights<Filter>(taps, lane, u);
        float* to = scratch + k * kBlock + lane;
        for (int p = 0; p < positions; ++p, to += size) store(to, u[p]);
      }
    }
    for (int p = 0; p < positions; ++p) {
      keeps_digits &= store_block_of_b(transformed + p * position_stride, depth, blocks, block, scratch + p * size);
    }
  }
  finish_streaming();
  return keeps_digits;
}

bool winograd_weights(Filtering filtering, const float* weights, const float* scale, std::int64_t outputs,
                      std::int64_t inputs, std::int64_t position_stride, float* scratch, float* transformed) {
  const auto transform = filtering == Filtering::two    ? winograd_weights_of<FilterTwo>
                         : filtering == Filtering::four ? winograd_weights_of<FilterFour>
                                                        : winograd_weights_of<FilterTwoByStrides>;
  return transform(weights, scale, outputs, inputs, position_stride, scratch, transformed);
}

void winograd_input(const Activations& in, std::int64_t padding, const Tiles& tiles, float* transformed) {
  const auto transform = tiles.filtering == Filtering::two    ? winograd_input_of<FilterTwo>
                         : tiles.filtering == Filtering::four ? winograd_input_of<FilterFour>
                                                              : winograd_input_of<FilterTwoByStrides>;
  transform(in, padding, tiles, transformed);
}

void winograd_output(const float* transformed, const Tiles& tiles, const Tail& tail, const Activations& out) {
  const auto transform = tiles.filtering == Filtering::two    ? winograd_output_of<FilterTwo>
                         : tiles.filtering == Filtering::four ? winograd_output_of<FilterFour>
                                                              : winograd_output_of<FilterTwoByStrides>;
  transform(transformed, tiles, tail, out);
}

}  // namespace
}  // namespace lossatlas
