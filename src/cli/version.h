#pragma once

#include <string_view>

namespace lossatlas {

/// "0.1.0 (a1b2c3d)": the version and the git revision it was built from.
std::string_view version();

}  // namespace lossatlas
