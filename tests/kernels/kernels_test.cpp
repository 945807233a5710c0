#include "kernels/kernels.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "catch.h"
#include "kernels/memory.h"
#include "kernels/reference.h"

using namespace lossatlas;
using namespace lossatlas::test;

namespace {

/// The kernels of every instruction set that this processor has, one after another.
const Kernels& each_instruction_set() {
  const auto set =
      GENERATE(InstructionSet::portable, InstructionSet::avx2, InstructionSet::avx512, InstructionSet::amx);
  const auto used = is_available(set) ? set : InstructionSet::portable;
  CAPTURE(name_of(used));
  return kernels_of(used);
}

std::vector<std::int32_t> one_after_another(std::int64_t depth) {
  std::vector<std::int32_t> offsets;
  for (std::int64_t k = 0; k < depth; ++k) offsets.push_back(static_cast<std::int32_t>(k));
  return offsets;
}

/// Floats that are NaN until something is written.
AlignedFloats unwritten(std::int64_t count) {
  AlignedFloats floats(at(count));
  std::fill_n(floats.data(), count, NAN);
  return floats;
}

AlignedFloats packed(const std::vector<float>& weights, std::int64_t outputs, std::int64_t depth,
                     const Kernels& kernels) {
  AlignedFloats b(at(kernels.packed_size(depth, blocks_of(outputs))));
  kernels.pack(weights.data(), outputs, depth, one_after_another(depth).data(), depth, nullptr,
               unwritten(packing_scratch(depth)).data(), b.data());
  return b;
}

/// The nearest number of 8 significant bits.
float rounded_to_bfloat16(float number) {
  int exponent = 0;
  const float fraction = std::frexp(number, &exponent);
  return std::ldexp(std::round(std::ldexp(fraction, 8)), exponent - 8);
}

/// Computes the product, with memory for what the kernels need.
void multiply(const Kernels& kernels, Product product) {
  const AlignedFloats scratch = unwritten(kernels.multiply_scratch(product.rows, product.depth));
  product.scratch = scratch.data();
  kernels.multiply(product);
}

}  // namespace

TEST_CASE("a product of any size, with its tail, is that of double arithmetic") {
  const Kernels& kernels = each_instruction_set();
  const auto rows = GENERATE(1, 2, 5, 6, 7, 13, 96, 101);
  const auto depth = GENERATE(1, 16, 27, 300);
  const auto outputs = GENERATE(1, 16, 40, 64);
  const auto tail_of = GENERATE(0, 1, 2);
  CAPTURE(rows, depth, outputs, tail_of);
  Noise noise;
  BlockedImages a(1, depth, 1, rows, noise), c(1, outputs, 1, rows), residual(1, outputs, 1, rows, noise);
  const auto weights = noise.numbers(outputs * depth), bias = noise.numbers(blocks_of(outputs) * kBlock);
  const auto b = packed(weights, outputs, depth, kernels);
  Tail tail;
  if (tail_of > 0) tail.bias = bias.data();
  if (tail_of > 1) tail = {bias.data(), residual.view().data, residual.stride(), true};
  multiply(kernels,
           {a.view().data, a.stride(), b.data(), c.view().data, c.stride(), rows, depth, c.view().blocks, tail});

  const Window window;
  double worst = 0;
  for (std::int64_t o = 0; o < outputs; ++o) {
    for (std::int64_t x = 0; x < rows; ++x) {
      double wanted = convolution_at(a, weights, window, 0, o, 0, x);
      if (tail_of > 0) wanted += static_cast<double>(bias[at(o)]);
      if (tail_of > 1) wanted = std::max(0.0, wanted + residual.padded(0, o, 0, x));
      worst = std::max(worst, std::abs(c.padded(0, o, 0, x) - wanted));
    }
  }
  CHECK(worst < 2e-6 * std::sqrt(depth) + 1e-6);
}

