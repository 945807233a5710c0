#pragma once

#include <memory>
#include <string_view>

#include "models/state.h"

namespace lossatlas {

struct ExportedProgram;

/// The architecture's name of a network that comes from a file of torch.export.
inline constexpr std::string_view kExportedArchitecture = "torch.export";

/// Its parameters and buffers. Throws Error, without a file's name, as ExportedNetwork does.
NetworkTensors exported_state(std::shared_ptr<const ExportedProgram> program);

}  // namespace lossatlas
