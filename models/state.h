#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

namespace lossatlas {

class Network;

struct NamedTensor {
  std::string name;
  at::Tensor tensor;
};

/// A further name of a tensor that a network uses in several places (tied weights).
struct Alias {
  std::string name;
  std::string of;  // the name under which the tensor is listed
};

/// Everything that decides what a network computes, in the order in which Python's state_dict() and
/// parameters() list it. The tensors are the network's own, not copies.
struct NetworkState {
  std::vector<NamedTensor> parameters;
  std::vector<NamedTensor> buffers;  // batch-norm statistics: running_mean, running_var, num_batches_tracked
  std::vector<Alias> aliases = {};   // each tensor is listed once, under its first name; the others are here
};

NetworkState state_of(const Network& network);

/// Sum of the parameters' element counts.
std::int64_t count_parameters(const Network& network);

/// Parameters, then buffers: the state_dict.
std::vector<NamedTensor> all_tensors(const NetworkState& state);

/// Makes tensors of a network use the memory of `given`, the same list of another state: nothing is copied.
void use_tensors(const std::vector<NamedTensor>& own, const std::vector<NamedTensor>& given);

}  // namespace lossatlas