TEST_CASE("rows and columns in which a few numbers take the others' digits are found") {
  const Kernels& kernels = each_instruction_set();
  constexpr std::int64_t kRows = 7, kOutputs = 20;
  const std::int64_t depth = GENERATE(64, 100, 576), special = GENERATE(0, 5);
  struct Case {
    const char* what;
    float largest;
    std::int64_t large, small;  // so many numbers that large, so many up to 1; the others are 0
    bool lost;
  };
  const auto c = GENERATE(Case{"ordinary", 1, 0, 64, false}, Case{"one of a hundred", 100, 1, 63, false},
                          Case{"one of a million", 1e6f, 1, 63, true}, Case{"negative", -1e6f, 1, 63, true},
                          Case{"beyond all digits", 1e20f, 1, 63, true}, Case{"some of a million", 1e6f, 6, 58, true},
                          Case{"many of a million", 1e6f, 32, 32, false}, Case{"alone", 1e6f, 1, 0, false},
                          Case{"two", 1e6f, 1, 8, true}, Case{"few", 1, 0, 5, false}, Case{"none", 1, 0, 0, false},
                          Case{"infinite", INFINITY, 1, 63, false}, Case{"not a number", NAN, 1, 63, false});
  CAPTURE(depth, special, c.what);
  Noise noise;
  std::vector<float> numbers(at(depth));
  for (std::int64_t k = 0; k < c.large; ++k) numbers[at((3 + 7 * k) % depth)] = c.largest;
  for (std::int64_t k = 0, left = c.small; left > 0; ++k) {
    float& number = numbers[at(k % depth)];
    if (number == 0) number = noise.next(), --left;
  }
  BlockedImages a(1, depth, 1, kRows, noise), out(1, kOutputs, 1, kRows);
  auto weights = noise.numbers(kOutputs * depth);
  const auto b = packed(weights, kOutputs, depth, kernels);
  for (std::int64_t k = 0; k < depth; ++k) a.value(0, k, 0, special) = numbers[at(k)];
  std::vector<std::uint8_t> lost(kRows);
  Product product{.a = a.view().data,
                  .a_stride = a.stride(),
                  .b = b.data(),
                  .c = out.view().data,
                  .c_stride = out.stride(),
                  .rows = kRows,
                  .depth = depth,
                  .blocks = out.view().blocks,
                  .tail = {}};
  product.lost = lost.data();
  multiply(kernels, product);
  std::vector<std::uint8_t> wanted(kRows);
  wanted[at(special)] = kernels.loses_digits && c.lost;
  CHECK(lost == wanted);

  std::copy(numbers.begin(), numbers.end(), weights.begin() + special * depth);
  const bool keeps = kernels.pack(weights.data(), kOutputs, depth, one_after_another(depth).data(), depth, nullptr,
                                  unwritten(packing_scratch(depth)).data(), b.data());
  CHECK(keeps == !(kernels.loses_digits && c.lost));
}

