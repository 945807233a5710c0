#include <algorithm>
#include <optional>

#include "fused/step.h"
#include "kernels/memory.h"

namespace lossatlas {
namespace {

/// What all convolutions and linear layers share: bias, norm, residual, ReLU; and where numbers can lose digits (see
/// Kernels::loses_digits), another step that does the same in float32: for all images if weights lose some, for single
/// images if their activations do.
class ProductStep : public Step {
 public:
  ProductStep(const Graph& graph, std::size_t node, const Kernels& kernels)
      : node_(graph.nodes[node]), in_(graph.nodes[node_.inputs[0]].shape), kernels_(kernels), index_(node) {
    if (kernels.loses_digits) float_step_ = make_product_step(graph, node, kernels_of(InstructionSet::avx512));
  }

  void load(const Tensors& tensors, float* scratch) final {
    const auto outputs = static_cast<std::size_t>(node_.shape.channels);
    ScaleAndShift folded;
    if (node_.norm) {
      folded = fold(*node_.norm, tensors, node_.shape.channels);
    } else {
      folded.scale.assign(outputs, 1.0f);
      folded.shift.assign(static_cast<std::size_t>(blocks_of(node_.shape.channels) * kBlock), 0.0f);
    }
    // scale (w·x + bias) + shift: the scale goes into the weights, and scale · bias + shift becomes the bias.
    for (std::size_t o = 0; node_.bias && o < outputs; ++o) {
      const double bias = static_cast<double>(tensors[*node_.bias][o]) * static_cast<double>(folded.scale[o]);
      folded.shift[o] = static_cast<float>(static_cast<double>(folded.shift[o]) + bias);
    }
    bias_ = std::move(folded.shift);
    if (node_.input_norm) input_ = fold(*node_.input_norm, tensors, in_.channels);
    keeps_digits_ = load_weights(tensors[*node_.weight], folded.scale.data(), scratch);
    if (float_step_) tensors_ = tensors;
    is_float_step_loaded_ = false;
  }

  void run(StepMemory& memory) final {
    if (!keeps_digits_) return run_in_float(memory);
    const Activations& out = output(memory);
    if (float_step_) lost_.assign(static_cast<std::size_t>(out.images), 0);
    multiply(memory);
    for (std::size_t image = 0; image < lost_.size(); ++image) {
      if (!lost_[image]) continue;
      StepMemory one = one_image(memory, static_cast<std::int64_t>(image));
      run_in_float(one);
    }
  }

  std::size_t scratch(std::int64_t images) const final {
    return std::max(own_scratch(images), float_step_ ? float_step_->scratch(images) : 0);
  }
  std::size_t weights() const final { return weights_.size(); }

 protected:
  /// False if weights lose digits.
  virtual bool load_weights(const float* weights, const float* scale, float* scratch) = 0;
  virtual void multiply(StepMemory& memory) = 0;
  virtual std::size_t own_scratch(std::int64_t images) const = 0;

  /// Kernels::multiply, with a note of the images that lose digits: so many rows of all products belong to each, and
  /// the first row is number `first` of the slice.
  void multiply_rows(Product product, std::int64_t first, std::int64_t rows_of_image) {
    if (float_step_) {
      lost_rows_.assign(static_cast<std::size_t>(product.rows), 0);
      product.lost = lost_rows_.data();
    }
    kernels_.multiply(product);
    for (std::size_t row = 0; float_step_ && row < lost_rows_.size(); ++row) {
      if (lost_rows_[row]) lost_[(static_cast<std::size_t>(first) + row) / static_cast<std::size_t>(rows_of_image)] = 1;
    }
  }

  const Activations& input(const StepMemory& memory) const { return memory.values[node_.inputs[0]]; }
  const Activations& output(const StepMemory& memory) const { return memory.values[index_]; }

  Tail tail(const StepMemory& memory) const {
    Tail tail{.bias = bias_.data(), .relu = node_.relu};
    if (node_.residual) {
      const Activations& residual = memory.values[*node_.residual];
      tail.residual = residual.data;
      tail.residual_stride = residual.stride;
    }
    return tail;
  }

