#include "fused/tensor_fold.h"

#include <ATen/ops/addcmul.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <map>

namespace lossatlas {
namespace {

using at::Tensor;

constexpr auto kPositions = at::kInt;  // half the memory of 64 bits

Tensor range(std::int64_t first, std::int64_t count) { return at::arange(first, first + count, at::dtype(kPositions)); }

Tensor same(std::int64_t position, std::int64_t count) { return at::full({count}, position, at::dtype(kPositions)); }

/// One after the other, on the device.
Tensor joined(const std::vector<Tensor>& parts, at::Device device) {
  return (parts.empty() ? at::empty({0}, at::dtype(kPositions)) : at::cat(parts)).to(device);
}

/// The elements of a weight [O, I, H, W], as [O, H, W, I] if channels come last.
Tensor elements_of(const Tensor& weight, std::int64_t first, at::MemoryFormat layout) {
  Tensor elements = range(first, weight.numel()).view(weight.sizes());
  if (weight.dim() == 4 && layout == at::MemoryFormat::ChannelsLast) elements = elements.permute({0, 2, 3, 1});
  return elements.flatten();
}

/// A number a channel, in the shape that activations [N, C, H, W] are scaled with.
Tensor per_channel(const Tensor& channels, std::int64_t first, std::int64_t count) {
  return channels.narrow(0, first, count).view({-1, 1, 1});
}

}  // namespace

TensorFold::TensorFold(const Graph& graph, const std::vector<Tensor>& tensors, at::MemoryFormat layout)
    : layout_(layout), places_(graph.nodes.size()) {
  std::map<std::size_t, std::int64_t> begin;  // of each tensor that is read
  std::int64_t end = 0;
  const auto position = [&](std::size_t tensor) {
    const auto [found, is_new] = begin.try_emplace(tensor, end);
    if (is_new) {
      used_.push_back(tensor);
      end += tensors[tensor].numel();
    }
    return found->second;
  };
  for (const Node& node : graph.nodes) {  // before any position of the constants is asked for
    if (node.weight) position(*node.weight);
    if (node.bias) position(*node.bias);
    for (const auto* norm : {&node.norm, &node.input_norm}) {
      if (!*norm) continue;
      position((*norm)->mean);
      position((*norm)->variance);
      if ((*norm)->weight) position(*(*norm)->weight);
      if ((*norm)->bias) position(*(*norm)->bias);
    }
  }
  const std::int64_t one = end, zero = end + 1;
  const at::Device device = tensors[used_.front()].device();
  constants_ = at::tensor({1.0F, 0.0F}).to(device);

  std::vector<Tensor> variance, norm_weight, mean, norm_bias, epsilon;
  std::vector<Tensor> weight_from, weight_channel, bias_from, bias_channel;
  std::int64_t channels = 1, weights = 0, biases = 0;  // the first channel is that of operations without a norm
  const auto add_norm = [&](const BatchNorm& norm) {
    const std::int64_t count = tensors[norm.mean].numel();
    variance.push_back(range(position(norm.variance), count));
    mean.push_back(range(position(norm.mean), count));
    norm_weight.push_back(norm.weight ? range(position(*norm.weight), count) : same(one, count));
    norm_bias.push_back(norm.bias ? range(position(*norm.bias), count) : same(zero, count));
    epsilon.push_back(at::full({count}, norm.epsilon, at::dtype(at::kDouble)));
    return std::exchange(channels, channels + count);
  };
  for (std::size_t i = 0; i < places_.size(); ++i) {
    const Node& node = graph.nodes[i];
    Place& place = places_[i];
    if (node.norm) {
      place.norm = add_norm(*node.norm);
      place.channels = channels - place.norm;
    }
    if (node.input_norm) {
      place.input_norm = add_norm(*node.input_norm);
      place.has_input_norm = true;
      place.input_channels = channels - place.input_norm;
    }
    place.is_norm = node.norm && !node.weight;
    if (!node.weight) continue;
    const Tensor& weight = tensors[*node.weight];
    const std::int64_t rows = weight.size(0);
    const Tensor row_channels = node.norm ? range(place.norm, rows) : same(0, rows);
    place.sizes = weight.sizes().vec();
    place.weight = std::exchange(weights, weights + weight.numel());
    place.bias = std::exchange(biases, biases + rows);
    weight_from.push_back(elements_of(weight, position(*node.weight), layout));
    weight_channel.push_back(row_channels.repeat_interleave(weight.numel() / rows));
    bias_from.push_back(node.bias ? range(position(*node.bias), rows) : same(zero, rows));
    bias_channel.push_back(row_channels);
  }
  variance_ = joined(variance, device);
  norm_weight_ = joined(norm_weight, device);
  mean_ = joined(mean, device);
  norm_bias_ = joined(norm_bias, device);
  epsilon_ = (epsilon.empty() ? at::empty({0}, at::dtype(at::kDouble)) : at::cat(epsilon)).to(device);
  weight_from_ = joined(weight_from, device);
  weight_channel_ = joined(weight_channel, device);
  bias_from_ = joined(bias_from, device);
  bias_channel_ = joined(bias_channel, device);
}

std::vector<FoldedParameters> TensorFold::operator()(const std::vector<Tensor>& tensors, at::ScalarType type) const {
  std::vector<Tensor> parts;
  for (const std::size_t index : used_) parts.push_back(tensors[index].flatten());
  parts.push_back(constants_);
  const Tensor all = at::cat(parts);
  const auto number = [&](const Tensor& positions) { return all.index_select(0, positions).to(at::kDouble); };

  Tensor scale = number(variance_).add_(epsilon_).rsqrt_().mul_(number(norm_weight_));
  Tensor shift = number(mean_).mul_(scale).neg_().add_(number(norm_bias_));
  const auto wide = all.options().dtype(at::kDouble);
  scale = at::cat({at::ones({1}, wide), scale});
  shift = at::cat({at::zeros({1}, wide), shift});

  const Tensor weights = weights_of(all, scale, type);
  const Tensor biases =
      at::addcmul(shift.index_select(0, bias_channel_), number(bias_from_), scale.index_select(0, bias_channel_))
          .to(type);
  const Tensor scales = scale.to(type), shifts = shift.to(type);

  std::vector<FoldedParameters> folded(places_.size());
  for (std::size_t i = 0; i < places_.size(); ++i) {
    const Place& place = places_[i];
    FoldedParameters& of = folded[i];
    if (!place.sizes.empty()) {
      const auto& sizes = place.sizes;
      std::int64_t count = 1;
      for (const std::int64_t size : sizes) count *= size;
      const Tensor weight = weights.narrow(0, place.weight, count);
      const bool channels_last = sizes.size() == 4 && layout_ == at::MemoryFormat::ChannelsLast;
      of.weight = channels_last ? weight.view({sizes[0], sizes[2], sizes[3], sizes[1]}).permute({0, 3, 1, 2})
                                : weight.view(sizes);
      of.bias = biases.narrow(0, place.bias, sizes[0]);
    }
    if (place.is_norm) {
      of.scale = per_channel(scales, place.norm, place.channels);
      of.shift = per_channel(shifts, place.norm, place.channels);
    }
    if (place.has_input_norm) {
      of.input_scale = per_channel(scales, place.input_norm, place.input_channels);
      of.input_shift = per_channel(shifts, place.input_norm, place.input_channels);
    }
  }
  return folded;
}

/// All weights times the scale of their row's channel.
Tensor TensorFold::weights_of(const Tensor& all, const Tensor& scale, at::ScalarType type) const {
  constexpr std::int64_t kAtATime = 1 << 24;
  const std::int64_t count = weight_from_.numel();
  Tensor weights = at::empty({count}, all.options().dtype(type));
  for (std::int64_t first = 0; first < count; first += kAtATime) {
    const std::int64_t some = std::min(kAtATime, count - first);
    const Tensor wide = all.index_select(0, weight_from_.narrow(0, first, some)).to(at::kDouble);
    weights.narrow(0, first, some).copy_(wide * scale.index_select(0, weight_channel_.narrow(0, first, some)));
  }
  return weights;
}

}  // namespace lossatlas