TEST_CASE("gathered rows make any convolution") {
  const Kernels& kernels = each_instruction_set();
  struct Case {
    std::int64_t images, channels, height, width, outputs;
    Window window;
  };
  const auto c =
      GENERATE(Case{1, 3, 1, 1, 5, {1, 1, 1, 1, 0, 0, 1, 1}}, Case{2, 17, 7, 5, 33, {3, 3, 2, 2, 1, 1, 1, 1}},
               Case{1, 16, 33, 35, 16, {5, 3, 1, 2, 3, 0, 1, 1}}, Case{3, 20, 9, 8, 18, {3, 3, 1, 1, 2, 2, 2, 2}},
               Case{2, 32, 8, 8, 64, {1, 1, 2, 2, 0, 0, 1, 1}});
  const bool planar = GENERATE(false, true);
  CAPTURE(c.channels, c.height, c.width, planar);
  Noise noise;
  BlockedImages in(c.images, c.channels, c.height, c.width, noise);
  const Window& w = c.window;
  const auto out_height = windows(c.height, w.height, w.stride_y, w.padding_y, w.dilation_y);
  const auto out_width = windows(c.width, w.width, w.stride_x, w.padding_x, w.dilation_x);
  const auto weights = noise.numbers(c.outputs * c.channels * w.taps());
  BlockedImages out(c.images, c.outputs, out_height, out_width);

  const std::int64_t pixels = c.images * out_height * out_width, taps = w.taps();
  std::vector<std::int32_t> offsets;
  std::vector<float> plain;
  if (planar) {
    for (std::int64_t i = 0; i < c.images * c.channels * c.height * c.width; ++i) {
      const std::int64_t x = i % c.width, y = i / c.width % c.height, n = i / c.width / c.height;
      plain.push_back(in.value(n / c.channels, n % c.channels, y, x));
    }
    offsets = one_after_another(c.channels * taps);
  } else {
    for (std::int64_t tap = 0; tap < taps; ++tap) {
      for (std::int64_t k = 0; k < in.view().blocks * kBlock; ++k)
        offsets.push_back(k < c.channels ? static_cast<std::int32_t>(k * taps + tap) : -1);
    }
  }
  const auto depth = static_cast<std::int64_t>(offsets.size());
  const AlignedFloats b(at(kernels.packed_size(depth, out.view().blocks)));
  kernels.pack(weights.data(), c.outputs, c.channels * taps, offsets.data(), depth, nullptr,
               unwritten(packing_scratch(depth)).data(), b.data());
  for (std::int64_t first = 0; first < pixels; first += 10) {  // in pieces that cross rows and images
    const std::int64_t count = std::min<std::int64_t>(10, pixels - first);
    const AlignedFloats rows =
        unwritten(std::max(blocks_of(depth) * staggered(count), kernels.rows_size(count, depth)));
    if (planar) {
      gather_planar({plain.data(), c.images, c.channels, c.height, c.width}, w, out_height, out_width, first, count,
                    rows.data());
    } else {
      kernels.gather(in.view(), w, out_height, out_width, {}, first, count, rows.data());
    }
    multiply(kernels, {.a = rows.data(),
                       .a_stride = staggered(count),
                       .b = b.data(),
                       .c = out.view().data + first * kBlock,
                       .c_stride = out.stride(),
                       .rows = count,
                       .depth = depth,
                       .blocks = out.view().blocks,
                       .tail = {},
                       .gathered = !planar});
  }
  double worst = 0;
  for (std::int64_t i = 0; i < pixels * c.outputs; ++i) {
    const std::int64_t x = i % out_width, y = i / out_width % out_height, n = i / out_width / out_height;
    const double wanted = convolution_at(in, weights, w, n / c.outputs, n % c.outputs, y, x);
    worst = std::max(worst, std::abs(out.padded(n / c.outputs, n % c.outputs, y, x) - wanted));
  }
  CHECK(worst < 2e-5);
}

namespace {

struct WinogradCase {
  std::int64_t images, inputs, outputs, height, width, padding;
};

/// The largest errors of a convolution by minimal filtering, with its bias, residual and ReLU: of ours, and of the sum
/// of products of rounded numbers.
struct WinogradErrors {
  double ours = 0, rounded = 0;
};

WinogradErrors winograd_errors(const Kernels& kernels, Filtering filtering, const WinogradCase& c) {
  const std::int64_t m = outputs_of(filtering), n = side_of(filtering), stride = stride_of(filtering);
  Noise noise;
  BlockedImages in(c.images, c.inputs, c.height, c.width, noise);
  const std::int64_t height = windows(c.height, 3, stride, c.padding, 1);
  const std::int64_t width = windows(c.width, 3, stride, c.padding, 1);
  BlockedImages out(c.images, c.outputs, height, width), residual(c.images, c.outputs, height, width, noise);
  const auto weights = noise.numbers(c.outputs * c.inputs * 9), scale = noise.numbers(c.outputs);
  const auto bias = noise.numbers(blocks_of(c.outputs) * kBlock);

  const std::int64_t depth = blocks_of(c.inputs) * kBlock, columns = blocks_of(c.outputs) * kBlock;
  const std::int64_t weight_stride = kernels.packed_size(depth, columns / kBlock) + kBlock;
  const AlignedFloats b(at(n * n * weight_stride));
  kernels.winograd_weights(filtering, weights.data(), scale.data(), c.outputs, c.inputs, weight_stride,
                           unwritten(packing_scratch(depth, n * n)).data(), b.data());
  const std::int64_t down = (height + m - 1) / m, across = (width + m - 1) / m, all = c.images * down * across;
  const std::int64_t product_stride = std::max(depth, columns) * 5 + kBlock;
  const std::int64_t input_stride = kernels.in_place ? product_stride : depth * 5 + kBlock;
  for (std::int64_t first = 0; first < all; first += 5) {
    Tiles tiles{filtering, across, down, first, std::min<std::int64_t>(5, all - first), input_stride, 5 * kBlock};
    std::vector<float> v(at(n * n * input_stride), NAN), apart(at(n * n * product_stride), NAN);
    float* products = kernels.in_place ? v.data() : apart.data();
    kernels.winograd_input(in.view(), c.padding, tiles, v.data());
    multiply(kernels, {.a = v.data(),
                       .a_stride = tiles.block_stride,
                       .b = b.data(),
                       .c = products,
                       .c_stride = tiles.block_stride,
                       .rows = tiles.count,
                       .depth = depth,
                       .blocks = columns / kBlock,
                       .tail = {},
                       .count = n * n,
                       .a_step = input_stride,
                       .b_step = weight_stride,
                       .c_step = product_stride});
    tiles.position_stride = product_stride;
    kernels.winograd_output(products, tiles, {bias.data(), residual.view().data, residual.stride(), true}, out.view());
  }
  const Window window{3, 3, stride, stride, c.padding, c.padding, 1, 1};
  BlockedImages rounded_in = in;
  auto rounded_weights = weights;
  for (float& number : rounded_in.blocked) number = rounded_to_bfloat16(number);
  for (float& number : rounded_weights) number = rounded_to_bfloat16(number);
  WinogradErrors worst;
  for (std::int64_t i = 0; i < c.images * c.outputs * height * width; ++i) {
    const std::int64_t x = i % width, y = i / width % height, o = i / width / height % c.outputs;
    const std::int64_t image = i / width / height / c.outputs;
    const double rest = static_cast<double>(bias[at(o)]) + residual.padded(image, o, y, x), by = scale[at(o)];
    const double wanted = std::max(0.0, convolution_at(in, weights, window, image, o, y, x) * by + rest);
    const double of_rounded = convolution_at(rounded_in, rounded_weights, window, image, o, y, x) * by + rest;
    worst.ours = std::max(worst.ours, std::abs(out.padded(image, o, y, x) - wanted));
    worst.rounded = std::max(worst.rounded, std::abs(std::max(0.0, of_rounded) - wanted));
  }
  return worst;
}

}  // namespace

