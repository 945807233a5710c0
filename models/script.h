#pragma once

#include <filesystem>
#include <string_view>

#include "models/state.h"

namespace lossatlas {

/// The architecture's name of a network that comes from a TorchScript file.
inline constexpr std::string_view kScriptArchitecture = "torchscript";

/// The parameters and buffers of a TorchScript file. Throws Error as ScriptNetwork does, without the file's name.
NetworkState read_script_state(const std::filesystem::path& file);

}  // namespace lossatlas
