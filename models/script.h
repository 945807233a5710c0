#pragma once

#include <string>
#include <string_view>

#include "models/state.h"

namespace lossatlas {

/// The architecture's name of a network that comes from a TorchScript file.
inline constexpr std::string_view kScriptArchitecture = "torchscript";

/// The parameters and buffers of a TorchScript file's bytes. Throws Error, without a file's name, as ScriptNetwork
/// does.
NetworkTensors read_script_state(const std::string& bytes);

}  // namespace lossatlas
