#pragma once

#include <ATen/core/ivalue.h>

#include <functional>
#include <string>
#include <vector>

namespace lossatlas {

/// What a graph computes with sizes, in whole numbers, floats and truth values: "_operator.mul", "math.ceil",
/// "torch.sym_max". Throws Error for another name; the function for arguments that are no numbers, for a number of them
/// that it does not take, and for a division by zero.
std::function<c10::IValue(const std::vector<c10::IValue>&)> size_function(const std::string& name);

}  // namespace lossatlas
