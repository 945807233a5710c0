#pragma once

#include <array>
#include <cstdint>
#include <limits>

#include "base/instruction_set.h"

/// The arithmetic of the fused evaluator and of the Gram matrix: one thread, no LibTorch, float32 but where doubles are
/// named. Every function exists once for each instruction set; which one runs is chosen when the program runs.
namespace lossatlas {

/// Channels lie in blocks of this many, innermost in memory.
inline constexpr std::int64_t kBlock = 16;

constexpr std::int64_t blocks_of(std::int64_t channels) { return (channels + kBlock - 1) / kBlock; }

/// Floats from one block of `rows` rows to the next, an odd number of cache lines: at a power of two, the rows that a
/// product reads together would fall on a few sets of the first-level cache and drive each other out.
constexpr std::int64_t staggered(std::int64_t rows) { return (rows | 1) * kBlock; }

/// Activations of a batch, [blocks][images][height][width][16]; the last block's channels past the last one are 0.
/// A view: whoever allocated the memory owns it.
struct Activations {
  float* data = nullptr;
  std::int64_t stride = 0;  // floats from one block to the next
  std::int64_t blocks = 0, images = 0, height = 0, width = 0;

  std::int64_t pixels() const { return images * height * width; }
};

/// Images as data sets have them: [images][channels][height][width].
struct PlanarImages {
  const float* data = nullptr;
  std::int64_t images = 0, channels = 0, height = 0, width = 0;
};

/// Where the windows of a convolution or a pooling lie.
struct Window {
  std::int64_t height = 1, width = 1;
  std::int64_t stride_y = 1, stride_x = 1;
  std::int64_t padding_y = 0, padding_x = 0;
  std::int64_t dilation_y = 1, dilation_x = 1;