TEST_CASE("Winograd's convolutions are those of double arithmetic") {
  const Kernels& kernels = each_instruction_set();
  const auto c =
      GENERATE(WinogradCase{1, 16, 16, 4, 4, 1}, WinogradCase{2, 33, 17, 7, 9, 1}, WinogradCase{1, 5, 40, 33, 35, 0},
               WinogradCase{3, 64, 64, 2, 2, 1}, WinogradCase{1, 16, 32, 1, 1, 1}, WinogradCase{2, 16, 16, 5, 6, 2},
               WinogradCase{1, 20, 16, 3, 3, 3});
  const auto filtering = GENERATE(Filtering::two, Filtering::four, Filtering::two_by_strides);
  CAPTURE(outputs_of(filtering), stride_of(filtering), c.inputs, c.outputs, c.height, c.width, c.padding);
  CHECK(winograd_errors(kernels, filtering, c).ours < 1e-4);
}

TEST_CASE("bfloat16 convolutions by minimal filtering are off by little more than products of rounded numbers") {
  if (!is_available(InstructionSet::amx, Precision::bf16)) return;
  const Kernels& kernels = kernels_of(InstructionSet::amx, Precision::bf16);
  const auto c =
      GENERATE(WinogradCase{2, 33, 17, 7, 9, 1}, WinogradCase{3, 64, 64, 8, 8, 1}, WinogradCase{1, 20, 16, 3, 3, 3});
  const WinogradErrors errors = winograd_errors(kernels, Filtering::two, c);
  CAPTURE(errors.ours, errors.rounded);
  CHECK(errors.ours < 4 * errors.rounded);
  CHECK(errors.ours > 1e-3 * errors.rounded);  // or it would not be bfloat16
}

