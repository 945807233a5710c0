#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "models/spec.h"

namespace lossatlas {

class Network;

struct ArchitectureInfo {
  std::string name;
  std::string summary;   // one line: the paper or code it follows
  NetworkSpec defaults;  // classes and input its authors used
};

/// Every architecture, family by family.
const std::vector<ArchitectureInfo>& architectures();

/// The architecture whose tensors have the same names and sizes as those of `name`, and which computes something else;
/// "" if there is none. A -noshort network and its -a twin, as seen from the first.
std::string twin_of(const std::string& name);

/// A freshly initialized network (PyTorch's own initialization, from torch's global generator).
/// Throws UsageError for an unknown name (naming the nearest one), for a width if none is supported, and for an
/// input or a class count that the architecture cannot take.
std::shared_ptr<Network> make_network(const NetworkSpec& spec);

/// The parameters that such a network has, in milliseconds: its numbers are never drawn.
std::int64_t count_parameters(const NetworkSpec& spec);

}  // namespace lossatlas
