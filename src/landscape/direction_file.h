#pragma once

#include <filesystem>
#include <vector>

#include "landscape/direction.h"
#include "surface/pca.h"

namespace lossatlas {

class Hdf5Reader;

/// A state's entries as Python's state_dict() lists them: the buffers of a module after its parameters.
std::vector<NamedTensor> in_state_dict_order(const NetworkTensors& state);

/// Directions in Li et al.'s layout: groups "xdirection", "ydirection", "zdirection", … (a line's has the first), each
/// with float32 datasets "0", "1", …: one a parameter in the network's order for weights, one an entry of the
/// state_dict for states. Where they are of a PCA, its explained_variance_ratio_, explained_variance_ and
/// singular_values_, [2] each.
void write_directions(const std::filesystem::path& file, const std::vector<Direction>& directions, const Pca& pca = {});

/// Reads all directions for this network; how many tensors they hold says whether of weights or of states (with
/// or without num_batches_tracked). Throws Error if the file holds another count or other shapes, naming the first
/// that differs.
std::vector<Direction> read_directions(const std::filesystem::path& file, const NetworkTensors& network);
std::vector<Direction> read_directions(const Hdf5Reader& reader, const NetworkTensors& network);

}  // namespace lossatlas