TEST_CASE("bfloat16 products are those of rounded numbers") {
  if (!is_available(InstructionSet::amx, Precision::bf16)) return;
  const Kernels& kernels = kernels_of(InstructionSet::amx, Precision::bf16);
  const Window window = GENERATE(Window{3, 3, 1, 1, 1, 1, 1, 1}, Window{3, 3, 2, 2, 1, 1, 1, 1},
                                 Window{1, 1, 2, 2, 0, 0, 1, 1}, Window{2, 5, 1, 3, 0, 2, 2, 1});
  const std::int64_t channels = GENERATE(16, 40), outputs = 40;
  Noise noise;
  BlockedImages in(2, channels, 9, 7, noise);
  auto weights = noise.numbers(outputs * channels * window.taps());
  const auto height = windows(9, window.height, window.stride_y, window.padding_y, window.dilation_y);
  const auto width = windows(7, window.width, window.stride_x, window.padding_x, window.dilation_x);
  BlockedImages out(2, outputs, height, width);
  std::vector<std::int32_t> offsets;
  for (std::int64_t tap = 0; tap < window.taps(); ++tap) {
    for (std::int64_t k = 0; k < in.view().blocks * kBlock; ++k)
      offsets.push_back(k < channels ? static_cast<std::int32_t>(k * window.taps() + tap) : -1);
  }
  const auto depth = static_cast<std::int64_t>(offsets.size()), pixels = 2 * height * width;
  const AlignedFloats b(at(kernels.packed_size(depth, out.view().blocks)));
  kernels.pack(weights.data(), outputs, channels * window.taps(), offsets.data(), depth, nullptr,
               unwritten(packing_scratch(depth)).data(), b.data());
  const AlignedFloats rows = unwritten(kernels.rows_size(pixels, depth));
  kernels.gather(in.view(), window, height, width, {}, 0, pixels, rows.data());
  multiply(kernels, {.a = rows.data(),
                     .a_stride = staggered(pixels),
                     .b = b.data(),
                     .c = out.view().data,
                     .c_stride = out.stride(),
                     .rows = pixels,
                     .depth = depth,
                     .blocks = out.view().blocks,
                     .tail = {},
                     .gathered = true});
  for (float& number : in.blocked) number = rounded_to_bfloat16(number);
  for (float& number : weights) number = rounded_to_bfloat16(number);
  double worst = 0;
  for (std::int64_t i = 0; i < pixels * outputs; ++i) {
    const std::int64_t x = i % width, y = i / width % height, o = i / width / height % outputs;
    const std::int64_t image = i / width / height / outputs;
    worst = std::max(worst, std::abs(out.padded(image, o, y, x) - convolution_at(in, weights, window, image, o, y, x)));
  }
  CHECK(worst < 2e-5);
}

TEST_CASE("bfloat16 convolutions by filtering along rows are off by little more than products of rounded numbers") {
  if (!is_available(InstructionSet::amx, Precision::bf16)) return;
  const Kernels& kernels = kernels_of(InstructionSet::amx, Precision::bf16);
  struct Case {
    std::int64_t images, channels, height, width;
  };
  const auto c =
      GENERATE(Case{300, 40, 9, 7}, Case{1, 16, 1, 1}, Case{2, 33, 5, 8}, Case{3, 64, 4, 4}, Case{1, 20, 33, 70});
  const std::int64_t outputs = GENERATE(16, 40);
  CAPTURE(c.images, c.channels, c.height, c.width, outputs);
  Noise noise;
  BlockedImages in(c.images, c.channels, c.height, c.width, noise), out(c.images, outputs, c.height, c.width);
  BlockedImages residual(c.images, outputs, c.height, c.width, noise);
  auto weights = noise.numbers(outputs * c.channels * 9);
  const auto scale = noise.numbers(outputs), bias = noise.numbers(blocks_of(outputs) * kBlock);
  const std::int64_t depth = 3 * kernels.depth_of_row(c.channels);
  const AlignedFloats b(at(4 * kernels.packed_size(depth, out.view().blocks)));
  kernels.convolve_weights(weights.data(), scale.data(), outputs, c.channels,
                           unwritten(packing_scratch(depth, 4)).data(), b.data());
  const AlignedFloats scratch = unwritten(kernels.convolve_scratch(in.view()));
  const Tail tail{bias.data(), residual.view().data, residual.stride(), true};
  kernels.convolve({in.view(), out.view(), b.data(), tail, scratch.data()});

  BlockedImages rounded_in = in;
  auto rounded_weights = weights;
  for (float& number : rounded_in.blocked) number = rounded_to_bfloat16(number);
  for (float& number : rounded_weights) number = rounded_to_bfloat16(number);
  double ours = 0, rounded = 0;
  double count = 0;
  const std::int64_t step = c.images > 10 ? 7 : 1;
  for (std::int64_t i = 0; i < c.images * outputs * c.height * c.width; i += step) {
    const std::int64_t x = i % c.width, y = i / c.width % c.height, o = i / c.width / c.height % outputs;
    const std::int64_t n = i / c.width / c.height / outputs;
    const Window window{3, 3, 1, 1, 1, 1, 1, 1};
    const double rest = static_cast<double>(bias[at(o)]) + residual.padded(n, o, y, x), by = scale[at(o)];
    const double wanted = std::max(0.0, convolution_at(in, weights, window, n, o, y, x) * by + rest);
    const double of_rounded =
        std::max(0.0, convolution_at(rounded_in, rounded_weights, window, n, o, y, x) * by + rest);
    ours += std::pow(out.padded(n, o, y, x) - wanted, 2);
    rounded += std::pow(of_rounded - wanted, 2);
    ++count;
  }
  CHECK(std::sqrt(ours / count) < 1.8 * std::sqrt(rounded / count));
  CHECK(ours > 0.1 * rounded);  // or it would not be bfloat16
  const auto end_of_block = out.blocked.begin() + c.images * c.height * c.width * kBlock;
  CHECK(std::all_of(end_of_block, end_of_block + kBlock, [](float number) { return std::isnan(number); }));
}

