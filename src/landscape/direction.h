#pragma once

#include <torch/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "models/network.h"

namespace lossatlas {

/// Names and shapes of a network's parameters, in their order; float32 on the CPU.
using Direction = std::vector<NamedTensor>;

/// How a direction d is scaled to the parameters θ (Li et al. 2018, section 4). A filter is one slice along the first
/// dimension of a parameter of more than one: a convolution's output channel, a linear layer's row.
enum class Normalization {
  filter,   // each filter: d ← d / ‖d‖ · ‖θ‖
  layer,    // each parameter as a whole: d ← d / ‖d‖ · ‖θ‖
  weight,   // each number: d ← d · θ
  dfilter,  // each filter: d ← d / ‖d‖
  dlayer,   // each parameter as a whole: d ← d / ‖d‖
  none,     // d as drawn
};

std::string_view name_of(Normalization normalization);
/// Throws UsageError for an unknown name.
Normalization normalization_of(const std::string& name);

/// Which one-dimensional parameters are zero in a direction.
struct Ignore {
  bool bias = true;  // biases of convolutions and linear layers
  bool bn = true;    // weight and bias of batch norm: where a parameter NAME.weight has one dimension
};

/// "bias", "bn", "bias,bn", "none". Throws UsageError for other words.
Ignore ignore_of(const std::string& words);
std::string name_of(Ignore ignore);

struct DirectionOptions {
  std::uint64_t seed = 0;
  Normalization normalization = Normalization::filter;
  Ignore ignore;
};

/// Direction number `number` of a seed (0 for x, 1 for y): Gaussian, normalized, ignored parameters zero. Bits depend
/// on the seed, the number and the parameters alone: not on threads, processor or device. A one-dimensional parameter
/// that is not ignored is one filter: a Gaussian vector scaled to ‖θ‖ (Li et al.'s code takes θ itself there, which
/// gives all directions a common part).
Direction random_direction(const std::vector<NamedTensor>& parameters, std::uint32_t number,
                           const DirectionOptions& options);

/// ⟨a, b⟩ and ‖a‖ over all parameters, in double.
double dot(const Direction& a, const Direction& b);
double norm(const Direction& a);
/// Of the angle between them; 0 where one is zero.
double cosine(const Direction& a, const Direction& b);

}  // namespace lossatlas