  /// Rows first, …, first + count - 1 of the result as a product with the whole of the weights.
  Product product(const StepMemory& memory, const float* a, std::int64_t a_stride, std::int64_t depth,
                  std::int64_t first, std::int64_t count, bool gathered, float* scratch) const {
    const Activations& out = output(memory);
    Tail tail = this->tail(memory);
    if (tail.residual) tail.residual += first * kBlock;
    return {.a = a,
            .a_stride = a_stride,
            .b = weights_.data(),
            .c = out.data + first * kBlock,
            .c_stride = out.stride,
            .rows = count,
            .depth = depth,
            .blocks = out.blocks,
            .tail = tail,
            .gathered = gathered,
            .scratch = scratch};
  }

  Affine affine() const {
    if (!node_.input_norm) return {};
    return {input_.scale.data(), input_.shift.data(), node_.input_relu};
  }

  void make_weights(std::int64_t depth) {
    weights_ = AlignedFloats(static_cast<std::size_t>(kernels_.packed_size(depth, blocks_of(node_.shape.channels))));
  }

  const Node& node_;
  ImageShape in_;
  const Kernels& kernels_;
  AlignedFloats weights_;

 private:
  void run_in_float(StepMemory& memory) {
    if (!is_float_step_loaded_) float_step_->load(tensors_, memory.scratch);
    is_float_step_loaded_ = true;
    float_step_->run(memory);
  }

  static StepMemory one_image(const StepMemory& slice, std::int64_t image) {
    StepMemory one = slice;
    one.images.data += image * one.images.channels * one.images.height * one.images.width;
    one.images.images = 1;
    for (Activations& value : one.values) {
      value.data += image * value.height * value.width * kBlock;
      value.images = 1;
    }
    return one;
  }

  std::size_t index_;
  std::vector<float> bias_;
  ScaleAndShift input_;
  std::unique_ptr<Step> float_step_;  // null if no digits can be lost
  bool keeps_digits_ = true, is_float_step_loaded_ = false;
  Tensors tensors_;
  std::vector<std::uint8_t> lost_rows_, lost_;  // of the last product, and images of the last slice: 1, or 0
};

/// A linear layer, or a 1x1 convolution of stride 1: the activations are rows of a product as they lie.
class PointwiseStep : public ProductStep {
 public:
  PointwiseStep(const Graph& graph, std::size_t node, const Kernels& kernels) : ProductStep(graph, node, kernels) {
    for (std::int64_t k = 0; k < in_.channels; ++k) offsets_.push_back(static_cast<std::int32_t>(k));
    make_weights(in_.channels);
  }
  std::string_view method() const override { return "pointwise"; }

 private:
  void multiply(StepMemory& memory) override {
    const Activations& in = input(memory);
    multiply_rows(product(memory, in.data, in.stride, in_.channels, 0, in.pixels(), false, memory.scratch), 0,
                  in_.height * in_.width);
  }
  std::size_t own_scratch(std::int64_t images) const override {
    return static_cast<std::size_t>(std::max(packing_scratch(in_.channels),
                                             kernels_.multiply_scratch(images * in_.height * in_.width, in_.channels)));
  }
  bool load_weights(const float* weights, const float* scale, float* scratch) override {
    return kernels_.pack(weights, node_.shape.channels, in_.channels, offsets_.data(), in_.channels, scale, scratch,
                         weights_.data());
  }
  std::vector<std::int32_t> offsets_;
};

/// Any convolution: the inputs of some output pixels are gathered as rows in cache, then multiplied.
class GatheredStep : public ProductStep {
 public:
  GatheredStep(const Graph& graph, std::size_t node, const Kernels& kernels)
      : ProductStep(graph, node, kernels), planar_(node_.inputs[0] == 0) {
    const std::int64_t taps = node_.window.taps();
    if (planar_) {
      for (std::int64_t k = 0; k < in_.channels * taps; ++k) offsets_.push_back(static_cast<std::int32_t>(k));
    } else {
      for (std::int64_t tap = 0; tap < taps; ++tap) {
        for (std::int64_t c = 0; c < blocks_of(in_.channels) * kBlock; ++c) {
          offsets_.push_back(c < in_.channels ? static_cast<std::int32_t>(c * taps + tap) : -1);
        }
      }
    }
    make_weights(depth());
  }

