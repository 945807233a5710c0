#include "fused/step.h"

#include <algorithm>
#include <cmath>

namespace lossatlas {
namespace {

/// A step that gives a node's inputs to a kernel.
class KernelStep : public Step {
 public:
  KernelStep(const Graph& graph, std::size_t node, const Kernels& kernels)
      : node_(graph.nodes[node]), kernels_(kernels), index_(node) {}

 protected:
  const Activations& input(const StepMemory& memory, std::size_t k = 0) const { return memory.values[node_.inputs[k]]; }
  const Activations& output(const StepMemory& memory) const { return memory.values[index_]; }
  Moments& moments(StepMemory& memory) const { return memory.moments[index_]; }

  const Node& node_;
  const Kernels& kernels_;

 private:
  std::size_t index_;
};

class NormStep : public KernelStep {
 public:
  using KernelStep::KernelStep;

  void load(const Tensors& tensors, float*) override {
    if (node_.norm) folded_ = fold(*node_.norm, tensors, node_.shape.channels);
  }
  void run(StepMemory& memory) override {
    const Affine affine{node_.norm ? folded_.scale.data() : nullptr, folded_.shift.data(), node_.relu};
    kernels_.transform(input(memory), affine, output(memory));
  }

 private:
  ScaleAndShift folded_;
};

class MomentsStep : public KernelStep {
 public:
  using KernelStep::KernelStep;

  void run(StepMemory& memory) override {
    const Activations& in = input(memory);
    const auto channels = static_cast<std::size_t>(in.blocks * kBlock);
    Moments slice{in.pixels(), std::vector<double>(channels), std::vector<double>(channels)};
    kernels_.moments(in, slice.means.data(), slice.squares.data());
    Moments& batch = moments(memory);
    if (memory.first == 0) batch = {};
    batch.add(slice);
  }
};

/// A batch norm by the moments of the batch, which are complete before it runs.
class TrainingNormStep : public KernelStep {
 public:
  using KernelStep::KernelStep;

  void load(const Tensors& tensors, float*) override { tensors_ = tensors; }
  void run(StepMemory& memory) override {
    if (memory.first == 0) folded_ = fold(*node_.norm, tensors_, node_.shape.channels, memory.moments[node_.inputs[1]]);
    kernels_.transform(input(memory), {folded_.scale.data(), folded_.shift.data(), node_.relu}, output(memory));
  }

 private:
  Tensors tensors_;
  ScaleAndShift folded_;
};

class AddStep : public KernelStep {
 public:
  using KernelStep::KernelStep;

  void run(StepMemory& memory) override { kernels_.add(input(memory), input(memory, 1), node_.relu, output(memory)); }
};

class PoolStep : public KernelStep {
 public:
  using KernelStep::KernelStep;

  void run(StepMemory& memory) override { kernels_.pool(kind(), input(memory), node_.window, output(memory)); }

 private:
  Pooling kind() const {
    if (node_.operation == Operation::max_pool) return Pooling::max;
    return node_.count_padding ? Pooling::average : Pooling::average_without_padding;
  }
};

/// Writes `count` channels of a block from `channel` on, and zeros for the rest of the block.
void copy_channels(const float* from, std::int64_t count, std::int64_t channel, std::int64_t pixels,
                   const Activations& out) {
  for (std::int64_t c = 0; c < kBlock; ++c) {
    const std::int64_t target = channel + c;
    if (target / kBlock >= out.blocks) return;
    float* to = out.data + target / kBlock * out.stride + target % kBlock;
    for (std::int64_t p = 0; p < pixels; ++p) to[p * kBlock] = c < count ? from[p * kBlock + c] : 0.0f;
  }
}

/// Channels of several nodes one after another. What lies in its place already stays, other whole blocks are copied as
/// they are, and the rest channel by channel.
class ConcatenateStep : public Step {
 public:
  ConcatenateStep(const Graph& graph, std::size_t node) : graph_(graph), node_(graph.nodes[node]), index_(node) {}

  void run(StepMemory& memory) override {
    const Activations& out = memory.values[index_];
    const std::int64_t pixels = out.pixels();
    std::int64_t channel = 0;
    for (const std::size_t input : node_.inputs) {
      const Activations& in = memory.values[input];
      const std::int64_t channels = graph_.nodes[input].shape.channels;
      for (std::int64_t block = 0; block < in.blocks; ++block) {
        const float* from = in.data + block * in.stride;
        const std::int64_t count = std::min(kBlock, channels - block * kBlock);
        float* to = out.data + channel / kBlock * out.stride;
        if (channel % kBlock != 0) {
          copy_channels(from, count, channel, pixels, out);
        } else if (from != to) {  // a part block's zeros are written over by the next input, or stay
          std::copy(from, from + pixels * kBlock, to);
        }
        channel += count;
      }
    }
  }

 private:
  const Graph& graph_;
  const Node& node_;
  std::size_t index_;
};

/// Channels of zeros before and after those of the input.
class PadStep : public Step {
 public:
  PadStep(const Graph& graph, std::size_t node) : graph_(graph), node_(graph.nodes[node]), index_(node) {}

