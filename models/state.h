#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
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

/// Everything that decides what a network computes, in the order in which Python's state_dict() and parameters() list
/// it. The tensors may be anybody's: a network's own, or views of a NetworkState.
struct NetworkTensors {
  std::vector<NamedTensor> parameters;
  std::vector<NamedTensor> buffers;  // batch-norm statistics: running_mean, running_var, num_batches_tracked
  std::vector<Alias> aliases = {};   // each tensor is listed once, under its first name; the others are here
  /// What else a network has, which never moves: a checkpoint may hold it, if its numbers are these.
  std::vector<NamedTensor> fixed = {};
};

/// The same as one vector of float32 with named views: first the parameters, then means and variances, each view from
/// a multiple of kViewStep numbers on; what lies between is 0. Buffers of whole numbers stay apart. The views are
/// contiguous; copying the struct copies no numbers. Two states of one network have the same layout.
struct NetworkState : NetworkTensors {
  at::Tensor flat;                 // [n]
  std::int64_t parameter_end = 0;  // its first part, [0, parameter_end), are the parameters
};

/// 256 bytes. How some kernels of LibTorch compute, in speed and in last bits, depends on whether tensors are aligned,
/// as those that it allocates are.
inline constexpr std::int64_t kViewStep = 64;

/// The network's own tensors.
NetworkTensors state_of(const Network& network);

/// Sum of the parameters' element counts.
std::int64_t count_parameters(const Network& network);

/// Parameters, then buffers: the state_dict.
std::vector<NamedTensor> all_tensors(const NetworkTensors& state);

/// Makes tensors of a network use the memory of `given`, the same list of another state: nothing is copied.
void use_tensors(const std::vector<NamedTensor>& own, const std::vector<NamedTensor>& given);

/// A copy on a device, in memory of its own; floating-point numbers are rounded to float32.
NetworkState copy_state(const NetworkTensors& tensors, at::Device device);

/// The state itself if it is on that device already, else a copy: to be read only.
NetworkState state_on(const NetworkState& state, at::Device device);

enum class StatePart { parameters, all };

/// Zeros of the same names and shapes, in the layout of a state, on the CPU: of all, or of the parameters without
/// buffers.
NetworkState zeros_like(const NetworkTensors& tensors, StatePart part);

/// Numbers of a contiguous float32 tensor on the CPU.
std::span<float> numbers_of(const at::Tensor& tensor);

}  // namespace lossatlas
