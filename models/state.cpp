#include "models/state.h"

#include <stdexcept>

namespace lossatlas {

std::vector<NamedTensor> all_tensors(const NetworkState& state) {
  std::vector<NamedTensor> all = state.parameters;
  all.insert(all.end(), state.buffers.begin(), state.buffers.end());
  return all;
}

void use_tensors(const std::vector<NamedTensor>& own, const std::vector<NamedTensor>& given) {
  if (own.size() != given.size()) throw std::logic_error("use_tensors: another network's state");
  for (std::size_t i = 0; i < own.size(); ++i) own[i].tensor.set_data(given[i].tensor);
}

}  // namespace lossatlas