TEST_CASE("each row of a product is as exact as its own numbers are large, and so is each column") {
  const Kernels& kernels = each_instruction_set();
  const std::int64_t depth = GENERATE(16, 64, 200), rows = 33, outputs = 48;
  Noise noise;
  BlockedImages a(1, depth, 1, rows, noise), c(1, outputs, 1, rows);
  auto weights = noise.numbers(outputs * depth);
  const auto size_of_row = [](std::int64_t row) { return std::pow(10.0, row - 16); };
  const auto size_of_column = [](std::int64_t o) { return std::pow(10.0, static_cast<double>(o - 24) / 4); };
  for (std::int64_t k = 0; k < depth; ++k) {
    for (std::int64_t row = 0; row < rows; ++row) a.value(0, k, 0, row) *= static_cast<float>(size_of_row(row));
    for (std::int64_t o = 0; o < outputs; ++o) weights[at(o * depth + k)] *= static_cast<float>(size_of_column(o));
  }
  const auto b = packed(weights, outputs, depth, kernels);
  multiply(kernels, {a.view().data, a.stride(), b.data(), c.view().data, c.stride(), rows, depth, c.view().blocks, {}});
  double worst = 0;
  for (std::int64_t i = 0; i < rows * outputs; ++i) {
    const std::int64_t row = i % rows, o = i / rows;
    const double error = c.padded(0, o, 0, row) - convolution_at(a, weights, {}, 0, o, 0, row);
    worst = std::max(worst, std::abs(error) / size_of_row(row) / size_of_column(o));
  }
  CHECK(worst < 5e-7 * std::sqrt(depth));
}

TEST_CASE("the deepest products of equal numbers do not overflow") {
  const Kernels& kernels = each_instruction_set();
  const std::int64_t depth = std::min<std::int64_t>(kernels.most_depth, 1 << 16);
  const float factor = GENERATE(1.0f, -3.0f);
  BlockedImages a(1, depth, 1, 2), c(1, 16, 1, 2);
  for (float& number : a.blocked) number = number == number ? 1.0f : number;
  const std::vector<float> weights(at(16 * depth), factor);
  const auto b = packed(weights, 16, depth, kernels);
  multiply(kernels, {a.view().data, a.stride(), b.data(), c.view().data, c.stride(), 2, depth, 1, {}});
  CHECK(std::abs(c.padded(0, 5, 0, 1) / static_cast<double>(depth) - static_cast<double>(factor)) < 1e-5);
}