  std::string_view method() const override { return planar_ ? "gathered, planar" : "gathered"; }

 private:
  static constexpr std::int64_t kRows = kMostGathered;

  std::size_t own_scratch(std::int64_t) const override {
    return static_cast<std::size_t>(
        std::max(packing_scratch(depth()), rows_size() + kernels_.multiply_scratch(kRows, depth())));
  }

  void multiply(StepMemory& memory) override {
    const Activations& out = output(memory);
    for (std::int64_t first = 0; first < out.pixels(); first += kRows) {
      const std::int64_t count = std::min(kRows, out.pixels() - first);
      if (planar_) {
        gather_planar(memory.images, node_.window, out.height, out.width, first, count, memory.scratch);
      } else {
        kernels_.gather(input(memory), node_.window, out.height, out.width, affine(), first, count, memory.scratch);
      }
      multiply_rows(product(memory, memory.scratch, staggered(count), depth(), first, count, !planar_,
                            memory.scratch + rows_size()),
                    first, out.height * out.width);
    }
  }

  std::int64_t depth() const { return static_cast<std::int64_t>(offsets_.size()); }
  /// Floats of gathered rows, whoever gathers them.
  std::int64_t rows_size() const {
    return planar_ ? staggered(kRows) * blocks_of(depth()) : kernels_.rows_size(kRows, depth());
  }

  bool load_weights(const float* weights, const float* scale, float* scratch) override {
    return kernels_.pack(weights, node_.shape.channels, in_.channels * node_.window.taps(), offsets_.data(), depth(),
                         scale, scratch, weights_.data());
  }

  bool planar_;
  std::vector<std::int32_t> offsets_;
};

/// A 3x3 convolution by minimal filtering along rows.
class FilteredRowsStep : public ProductStep {
 public:
  FilteredRowsStep(const Graph& graph, std::size_t node, const Kernels& kernels) : ProductStep(graph, node, kernels) {
    make_weights(kPositions * depth());
  }

  std::string_view method() const override { return "winograd 1x2"; }

 private:
  static constexpr std::int64_t kPositions = 4;

  std::size_t own_scratch(std::int64_t images) const override {
    const Activations in{.blocks = blocks_of(in_.channels), .images = images, .height = in_.height, .width = in_.width};
    return static_cast<std::size_t>(std::max(packing_scratch(depth(), kPositions), kernels_.convolve_scratch(in)));
  }
  void multiply(StepMemory& memory) override {
    kernels_.convolve({.in = input(memory),
                       .out = output(memory),
                       .b = weights_.data(),
                       .tail = tail(memory),
                       .scratch = memory.scratch});
  }

  std::int64_t depth() const { return 3 * kernels_.depth_of_row(in_.channels); }
  bool load_weights(const float* weights, const float* scale, float* scratch) override {
    kernels_.convolve_weights(weights, scale, node_.shape.channels, in_.channels, scratch, weights_.data());
    return true;
  }
};

/// A 3x3 convolution by Winograd's minimal filtering.
class WinogradStep : public ProductStep {
 public:
  WinogradStep(const Graph& graph, std::size_t node, const Kernels& kernels, Filtering filtering)
      : ProductStep(graph, node, kernels), filtering_(filtering) {
    const std::int64_t m = outputs_of(filtering);
    down_ = (node_.shape.height + m - 1) / m;
    across_ = (node_.shape.width + m - 1) / m;
    weight_stride_ = kernels.packed_size(depth(), blocks_of(node_.shape.channels)) + kStagger;
    weights_ = AlignedFloats(static_cast<std::size_t>(positions() * weight_stride_));
  }

