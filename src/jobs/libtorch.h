#pragma once

#include <exception>
#include <optional>
#include <string>

namespace lossatlas {

/// What LibTorch says of an error of its own, without the trace of its calls; nothing for any other.
std::optional<std::string> libtorch_text(const std::exception& error);

}  // namespace lossatlas