  void run(StepMemory& memory) override {
    const std::size_t input = node_.inputs[0];
    const Activations &in = memory.values[input], &out = memory.values[index_];
    const std::int64_t pixels = out.pixels(), channels = graph_.nodes[input].shape.channels;
    for (std::int64_t block = 0; block < out.blocks; ++block) {
      float* to = out.data + block * out.stride;
      std::fill(to, to + pixels * kBlock, 0.0f);
    }
    for (std::int64_t block = 0; block < in.blocks; ++block) {
      const std::int64_t channel = block * kBlock;
      copy_channels(in.data + block * in.stride, std::min(kBlock, channels - channel), node_.channels_before + channel,
                    pixels, out);
    }
  }

 private:
  const Graph& graph_;
  const Node& node_;
  std::size_t index_;
};

/// All numbers of an image in one row, in the order channel, y, x.
class FlattenStep : public Step {
 public:
  FlattenStep(const Graph& graph, std::size_t node) : graph_(graph), node_(graph.nodes[node]), index_(node) {}

  void run(StepMemory& memory) override {
    const std::size_t input = node_.inputs[0];
    const Activations& out = memory.values[index_];
    const ImageShape shape = graph_.nodes[input].shape;
    const std::int64_t size = shape.height * shape.width;
    for (std::int64_t feature = 0; feature < out.blocks * kBlock; ++feature) {
      const std::int64_t channel = feature / size, pixel = feature % size;
      float* to = out.data + feature / kBlock * out.stride + feature % kBlock;
      for (std::int64_t n = 0; n < out.images; ++n, to += kBlock) {
        if (feature >= shape.size()) {
          *to = 0;
        } else if (input == 0) {
          *to = memory.images.data[n * shape.size() + feature];
        } else {
          const Activations& in = memory.values[input];
          *to = in.data[channel / kBlock * in.stride + (n * size + pixel) * kBlock + channel % kBlock];
        }
      }
    }
  }

 private:
  const Graph& graph_;
  const Node& node_;
  std::size_t index_;
};

template <class Mean, class Variance>
ScaleAndShift fold(const BatchNorm& norm, const Tensors& tensors, std::int64_t channels, const Mean& mean,
                   const Variance& variance) {
  const auto padded = static_cast<std::size_t>(blocks_of(channels) * kBlock);
  ScaleAndShift folded{std::vector<float>(padded), std::vector<float>(padded)};
  for (std::size_t c = 0; c < static_cast<std::size_t>(channels); ++c) {
    const double weight = norm.weight ? static_cast<double>(tensors[*norm.weight][c]) : 1.0;
    const double bias = norm.bias ? static_cast<double>(tensors[*norm.bias][c]) : 0.0;
    const double scale = weight / std::sqrt(variance(c) + norm.epsilon);
    folded.scale[c] = static_cast<float>(scale);
    folded.shift[c] = static_cast<float>(bias - mean(c) * scale);
  }
  return folded;
}

}  // namespace

void Moments::add(const Moments& more) {
  if (count == 0) {
    *this = more;
    return;
  }
  const auto n = static_cast<double>(count), m = static_cast<double>(more.count);
  for (std::size_t c = 0; c < means.size(); ++c) {
    const double difference = more.means[c] - means[c];
    means[c] += difference * (m / (n + m));
    squares[c] += more.squares[c] + difference * difference * (n * m / (n + m));
  }
  count += more.count;
}

ScaleAndShift fold(const BatchNorm& norm, const Tensors& tensors, std::int64_t channels) {
  return fold(
      norm, tensors, channels, [&](std::size_t c) { return static_cast<double>(tensors[norm.mean][c]); },
      [&](std::size_t c) { return static_cast<double>(tensors[norm.variance][c]); });
}

ScaleAndShift fold(const BatchNorm& norm, const Tensors& tensors, std::int64_t channels, const Moments& moments) {
  const auto count = static_cast<double>(moments.count);
  return fold(
      norm, tensors, channels, [&](std::size_t c) { return moments.means[c]; },
      [&](std::size_t c) { return moments.squares[c] / count; });
}

std::unique_ptr<Step> make_step(const Graph& graph, std::size_t node, const Kernels& kernels) {
  switch (graph.nodes[node].operation) {
    case Operation::convolution:
    case Operation::linear: return make_product_step(graph, node, kernels);
    case Operation::batch_norm:
      if (graph.nodes[node].inputs.size() > 1) return std::make_unique<TrainingNormStep>(graph, node, kernels);
      [[fallthrough]];
    case Operation::relu: return std::make_unique<NormStep>(graph, node, kernels);
    case Operation::add: return std::make_unique<AddStep>(graph, node, kernels);
    case Operation::max_pool:
    case Operation::average_pool: return std::make_unique<PoolStep>(graph, node, kernels);
    case Operation::concatenate: return std::make_unique<ConcatenateStep>(graph, node);
    case Operation::pad: return std::make_unique<PadStep>(graph, node);
    case Operation::flatten: return std::make_unique<FlattenStep>(graph, node);
    case Operation::moments: return std::make_unique<MomentsStep>(graph, node, kernels);
    case Operation::input: break;
  }
  return nullptr;
}

}  // namespace lossatlas