  std::string_view method() const override {
    if (filtering_ == Filtering::two) return "winograd 2x2";
    return filtering_ == Filtering::four ? "winograd 4x4" : "winograd 2x2 / 2";
  }

 private:
  // One cache line: without it, all positions of a tile would fall on one set of the first-level cache.
  static constexpr std::int64_t kStagger = kBlock;

  std::size_t own_scratch(std::int64_t images) const override {
    const std::int64_t count = tiles_at_once(images);
    const TileStrides strides = strides_of(count);
    const std::int64_t tiles = positions() * (strides.to_products + strides.products);
    return static_cast<std::size_t>(
        std::max(packing_scratch(depth(), positions()), tiles + kernels_.multiply_scratch(count, depth())));
  }

  void multiply(StepMemory& memory) override {
    const Activations &in = input(memory), &out = output(memory);
    const std::int64_t all = in.images * down_ * across_, at_once = tiles_at_once(in.images);
    const TileStrides strides = strides_of(at_once);
    float* inputs = memory.scratch;
    float* products = inputs + positions() * strides.to_products;
    for (std::int64_t first = 0; first < all; first += at_once) {
      Tiles tiles{.filtering = filtering_,
                  .across = across_,
                  .down = down_,
                  .first = first,
                  .count = std::min(at_once, all - first),
                  .position_stride = strides.inputs,
                  .block_stride = staggered(at_once)};
      kernels_.winograd_input(in, node_.window.padding_y, tiles, inputs);
      const Product product{.a = inputs,
                            .a_stride = tiles.block_stride,
                            .b = weights_.data(),
                            .c = products,
                            .c_stride = tiles.block_stride,
                            .rows = tiles.count,
                            .depth = depth(),
                            .blocks = out.blocks,
                            .tail = {},
                            .count = positions(),
                            .a_step = strides.inputs,
                            .b_step = weight_stride_,
                            .c_step = strides.products,
                            .scratch = products + positions() * strides.products};
      multiply_rows(product, first, down_ * across_);
      tiles.position_stride = strides.products;
      kernels_.winograd_output(products, tiles, tail(memory), out);
    }
  }

  std::int64_t positions() const { return positions_of(filtering_); }
  std::int64_t depth() const { return blocks_of(in_.channels) * kBlock; }

  /// Floats from one position of the transformed tiles to the next, and from the inputs to the products, a position.
  struct TileStrides {
    std::int64_t inputs, products, to_products;
  };
  /// Where products may lie over their inputs, half as much has to stay in cache.
  TileStrides strides_of(std::int64_t tiles) const {
    const std::int64_t inputs = blocks_of(in_.channels) * staggered(tiles) + kStagger;
    const std::int64_t products = blocks_of(node_.shape.channels) * staggered(tiles) + kStagger;
    if (kernels_.in_place) return {std::max(inputs, products), std::max(inputs, products), 0};
    return {inputs, products, inputs};
  }

  /// Few enough for transformed tiles to stay in cache, many enough to pay for reading the weights.
  std::int64_t tiles_at_once(std::int64_t images) const {
    const std::int64_t channels = std::min(in_.channels, node_.shape.channels);
    const bool small_cache = second_level_cache() < std::size_t{1} << 20;
    const std::int64_t apart = channels < 128 ? 32 : channels < 512 && small_cache ? 48 : 128;
    const std::int64_t wanted = !kernels_.in_place ? apart : channels < 256 ? 64 : 128;
    return std::min(images * down_ * across_, (wanted + kernels_.rows - 1) / kernels_.rows * kernels_.rows);
  }

  bool load_weights(const float* weights, const float* scale, float* scratch) override {
    return kernels_.winograd_weights(filtering_, weights, scale, node_.shape.channels, in_.channels, weight_stride_,
                                     scratch, weights_.data());
  }

