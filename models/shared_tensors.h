#pragma once

#include <torch/nn/module.h>

#include <vector>

#include "models/state.h"

namespace lossatlas {

// Tensors of a network that comes from a file, where several names may be one memory.

/// The one of the tensors that is the same memory; null if there is none.
const NamedTensor* find_same(const NamedTensor& wanted, const std::vector<NamedTensor>& tensors);

/// Throws Error if moving a parameter would move numbers of another tensor too, which has them in other places.
void check_apart(const NamedTensor& tensor, const std::vector<NamedTensor>& parameters);

/// The same of a parameter, which does not repeat its own numbers either.
void check_movable(const NamedTensor& parameter, const std::vector<NamedTensor>& parameters);

/// Registers a tensor under its dotted name, with the modules that the name leads through.
void add_parameter(torch::nn::Module& root, const NamedTensor& parameter, bool requires_gradient);
void add_buffer(torch::nn::Module& root, const NamedTensor& buffer);

}  // namespace lossatlas
