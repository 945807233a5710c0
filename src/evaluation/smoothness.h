#pragma once

#include <memory>
#include <string>
#include <vector>

#include "evaluation/criterion.h"
#include "evaluation/program.h"
#include "evaluation/samples.h"
#include "models/state.h"

namespace lossatlas {

/// What the second derivatives of a loss leave out or cannot have.
struct Smoothness {
  /// Operators whose slope jumps, "ReLU", "max pooling": autograd takes their second derivative for 0, where it is and
  /// where it is not.
  std::vector<std::string> kinks;
  bool has_attention = false;  // by a fused operator, which has no second derivative
};

/// Of the loss of a few samples at this state, by the graph that autograd records. Not after
/// use_differentiable_attention(). Runs the program once.
Smoothness smoothness_of(Program& program, const Criterion& criterion, const Batch& batch, const NetworkTensors& state);

/// From now on scaled_dot_product_attention runs as products and a softmax (LibTorch's "math" path): its fused forms
/// have no second derivative. For the whole process; not while another thread computes.
void use_differentiable_attention();

}  // namespace lossatlas