TEST_CASE("poolings are those of double arithmetic") {
  const Kernels& kernels = each_instruction_set();
  const auto kind = GENERATE(Pooling::max, Pooling::average, Pooling::average_without_padding);
  const auto window = GENERATE(Window{2, 2, 2, 2, 0, 0, 1, 1}, Window{3, 3, 2, 2, 1, 1, 1, 1},
                               Window{7, 5, 1, 1, 0, 0, 1, 1}, Window{2, 2, 1, 1, 1, 1, 2, 2});
  Noise noise;
  BlockedImages in(2, 20, 7, 9, noise);
  const std::int64_t height = windows(7, window.height, window.stride_y, window.padding_y, window.dilation_y);
  const std::int64_t width = windows(9, window.width, window.stride_x, window.padding_x, window.dilation_x);
  BlockedImages out(2, 20, height, width);
  kernels.pool(kind, in.view(), window, out.view());
  double worst = 0;
  for (std::int64_t i = 0; i < 2 * 20 * height * width; ++i) {
    const std::int64_t x = i % width, y = i / width % height, c = i / width / height % 20, n = i / width / height / 20;
    double sum = 0, highest = -INFINITY;
    int inside = 0;
    for (std::int64_t tap = 0; tap < window.taps(); ++tap) {
      const std::int64_t row = y * window.stride_y - window.padding_y + tap / window.width * window.dilation_y;
      const std::int64_t column = x * window.stride_x - window.padding_x + tap % window.width * window.dilation_x;
      if (row < 0 || row >= 7 || column < 0 || column >= 9) continue;
      sum += in.padded(n, c, row, column);
      highest = std::max(highest, in.padded(n, c, row, column));
      ++inside;
    }
    const double divisor = kind == Pooling::average ? static_cast<double>(window.taps()) : inside;
    const double wanted = kind == Pooling::max ? highest : sum / divisor;
    worst = std::max(worst, std::abs(out.padded(n, c, y, x) - wanted));
  }
  CHECK(worst < 1e-6);
}

TEST_CASE("what is not finite stays so") {
  const Kernels& kernels = each_instruction_set();
  const float bad = GENERATE(NAN, INFINITY);
  BlockedImages in(1, 16, 4, 4), out(1, 16, 4, 4), pooled(1, 16, 2, 2);
  in.value(0, 3, 1, 1) = bad;
  kernels.transform(in.view(), {nullptr, nullptr, true}, out.view());
  CHECK_FALSE(std::isfinite(out.padded(0, 3, 1, 1)));
  kernels.add(in.view(), in.view(), true, out.view());
  CHECK_FALSE(std::isfinite(out.padded(0, 3, 1, 1)));
  kernels.pool(Pooling::max, in.view(), {2, 2, 2, 2, 0, 0, 1, 1}, pooled.view());
  CHECK_FALSE(std::isfinite(pooled.padded(0, 3, 0, 0)));
  std::vector<float> weights(16 * 16, 0.5f);
  const auto b = packed(weights, 16, 16, kernels);
  const Tail tail{nullptr, nullptr, 0, true};
  multiply(kernels, {in.view().data, in.stride(), b.data(), out.view().data, out.stride(), 16, 16, 1, tail});
  CHECK_FALSE(std::isfinite(out.padded(0, 0, 1, 1)));
  CHECK(out.padded(0, 0, 1, 2) == 0);  // another row
  in.value(0, 3, 1, 1) = 1;
  weights[7 * 16 + 2] = bad;
  const auto bad_b = packed(weights, 16, 16, kernels);
  multiply(kernels, {in.view().data, in.stride(), bad_b.data(), out.view().data, out.stride(), 16, 16, 1, tail});
  CHECK_FALSE(std::isfinite(out.padded(0, 7, 1, 1)));
  CHECK(std::abs(out.padded(0, 6, 1, 1) - 0.5) < 1e-6);  // another column
}

TEST_CASE("scale and shift come before the ReLU") {
  const Kernels& kernels = each_instruction_set();
  Noise noise;
  BlockedImages in(2, 20, 3, 5, noise), out(2, 20, 3, 5);
  const auto scale = noise.numbers(32), shift = noise.numbers(32);
  kernels.transform(in.view(), {scale.data(), shift.data(), true}, out.view());
  const double wanted = in.padded(1, 18, 2, 4) * static_cast<double>(scale[18]) + static_cast<double>(shift[18]);
  CHECK(std::abs(out.padded(1, 18, 2, 4) - std::max(0.0, wanted)) < 1e-6);
}

TEST_CASE("moments are those of double arithmetic, far from 0 as well") {
  const Kernels& kernels = each_instruction_set();
  const std::int64_t images = GENERATE(1, 3), side = GENERATE(1, 7, 33);
  const float shift = GENERATE(0.0f, 1000.0f);
  Noise noise;
  BlockedImages in(images, 20, side, side, noise);
  for (std::int64_t c = 0; c < 20; ++c) {
    for (std::int64_t i = 0; i < images * side * side; ++i)
      in.value(i / side / side, c, i / side % side, i % side) += shift;
  }
  std::vector<double> means(32), squares(32);
  kernels.moments(in.view(), means.data(), squares.data());
  const auto count = static_cast<double>(images * side * side);
  for (std::int64_t c = 0; c < 20; ++c) {
    double sum = 0, rest = 0;
    const auto each = [&](auto&& use) {
      for (std::int64_t i = 0; i < images * side * side; ++i)
        use(in.padded(i / side / side, c, i / side % side, i % side));
    };
    each([&](double value) { sum += value; });
    each([&](double value) { rest += (value - sum / count) * (value - sum / count); });
    CHECK(means[at(c)] == Approx(sum / count).epsilon(1e-6).margin(1e-7));
    CHECK(squares[at(c)] == Approx(rest).epsilon(1e-4).margin(1e-6));
  }
  CHECK(means[25] == 0);
}

