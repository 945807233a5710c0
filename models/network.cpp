#include "models/network.h"

#include <stdexcept>

namespace lossatlas {

nlohmann::json settings_of(const NetworkSpec& spec) {
  return {{"arch", spec.architecture}, {"classes", spec.classes}, {"width", spec.width}};
}

NetworkState state_of(const Network& network) {
  NetworkState state;
  for (const auto& item : network.named_parameters()) {
    state.parameters.push_back({item.key(), item.value()});
  }
  for (const auto& item : network.named_buffers()) {
    state.buffers.push_back({item.key(), item.value()});
  }
  return state;
}

std::vector<NamedTensor> all_tensors(const NetworkState& state) {
  std::vector<NamedTensor> all = state.parameters;
  all.insert(all.end(), state.buffers.begin(), state.buffers.end());
  return all;
}

void use_tensors(const std::vector<NamedTensor>& own, const std::vector<NamedTensor>& given) {
  if (own.size() != given.size()) throw std::logic_error("use_tensors: another network's state");
  for (std::size_t i = 0; i < own.size(); ++i) own[i].tensor.set_data(given[i].tensor);
}

std::int64_t count_parameters(const Network& network) {
  std::int64_t count = 0;
  for (const torch::Tensor& parameter : network.parameters()) {
    count += parameter.numel();
  }
  return count;
}

}  // namespace lossatlas
