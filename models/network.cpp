#include "models/network.h"

namespace lossatlas {

NetworkTensors state_of(const Network& network) {
  NetworkTensors state;
  for (const auto& item : network.named_parameters()) {
    state.parameters.push_back({item.key(), item.value()});
  }
  for (const auto& item : network.named_buffers()) {
    state.buffers.push_back({item.key(), item.value()});
  }
  state.aliases = network.aliases();
  return state;
}

std::int64_t count_parameters(const Network& network) {
  std::int64_t count = 0;
  for (const torch::Tensor& parameter : network.parameters()) {
    count += parameter.numel();
  }
  return count;
}

}  // namespace lossatlas
