#pragma once

#include "kernels/vector.h"

namespace lossatlas {
namespace {

// The one-dimensional transforms: Bᵀd of the inputs, G g of the weights, Aᵀm of the products; two-dimensional ones
// apply them to columns, then to rows.

// Interpolated at 0, 1, -1, ∞.
struct FilterTwo {
  static constexpr int m = 2, n = 4, stride = 1;
  [[gnu::always_inline]] static void input(const Vector* d, Vector* v) {
    v[0] = d[0] - d[2];
    v[1] = d[1] + d[2];
    v[2] = d[2] - d[1];
    v[3] = d[1] - d[3];
  }
  [[gnu::always_inline]] static void weights(const Vector* g, Vector* u) {
    const Vector even = 0.5f * (g[0] + g[2]), odd = 0.5f * g[1];
    u[0] = g[0];
    u[1] = even + odd;
    u[2] = even - odd;
    u[3] = g[2];
  }
  [[gnu::always_inline]] static void output(const Vector* m, Vector* y) {
    y[0] = m[0] + m[1] + m[2];
    y[1] = m[1] - m[2] - m[3];
  }
};

// Interpolated at 0, 1, -1, 2, -2, ∞.
struct FilterFour {
  static constexpr int m = 4, n = 6, stride = 1;
  [[gnu::always_inline]] static void input(const Vector* d, Vector* v) {
    const Vector even = d[4] - 4.0f * d[2], odd = d[3] - 4.0f * d[1];
    const Vector difference = d[4] - d[2], twice = 2.0f * (d[3] - d[1]);
    v[0] = 4.0f * d[0] - 5.0f * d[2] + d[4];
    v[1] = even + odd;
    v[2] = even - odd;
    v[3] = difference + twice;
    v[4] = difference - twice;
    v[5] = 4.0f * d[1] - 5.0f * d[3] + d[5];
  }
  [[gnu::always_inline]] static void weights(const Vector* g, Vector* u) {
    const Vector sum = (-1.0f / 6) * (g[0] + g[2]), middle = (1.0f / 6) * g[1];
    const Vector ends = (1.0f / 24) * g[0] + (1.0f / 6) * g[2], half = (1.0f / 12) * g[1];
    u[0] = 0.25f * g[0];
    u[1] = sum - middle;
    u[2] = sum + middle;
    u[3] = ends + half;
    u[4] = ends - half;
    u[5] = g[2];
  }
  [[gnu::always_inline]] static void output(const Vector* m, Vector* y) {
    const Vector sum1 = m[1] + m[2], difference1 = m[1] - m[2];
    const Vector sum2 = m[3] + m[4], difference2 = m[3] - m[4];
    y[0] = m[0] + sum1 + sum2;
    y[1] = difference1 + 2.0f * difference2;
    y[2] = sum1 + 4.0f * sum2;
    y[3] = difference1 + 8.0f * difference2 + m[5];
  }
};

// The even inputs and the outer taps: F(4, 2) interpolated at 0, 1, -1, 2, ∞; the odd inputs and the middle tap: four
// products as they are.
struct FilterFourByStrides {
  static constexpr int m = 4, n = 9, stride = 2;
  [[gnu::always_inline]] static void input(const Vector* d, Vector* v) {
    const Vector difference = d[6] - d[4], edge = d[6] - d[2];
    v[0] = 2.0f * (d[0] - d[4]) + edge;
    v[1] = difference - 2.0f * d[2];
    v[2] = d[6] - 3.0f * d[4] + 2.0f * d[2];
    v[3] = edge;
    v[4] = d[8] - d[4] - 2.0f * edge;
    for (int i = 0; i < 4; ++i) v[5 + i] = d[2 * i + 1];
  }
  [[gnu::always_inline]] static void weights(const Vector* g, Vector* u) {
    u[0] = 0.5f * g[0];
    u[1] = -0.5f * (g[0] + g[2]);
    u[2] = (1.0f / 6) * (g[2] - g[0]);
    u[3] = (1.0f / 6) * g[0] + (1.0f / 3) * g[2];
    u[4] = g[2];
    for (int i = 0; i < 4; ++i) u[5 + i] = g[1];
  }
  [[gnu::always_inline]] static void output(const Vector* m, Vector* y) {
    const Vector sum = m[1] + m[2], difference = m[1] - m[2];
    y[0] = m[0] + sum + m[3] + m[5];
    y[1] = difference + 2.0f * m[3] + m[6];
    y[2] = sum + 4.0f * m[3] + m[7];
    y[3] = difference + 8.0f * m[3] + m[4] + m[8];
  }
};

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

template <class Filter>
void winograd_input_of(const Activations& in, std::int64_t padding, const Tiles& tiles, float* transformed) {
  constexpr int n = Filter::n;
  const std::int64_t row_stride = in.width * kBlock;
  for (std::int64_t block = 0; block < in.blocks; ++block) {
    TileWalk<Filter> walk(tiles);
    for (std::int64_t t = 0; t < tiles.count; ++t, walk.advance()) {
      const TileCorner at = walk.corner();
      const std::int64_t y = at.y * Filter::stride - padding, x = at.x * Filter::stride - padding;
      const bool inside = y >= 0 && x >= 0 && y + n <= in.height && x + n <= in.width;
      const float* from =
          in.data + block * in.stride + (at.image * in.height + y) * row_stride + x * kBlock;
      float* to = transformed + block * tiles.block_stride + t * kBlock;
      for (int part = 0; part < kParts; ++part, from += kLanes, to += kLanes) {
        Vector columns[n][n], d[n], v[n];
#pragma GCC unroll 9
        for (int j = 0; j < n; ++j) {
          if (inside) {
#pragma GCC unroll 9
            for (int i = 0; i < n; ++i) d[i] = load(from + i * row_stride + j * kBlock);
          } else {
#pragma GCC unroll 9
            for (int i = 0; i < n; ++i) {
              const bool there = y + i >= 0 && y + i < in.height && x + j >= 0 && x + j < in.width;
              d[i] = there ? load(from + i * row_stride + j * kBlock) : Vector{};
            }
          }
          Filter::input(d, v);
#pragma GCC unroll 9
          for (int i = 0; i < n; ++i) columns[i][j] = v[i];
        }
#pragma GCC unroll 9
        for (int i = 0; i < n; ++i) {
          Filter::input(columns[i], v);
#pragma GCC unroll 9
          for (int j = 0; j < n; ++j) store(to + (i * n + j) * tiles.position_stride, v[j]);
        }
      }
    }
  }
}

template <class Filter>
void winograd_output_of(const float* transformed, const Tiles& tiles, const Tail& tail, const Activations& out) {
  constexpr int m = Filter::m, n = Filter::n;
  for (std::int64_t block = 0; block < out.blocks; ++block) {
    TileWalk<Filter> walk(tiles);
    for (std::int64_t t = 0; t < tiles.count; ++t, walk.advance()) {
      const TileCorner at = walk.corner();
      const std::int64_t rows = out.height - at.y < m ? out.height - at.y : m;
      const std::int64_t columns = out.width - at.x < m ? out.width - at.x : m;
      const std::int64_t pixel = (at.image * out.height + at.y) * out.width + at.x;
      for (int part = 0; part < kParts; ++part) {
        const float* from = transformed + block * tiles.block_stride + t * kBlock + part * kLanes;
        const std::int64_t place = pixel * kBlock + part * kLanes;
        Vector half[m][n], products[n], y[m];
#pragma GCC unroll 9
        for (int j = 0; j < n; ++j) {
#pragma GCC unroll 9
          for (int i = 0; i < n; ++i) products[i] = load(from + (i * n + j) * tiles.position_stride);
          Filter::output(products, y);
#pragma GCC unroll 4
          for (int i = 0; i < m; ++i) half[i][j] = y[i];
        }
        const Vector bias = tail.bias ? load(tail.bias + block * kBlock + part * kLanes) : Vector{};
        for (int i = 0; i < rows; ++i) {
          Filter::output(half[i], y);
          for (int j = 0; j < columns; ++j) {
            const std::int64_t offset = place + (i * out.width + j) * kBlock;
            Vector value = y[j] + bias;
            if (tail.residual) value += load(tail.residual + block * tail.residual_stride + offset);
            if (tail.relu) value = relu(value);
            store(out.data + block * out.stride + offset, value);
          }
        }
      }
    }
  }
}

template <class Filter>
void winograd_weights_of(const float* weights, const float* scale, std::int64_t outputs, std::int64_t inputs,
                         std::int64_t position_stride, float* transformed) {
  constexpr int n = Filter::n;
  constexpr std::int64_t panel_width = kPanelVectors * kLanes;
  const std::int64_t columns = blocks_of(outputs) * kBlock, depth = blocks_of(inputs) * kBlock;
  for (std::int64_t first = 0; first < columns; first += kBlock) {
    const std::int64_t panel = first / panel_width;
    const std::int64_t width = columns - panel * panel_width < panel_width ? columns - panel * panel_width : panel_width;
    for (std::int64_t k = 0; k < depth; ++k) {
      alignas(64) float taps[9][kBlock] = {};
      for (std::int64_t o = first; k < inputs && o < outputs && o < first + kBlock; ++o) {
        const float* kernel = weights + (o * inputs + k) * 9;
        for (int tap = 0; tap < 9; ++tap) taps[tap][o - first] = kernel[tap] * scale[o];
      }
      float* to = transformed + panel * panel_width * depth + k * width + first % panel_width;
      for (int part = 0; part < kParts; ++part, to += kLanes) {
        Vector rows[n][3], g[3], u[n];
        for (int j = 0; j < 3; ++j) {
          for (int i = 0; i < 3; ++i) g[i] = load(&taps[i * 3 + j][part * kLanes]);
          Filter::weights(g, u);
          for (int i = 0; i < n; ++i) rows[i][j] = u[i];
        }
        for (int i = 0; i < n; ++i) {
          Filter::weights(rows[i], u);
          for (int j = 0; j < n; ++j) store(to + (i * n + j) * position_stride, u[j]);
        }
      }
    }
  }
}

void winograd_weights(Filtering filtering, const float* weights, const float* scale, std::int64_t outputs,
                      std::int64_t inputs, std::int64_t position_stride, float* transformed) {
  const auto transform = filtering == Filtering::two    ? winograd_weights_of<FilterTwo>
                         : filtering == Filtering::four ? winograd_weights_of<FilterFour>
                                                        : winograd_weights_of<FilterFourByStrides>;
  transform(weights, scale, outputs, inputs, position_stride, transformed);
}

void winograd_input(const Activations& in, std::int64_t padding, const Tiles& tiles, float* transformed) {
  const auto transform = tiles.filtering == Filtering::two    ? winograd_input_of<FilterTwo>
                         : tiles.filtering == Filtering::four ? winograd_input_of<FilterFour>
                                                              : winograd_input_of<FilterFourByStrides>;
  transform(in, padding, tiles, transformed);
}

void winograd_output(const float* transformed, const Tiles& tiles, const Tail& tail, const Activations& out) {
  const auto transform = tiles.filtering == Filtering::two    ? winograd_output_of<FilterTwo>
                         : tiles.filtering == Filtering::four ? winograd_output_of<FilterFour>
                                                              : winograd_output_of<FilterFourByStrides>;
  transform(transformed, tiles, tail, out);
}

}  // namespace
}  // namespace lossatlas