  std::int64_t taps() const { return height * width; }
};

/// What follows a sum of products before it is stored: + bias[channel], + residual, ReLU. NaN stays NaN.
struct Tail {
  const float* bias = nullptr;      // [blocks * 16]
  const float* residual = nullptr;  // laid out as the result
  std::int64_t residual_stride = 0;
  bool relu = false;
};

/// C = A·B and a tail. A is [⌈depth / 16⌉][rows][16], zeros past the depth, or what Kernels::gather made; C is
/// [blocks][rows][16]; both with strides (in floats) from block to block. B is what Kernels::pack made of weights.
struct Product {
  const float* a = nullptr;
  std::int64_t a_stride = 0;
  const float* b = nullptr;
  float* c = nullptr;
  std::int64_t c_stride = 0;
  std::int64_t rows = 0, depth = 0, blocks = 0;
  Tail tail;
  std::int64_t count = 1, a_step = 0, b_step = 0, c_step = 0;  // so many products, with steps (in floats) between them
  bool gathered = false;                                       // A is from Kernels::gather, all of its rows
  std::uint8_t* lost = nullptr;  // [rows]: set to 1 if the row would lose digits (Kernels::loses_digits); may be null
  float* scratch = nullptr;      // Kernels::multiply_scratch(rows, depth) floats
};

/// Scale and shift of each channel and a ReLU, applied as activations are read; no scale: read as they are.
struct Affine {
  const float* scale = nullptr;  // [blocks * 16]
  const float* shift = nullptr;
  bool relu = false;
};

/// A 3x3 convolution of stride 1 and padding 1. `in` and `out` lie apart.
struct Convolution {
  Activations in, out;
  const float* b = nullptr;  // what Kernels::convolve_weights made of its weights
  Tail tail;
  float* scratch = nullptr;  // Kernels::convolve_scratch(in) floats
};

/// Winograd's minimal filtering of 3x3 kernels (Lavin and Gray 2016, "Fast Algorithms for Convolutional Neural
/// Networks"): a tile of m x m outputs takes n² products of matrices.
enum class Filtering {
  two,             // F(2x2, 3x3), stride 1: n = 4
  four,            // F(4x4, 3x3), stride 1: n = 6
  two_by_strides,  // 2x2 outputs, stride 2: n = 5. Of the inputs, the even ones meet the outer taps in F(2, 2), the odd
                   // ones the middle tap as they are
};
constexpr std::int64_t outputs_of(Filtering filtering) { return filtering == Filtering::four ? 4 : 2; }
constexpr std::int64_t stride_of(Filtering filtering) { return filtering == Filtering::two_by_strides ? 2 : 1; }
/// n: inputs along a side of a tile, and as many positions.
constexpr std::int64_t side_of(Filtering filtering) {
  return filtering == Filtering::two ? 4 : filtering == Filtering::four ? 6 : 5;
}
constexpr std::int64_t positions_of(Filtering filtering) { return side_of(filtering) * side_of(filtering); }

/// Some tiles of a convolution. Transformed tiles are [n²][blocks][count][16], with strides in floats.
struct Tiles {
  Filtering filtering = Filtering::four;
  std::int64_t across = 0, down = 0;  // tiles in a row of an image, and rows
  std::int64_t first = 0, count = 0;  // of images * down * across
  std::int64_t position_stride = 0;   // from one of the n² positions to the next
  std::int64_t block_stride = 0;
};

inline constexpr std::int64_t kMostGathered = 128;  // rows

enum class Pooling { max, average, average_without_padding };

/// Gram matrices of differences that are held in one type of number, in which they are multiplied and summed over
/// `width`.
template <class Number>
struct GramKernels {
  /// differences[i] = numbers[i] - from[i].
  void (*subtract)(const float* numbers, const float* from, std::int64_t count, Number* differences);
  /// Adds the inner products of rows [count][width] with each other to the lower triangle of [count][count]; what it
  /// adds above that is not meant to be read. `count` is a multiple of Kernels::gram_rows, `width` of 16.
  void (*add)(const Number* rows, std::int64_t count, std::int64_t width, double* products);
};

/// Floats for one block of columns of so many matrices B, before they are packed.
constexpr std::int64_t packing_scratch(std::int64_t depth, std::int64_t matrices = 1) {
  constexpr std::int64_t kDeepest = 64;  // that a kernel takes in one go: the depth is filled up with zeros
  return (depth + kDeepest - 1) / kDeepest * kDeepest * kBlock * matrices;
}

/// B, gathered rows and scratch memory begin at multiples of 64 bytes.
struct Kernels {
  InstructionSet instruction_set;
  double filtering_pays_below;  // minimal filtering is slower where it leaves more than this share of the products
  std::int64_t most_filtered;   // outputs along a side of its tiles: larger ones would multiply the factors' rounding
  std::int64_t rows;  // of a product that are multiplied in one go: numbers of rows that it divides waste nothing
  bool in_place;      // C may be written where an A of at most kMostGathered rows lies, if that is not gathered

  /// Floats that the B of so many rows and blocks of columns takes.
  std::int64_t (*packed_size)(std::int64_t depth, std::int64_t blocks);
  /// Packs weights [outputs][row] as B: element (k, o) is weights[o * row + offsets[k]] * scale[o], or 0 where
  /// offsets[k] is negative. `scale` may be null. Columns past the outputs are 0. `scratch`: packing_scratch(depth)
  /// floats. False if a column would lose digits (loses_digits).
  bool (*pack)(const float* weights, std::int64_t outputs, std::int64_t row, const std::int32_t* offsets,
               std::int64_t depth, const float* scale, float* scratch, float* packed);
  std::int64_t (*multiply_scratch)(std::int64_t rows, std::int64_t depth);
  void (*multiply)(const Product& product);

  /// The inputs of output pixels first, …, first + count - 1 (of images * out_height * out_width) as A of a product
  /// with stride staggered(count) and depth taps * in.blocks * 16; zeros where a window reaches past the image. count
  /// is at most kMostGathered. `rows`: rows_size(count, depth) floats.
  std::int64_t (*rows_size)(std::int64_t count, std::int64_t depth);
  void (*gather)(const Activations& in, const Window& window, std::int64_t out_height, std::int64_t out_width,
                 const Affine& affine, std::int64_t first, std::int64_t count, float* rows);