/// The differences of rows of numbers, and what `own` adds to sums of 0.5, held against double and more.
template <class Number>
std::vector<Number> check_gram(const GramKernels<Number>& own, const std::vector<float>& numbers,
                               const std::vector<float>& from, std::int64_t rows, double tolerance) {
  const auto width = static_cast<std::int64_t>(from.size());
  std::vector<Number> differences(at(rows * width));
  std::vector<double> gram(at(rows * rows), 0.5);
  for (std::int64_t i = 0; i < rows; ++i) {
    own.subtract(&numbers[at(i * width)], from.data(), 3, &differences[at(i * width)]);
    own.subtract(&numbers[at(i * width + 3)], &from[3], width - 3, &differences[at(i * width + 3)]);
  }
  own.add(differences.data(), rows, width, gram.data());
  double worst = 0;
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t j = 0; j <= i; ++j) {
      long double wanted = 0.5L;
      for (std::int64_t k = 0; k < width; ++k) {
        const auto difference = [&](std::int64_t row) {
          return static_cast<long double>(numbers[at(row * width + k)]) - static_cast<long double>(from[at(k)]);
        };
        wanted += difference(i) * difference(j);
      }
      worst = std::max(worst, std::abs(gram[at(i * rows + j)] - static_cast<double>(wanted)));
    }
  }
  CHECK(worst < tolerance);
  return differences;
}

TEST_CASE("a Gram matrix adds up from blocks of differences") {
  const Kernels& kernels = each_instruction_set();
  const auto rows = GENERATE(1, 2, 7) * kernels.gram_rows;
  const auto width = GENERATE(16, 512);
  Noise noise;
  const auto numbers = noise.numbers(rows * width), from = noise.numbers(width);
  check_gram(kernels.gram_in_float, numbers, from, rows, 1e-6 * static_cast<double>(width));
  const auto differences = check_gram(kernels.gram_in_double, numbers, from, rows, 1e-12);

  // Combinations of the last two rows of differences, projections of the first.
  std::vector<double> first(at(width), 1.0), second(at(width), -1.0), projections(3, 0.5);
  const auto count = width - 1;  // not a multiple of anything
  const std::array<std::array<double, 2>, 2> weights{{{2.0, -0.5}, {-1.5, 0.25}}};
  const auto last = at((rows - 2) * width);
  kernels.add_combinations(&numbers[last], width, 2, from.data(), count, weights.data(), {first.data(), second.data()});
  kernels.add_projections(numbers.data(), from.data(), count, {first.data(), second.data()}, projections.data());
  std::array<long double, 3> wanted{0.5L, 0.5L, 0.5L};
  for (std::size_t k = 0; k < at(count); ++k) {
    const double difference = differences[k], one = differences[last + k], other = differences[last + at(width) + k];
    CHECK(std::abs(first[k] - (1 + 2 * one - 1.5 * other)) < 1e-15);
    CHECK(std::abs(second[k] - (-1 - 0.5 * one + 0.25 * other)) < 1e-15);
    wanted[0] += static_cast<long double>(difference) * static_cast<long double>(first[k]);
    wanted[1] += static_cast<long double>(difference) * static_cast<long double>(second[k]);
    wanted[2] += static_cast<long double>(difference) * static_cast<long double>(difference);
  }
  for (std::size_t k = 0; k < 3; ++k) CHECK(std::abs(projections[k] - static_cast<double>(wanted[k])) < 1e-12);
}

TEST_CASE("an instruction set has its name, and the best is there") {
  CHECK(is_available(best_instruction_set()));
  CHECK(is_available(InstructionSet::portable));
  CHECK(name_of(InstructionSet::avx2) == "avx2");
}
