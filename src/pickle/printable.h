#pragma once

#include <string>
#include <string_view>

namespace lossatlas::pickle {

/// For messages: printable ASCII, and not too long.
std::string printable(std::string_view text);

}  // namespace lossatlas::pickle