  Filtering filtering_;
  std::int64_t down_ = 0, across_ = 0, weight_stride_ = 0;
};

/// Multiplications for each output pixel and pair of channels, tiles that reach past the image counted whole: n² a tile
/// of m² outputs. On a large image F(4x4, 3x3) needs 36/16 = 2.25, F(2x2, 3x3) 16/4 = 4, the form for stride 2 25/4 =
/// 6.25, and the plain product 9. On a 5x5 image four tiles of 4x4 take 144/25 = 5.8, nine of 2x2 the same.
double multiplications(const ImageShape& out, Filtering filtering) {
  const std::int64_t m = outputs_of(filtering);
  const std::int64_t tiles = ((out.height + m - 1) / m) * ((out.width + m - 1) / m);
  return static_cast<double>(tiles * positions_of(filtering)) / static_cast<double>(out.height * out.width);
}

/// The filtering with the fewest multiplications, if there is one that pays.
std::optional<Filtering> best_filtering(const Node& node, const Kernels& kernels) {
  const Window& w = node.window;
  const bool square = w.height == 3 && w.width == 3 && w.stride_y == w.stride_x && w.dilation_y == 1 &&
                      w.dilation_x == 1 && w.padding_y == w.padding_x;
  if (!square || node.inputs[0] == 0) return std::nullopt;
  std::optional<Filtering> best;
  double least = kernels.filtering_pays_below * static_cast<double>(w.taps());
  for (const auto filtering : {Filtering::four, Filtering::two, Filtering::two_by_strides}) {
    if (stride_of(filtering) != w.stride_y || outputs_of(filtering) > kernels.most_filtered) continue;
    if (multiplications(node.shape, filtering) >= least) continue;
    best = filtering;
    least = multiplications(node.shape, filtering);
  }
  return best;
}

/// Whether filtering along rows is possible, and faster than tiles of 2x2 outputs: these take 4 products an output,
/// F(2, 3) along rows 3 · 4/2 = 6, but its transform makes two numbers of each, not four. On images of some height, as
/// the row of zeros between two images is multiplied too.
bool are_rows_best(const Node& node, const Kernels& kernels) {
  constexpr std::int64_t kLowest = 8;
  const Window& w = node.window;
  const bool same = w.height == 3 && w.width == 3 && w.stride_y == 1 && w.stride_x == 1 && w.padding_y == 1 &&
                    w.padding_x == 1 && w.dilation_y == 1 && w.dilation_x == 1;
  return kernels.convolve && same && node.inputs[0] != 0 && node.shape.height >= kLowest;
}

/// Those that are fastest for products of this depth: the matrix unit fills up a shallow one to a whole
/// tile, and could overflow in a very deep one.
const Kernels& kernels_for(std::int64_t depth, const Kernels& kernels) {
  const bool pays = depth >= kernels.least_depth && depth <= kernels.most_depth;
  return pays ? kernels : kernels_of(InstructionSet::avx512);
}

}  // namespace

std::unique_ptr<Step> make_product_step(const Graph& graph, std::size_t index, const Kernels& all_kernels) {
  const Node& node = graph.nodes[index];
  const Window& window = node.window;
  const std::int64_t channels = graph.nodes[node.inputs[0]].shape.channels;
  const Kernels& kernels = kernels_for(channels, all_kernels);
  const bool plain = window.taps() == 1 && window.stride_y == 1 && window.stride_x == 1 && window.padding_y == 0 &&
                     window.padding_x == 0;
  if (plain && !node.input_norm && node.inputs[0] != 0) return std::make_unique<PointwiseStep>(graph, index, kernels);
  if (are_rows_best(node, kernels)) return std::make_unique<FilteredRowsStep>(graph, index, kernels);
  if (const auto filtering = best_filtering(node, kernels)) {
    return std::make_unique<WinogradStep>(graph, index, kernels, *filtering);
  }
  return std::make_unique<GatheredStep>(graph, index, kernels_for(channels * window.taps(), all_kernels));
}

}  // namespace lossatlas