  /// The weights of a 3x3 convolution, [outputs][inputs][3][3], times scale[output], as n² matrices B:
  /// each packed, of depth 16 * blocks_of(inputs), position_stride apart. `scratch`: packing_scratch(depth, n²) floats.
  /// False if a column would lose digits.
  bool (*winograd_weights)(Filtering filtering, const float* weights, const float* scale, std::int64_t outputs,
                           std::int64_t inputs, std::int64_t position_stride, float* scratch, float* transformed);
  void (*winograd_input)(const Activations& in, std::int64_t padding, const Tiles& tiles, float* transformed);
  void (*winograd_output)(const float* transformed, const Tiles& tiles, const Tail& tail, const Activations& out);

  void (*pool)(Pooling kind, const Activations& in, const Window& window, const Activations& out);
  /// out = relu?(in * scale + shift).
  void (*transform)(const Activations& in, const Affine& affine, const Activations& out);
  /// out = relu?(a + b).
  void (*add)(const Activations& a, const Activations& b, bool relu, const Activations& out);

  /// Of each channel, over images and pixels: the mean, and the sum of squared differences from it. [blocks * 16] each.
  void (*moments)(const Activations& in, double* means, double* squares);

  std::int64_t gram_rows;  // that a Gram matrix takes in one go
  GramKernels<float> gram_in_float;
  GramKernels<double> gram_in_double;
  /// Adds two combinations of rows' differences: sums[k][i] += Σ_r weights[r][k] * (numbers[r * stride + i] - from[i]).
  void (*add_combinations)(const float* numbers, std::int64_t stride, std::int64_t rows, const float* from,
                           std::int64_t count, const std::array<double, 2>* weights,
                           const std::array<double*, 2>& sums);
  /// Adds the inner products of the differences with two rows, and with themselves, to three sums.
  void (*add_projections)(const float* numbers, const float* from, std::int64_t count,
                          const std::array<const double*, 2>& rows, double* sums);

  /// Independent multiply-adds on registers, to measure the processor's peak; returns the floating-point operations.
  double (*multiply_add)(std::int64_t rounds);

  // What few sets have.

  /// Factors are whole numbers of 24 bits, scaled by the largest of a row or column: beside a few very large ones the
  /// others lose digits that floats keep.
  bool loses_digits = false;
  /// Depths of products that pay. Shallower ones are faster with AVX-512's kernels; deeper ones could overflow.
  std::int64_t least_depth = 0, most_depth = std::numeric_limits<std::int64_t>::max();
  /// 3x3 convolutions of stride 1 and padding 1 by minimal filtering along rows, F(2, 3); null if that would be
  /// slower. The weights, times scale[output], become four matrices B of depth 3 * depth_of_row(inputs), one after
  /// another; `scratch`: packing_scratch(depth, 4) floats.
  void (*convolve_weights)(const float* weights, const float* scale, std::int64_t outputs, std::int64_t inputs,
                           float* scratch, float* packed) = nullptr;
  std::int64_t (*depth_of_row)(std::int64_t inputs) = nullptr;
  std::int64_t (*convolve_scratch)(const Activations& in) = nullptr;
  void (*convolve)(const Convolution& convolution) = nullptr;
};

/// Throws std::logic_error if the set is not available.
const Kernels& kernels_of(InstructionSet set, Precision precision = Precision::fp32);

/// The inputs of output pixels from planar images, as rows: [⌈C·taps / 16⌉][count][16], staggered(count) floats from
/// block to block, the depth counted in the order (channel, y, x) of a convolution's weights; the last block is filled
/// up with zeros.
void gather_planar(const PlanarImages& in, const Window& window, std::int64_t out_height, std::int64_t out_width,
                   std::int64_t first, std::int64_t count, float* rows);

}  // namespace lossatlas
