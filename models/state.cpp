#include "models/state.h"

#include <ATen/ops/zeros.h>

#include <stdexcept>

namespace lossatlas {
namespace {

/// Numbers from the begin of one view to that of the next.
std::int64_t step_over(const at::Tensor& tensor) { return (tensor.numel() + kViewStep - 1) / kViewStep * kViewStep; }

std::int64_t steps_over(const std::vector<NamedTensor>& tensors) {
  std::int64_t count = 0;
  for (const auto& [name, tensor] : tensors) count += tensor.is_floating_point() ? step_over(tensor) : 0;
  return count;
}

/// Views of `flat` from `first` on, and zeros apart, of the same names and shapes.
std::vector<NamedTensor> views(const std::vector<NamedTensor>& like, const at::Tensor& flat, std::int64_t first) {
  std::vector<NamedTensor> tensors;
  tensors.reserve(like.size());
  for (const auto& [name, tensor] : like) {
    if (tensor.is_floating_point()) {
      tensors.push_back({name, flat.narrow(0, first, tensor.numel()).view(tensor.sizes())});
      first += step_over(tensor);
    } else {
      tensors.push_back({name, at::zeros(tensor.sizes(), flat.options().dtype(tensor.scalar_type()))});
    }
  }
  return tensors;
}

NetworkState zeros_on(const NetworkTensors& like, at::Device device) {
  NetworkState state;
  state.parameter_end = steps_over(like.parameters);
  const std::int64_t count = state.parameter_end + steps_over(like.buffers);
  state.flat = at::zeros({count}, at::TensorOptions().dtype(at::kFloat).device(device));
  state.parameters = views(like.parameters, state.flat, 0);
  state.buffers = views(like.buffers, state.flat, state.parameter_end);
  state.aliases = like.aliases;
  state.fixed = like.fixed;
  return state;
}

void copy_tensors(const std::vector<NamedTensor>& from, std::vector<NamedTensor>& to) {
  for (std::size_t i = 0; i < from.size(); ++i) to[i].tensor.copy_(from[i].tensor.detach());
}

}  // namespace

std::vector<NamedTensor> all_tensors(const NetworkTensors& state) {
  std::vector<NamedTensor> all = state.parameters;
  all.insert(all.end(), state.buffers.begin(), state.buffers.end());
  return all;
}

void use_tensors(const std::vector<NamedTensor>& own, const std::vector<NamedTensor>& given) {
  if (own.size() != given.size()) throw std::logic_error("use_tensors: another network's state");
  for (std::size_t i = 0; i < own.size(); ++i) own[i].tensor.set_data(given[i].tensor);
}

NetworkState copy_state(const NetworkTensors& tensors, at::Device device) {
  NetworkState state = zeros_on(tensors, device);
  copy_tensors(tensors.parameters, state.parameters);
  copy_tensors(tensors.buffers, state.buffers);
  return state;
}

NetworkState state_on(const NetworkState& state, at::Device device) {
  return state.flat.device() == device ? state : copy_state(state, device);
}

NetworkState zeros_like(const NetworkTensors& tensors, StatePart part) {
  if (part == StatePart::all) return zeros_on(tensors, at::kCPU);
  return zeros_on({tensors.parameters, {}, tensors.aliases, tensors.fixed}, at::kCPU);
}

std::span<float> numbers_of(const at::Tensor& tensor) {
  return {tensor.data_ptr<float>(), static_cast<std::size_t>(tensor.numel())};
}

}  // namespace lossatlas
