#include "fused/tensor_plan.h"

#include <ATen/ops/add.h>
#include <ATen/ops/addcmul.h>
#include <ATen/ops/avg_pool2d.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/cudnn_convolution_add_relu.h>
#include <ATen/ops/cudnn_convolution_relu.h>
#include <ATen/ops/flatten.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/max_pool2d.h>
#include <ATen/ops/relu.h>

#include <array>
#include <utility>

namespace lossatlas {
namespace {

using at::Tensor;

Tensor scaled(const Tensor& activations, const Tensor& scale, const Tensor& shift, bool relu) {
  Tensor result = at::addcmul(shift, activations, scale);
  return relu ? result.relu_() : result;
}

/// Vectors [N, C] as activations, and back.
Tensor as_activations(const Tensor& vectors) { return vectors.view({vectors.size(0), vectors.size(1), 1, 1}); }

std::array<std::int64_t, 2> size_of(const Window& w) { return {w.height, w.width}; }
std::array<std::int64_t, 2> stride_of(const Window& w) { return {w.stride_y, w.stride_x}; }
std::array<std::int64_t, 2> padding_of(const Window& w) { return {w.padding_y, w.padding_x}; }
std::array<std::int64_t, 2> dilation_of(const Window& w) { return {w.dilation_y, w.dilation_x}; }

Tensor pool(const Node& node, const Tensor& in) {
  const Window& w = node.window;
  const auto whole = [](std::int64_t size, std::int64_t extent, std::int64_t dilation, std::int64_t stride) {
    return (size - dilation * (extent - 1) - 1) / stride + 1;
  };
  // A last window that reaches past the image, where the network asked for that.
  const bool ceil = node.shape.height > whole(in.size(2) + 2 * w.padding_y, w.height, w.dilation_y, w.stride_y) ||
                    node.shape.width > whole(in.size(3) + 2 * w.padding_x, w.width, w.dilation_x, w.stride_x);
  if (node.operation == Operation::max_pool) {
    return at::max_pool2d(in, size_of(w), stride_of(w), padding_of(w), dilation_of(w), ceil);
  }
  return at::avg_pool2d(in, size_of(w), stride_of(w), padding_of(w), ceil, node.count_padding);
}

}  // namespace

TensorPlan::TensorPlan(std::shared_ptr<const Graph> graph, at::Device device, Precision precision)
    : graph_(std::move(graph)),
      has_cudnn_(device.is_cuda()),
      type_(precision == Precision::bf16 ? at::kBFloat16 : at::kFloat),
      // What cuDNN is fastest in: its matrix units want channels last.
      layout_(precision == Precision::fp32 ? at::MemoryFormat::Contiguous : at::MemoryFormat::ChannelsLast),
      last_reader_(graph_->nodes.size()) {
  for (std::size_t i = 0; i < graph_->nodes.size(); ++i) {
    const Node& node = graph_->nodes[i];
    for (const std::size_t input : node.inputs) last_reader_[input] = i;
    if (node.residual) last_reader_[*node.residual] = i;
  }
}

void TensorPlan::load(const std::vector<Tensor>& tensors) {
  if (!fold_) fold_.emplace(*graph_, tensors, layout_);
  parameters_ = (*fold_)(tensors, type_);
}

Tensor TensorPlan::run(const Tensor& images) const {
  std::vector<Tensor> values(graph_->nodes.size());
  values[0] = images.to(type_).contiguous(layout_);
  for (std::size_t i = 1; i < values.size(); ++i) {
    values[i] = compute(graph_->nodes[i], parameters_[i], values);
    for (std::size_t k = 0; k < i; ++k) {
      if (last_reader_[k] == i) values[k] = Tensor();
    }
  }
  return at::flatten(values.back(), 1).to(at::kFloat);
}

Tensor TensorPlan::compute(const Node& node, const FoldedParameters& parameters,
                           const std::vector<Tensor>& values) const {
  const Tensor& in = values[node.inputs[0]];
  switch (node.operation) {
    case Operation::convolution: return convolve(node, parameters, values);
    case Operation::linear: {
      Tensor result = as_activations(at::linear(at::flatten(in, 1), parameters.weight, parameters.bias));
      return node.relu ? result.relu_() : result;
    }
    case Operation::batch_norm: return scaled(in, parameters.scale, parameters.shift, node.relu);
    case Operation::relu: return at::relu(in);
    case Operation::add: {
      Tensor result = at::add(in, values[node.inputs[1]]);
      return node.relu ? result.relu_() : result;
    }
    case Operation::max_pool:
    case Operation::average_pool: return pool(node, in);
    case Operation::concatenate: {
      std::vector<Tensor> parts;
      for (const std::size_t input : node.inputs) parts.push_back(values[input]);
      return at::cat(parts, 1);
    }
    case Operation::pad: {
      const std::int64_t before = node.channels_before;
      return at::constant_pad_nd(in, {0, 0, 0, 0, before, node.shape.channels - in.size(1) - before});
    }
    case Operation::flatten: return as_activations(at::flatten(in, 1));
    case Operation::moments:
    case Operation::input: break;
  }
  return in;
}

Tensor TensorPlan::convolve(const Node& node, const FoldedParameters& parameters,
                            const std::vector<Tensor>& values) const {
  Tensor in = values[node.inputs[0]];
  if (node.input_norm) in = scaled(in, parameters.input_scale, parameters.input_shift, node.input_relu);
  const Window& w = node.window;
  const Tensor residual = node.residual ? values[*node.residual] : Tensor();
  if (has_cudnn_ && node.relu && residual.defined()) {
    return at::cudnn_convolution_add_relu(in, parameters.weight, residual, 1.0, parameters.bias, stride_of(w),
                                          padding_of(w), dilation_of(w), 1);
  }
  if (has_cudnn_ && node.relu) {
    return at::cudnn_convolution_relu(in, parameters.weight, parameters.bias, stride_of(w), padding_of(w),
                                      dilation_of(w), 1);
  }
  Tensor result = at::conv2d(in, parameters.weight, parameters.bias, stride_of(w), padding_of(w), dilation_of(w));
  if (residual.defined()) result.add_(residual);
  return node.relu ? result.relu_() : result;
}

}  // namespace lossatlas
