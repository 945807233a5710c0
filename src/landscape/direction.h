#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "models/state.h"

namespace lossatlas {

/// What moves along a direction (Li et al.'s dir_type).
enum class DirectionType {
  weights,  // parameters; batch-norm statistics stay those of the origin
  states,   // running means and variances too
};

std::string_view name_of(DirectionType type);
/// Throws UsageError for a name that is not "weights" or "states".
DirectionType direction_type_of(const std::string& name);

/// A step through a network's state, in its layout, 0 where nothing moves; of `weights` only the parameters, without
/// buffers. Made on the CPU. Lengths and angles are those of the parameters: statistics are carried along.
using Direction = NetworkState;

DirectionType type_of(const NetworkTensors& direction);
/// What a direction of this type has numbers for.
StatePart part_of(DirectionType type);

/// What one filter of a parameter is. Of one dimension or none, the parameter as a whole.
struct Slices {
  /// One slice is one index of this axis: of convolutions and linear layers the first, an output channel or a row.
  std::int64_t axis = 0;
  struct Head {
    std::int64_t axis = 0, size = 1;  // a head is so many consecutive indices of the axis
  };
  std::optional<Head> head = {};  // of a matrix of attention
  bool lacks_heads = false;       // it is one, and nobody says of how many heads
};

/// How a direction d is scaled to the parameters θ (Li et al. 2018, section 4). A filter is one of the Slices.
enum class Normalization {
  filter,   // each filter: d ← d / ‖d‖ · ‖θ‖
  column,   // each slice along the second dimension in the same way: what a layer's input is multiplied with
  head,     // each head of attention in the same way, other parameters as `filter`
  layer,    // each parameter as a whole: d ← d / ‖d‖ · ‖θ‖
  weight,   // each number: d ← d · θ
  dfilter,  // each filter: d ← d / ‖d‖
  dlayer,   // each parameter as a whole: d ← d / ‖d‖
  none,     // d as drawn
};

std::string_view name_of(Normalization normalization);
/// Throws UsageError for an unknown name.
Normalization normalization_of(const std::string& name);

/// What the numbers are drawn from before they are normalized.
enum class Distribution {
  gaussian,  // mean 0, deviation 1
  uniform,   // on [-1, 1): mean 0, so that two draws have no common part
};

std::string_view name_of(Distribution distribution);
/// Throws UsageError for a name that is not "gaussian" or "uniform".
Distribution distribution_of(const std::string& name);

/// Which parameters are zero in a direction.
struct Ignore {
  bool bias = true;  // one-dimensional ones: biases of convolutions and linear layers
  bool bn = true;    // weight, bias and statistics of batch norm: where a parameter NAME.weight has one dimension
  std::vector<std::string> patterns = {};  // names, as in "fc.*" or "*.bn1.*": * is any text, ? any character
};

/// "bias", "bn" and patterns, with commas between them; "none". Throws UsageError for an empty word.
Ignore ignore_of(const std::string& words);
std::string name_of(const Ignore& ignore);

struct DirectionOptions {
  std::uint64_t seed = 0;
  Normalization normalization = Normalization::filter;
  Ignore ignore = {};
  Distribution distribution = Distribution::gaussian;
  DirectionType type = DirectionType::weights;
  std::vector<std::string> parameters = {};  // patterns of those that move, before `ignore`; empty: all
  std::vector<Slices> slices = {};           // of each parameter; empty: along the first axis
};

/// Direction number `number` of a seed (0 for x, 1 for y, …): drawn, normalized, ignored parameters zero. Bits depend
/// on the seed, the number and the parameters, not on threads, processor or device. A one-dimensional parameter
/// (or statistic) that is not ignored is one filter: a drawn vector scaled to ‖θ‖ (Li et al.'s code takes θ itself
/// there, which gives all directions a common part). Throws UsageError if a pattern matches nothing, if nothing
/// is left to move, and of `head` if no parameter has heads, or one that moves lacks them.
Direction random_direction(const NetworkTensors& origin, std::uint32_t number, const DirectionOptions& options);

/// Makes `moved` orthogonal to all of `fixed`, |cosine| < 1e-7, and keeps its normalization. For all but weight and
/// none it is projected and normalized again in turns; for weight and none projected once, which keeps neither d = draw
/// · θ nor the draw exactly. Throws Error if it does not converge: too few filters.
void make_orthogonal(std::span<const Direction> fixed, Direction& moved, const NetworkTensors& origin,
                     const DirectionOptions& options);

/// ⟨a, b⟩ and ‖a‖ over all parameters, in double; the same bits on any number of threads.
double dot(const NetworkTensors& a, const NetworkTensors& b);
double norm(const NetworkTensors& a);
/// Of the angle between them; 0 where one is zero.
double cosine(const NetworkTensors& a, const NetworkTensors& b);

}  // namespace lossatlas
