#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "models/state.h"

namespace lossatlas {

/// Places of the parameters whose names fit one of the patterns, as in "layer4.*" (* is any text, ? any character);
/// without patterns all. Throws UsageError for a pattern that no name fits.
std::vector<std::size_t> parameters_of(const std::vector<std::string>& patterns, const NetworkTensors& state);

}  // namespace lossatlas
