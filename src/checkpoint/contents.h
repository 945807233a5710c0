#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "checkpoint/index.h"
#include "checkpoint/tensors.h"
#include "pickle/value.h"

namespace lossatlas::pickle {

/// Finds the state_dict in what a pickle holds, or in its entry `key`, and sorts what is next to it into groups and
/// metadata. `format` is left empty. Throws Error, without a file's name, if there is no state_dict, or it holds a
/// tensor that is not read.
Checkpoint checkpoint_of(const Value& root, TensorLoader& loader, std::string_view key);

/// The same without the tensors' numbers, and without groups. `format` and `file` are left empty.
CheckpointIndex index_of(const Value& root, TensorLoader& loader, std::string_view key);

}  // namespace lossatlas::pickle
