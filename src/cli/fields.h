#pragma once

#include <string>
#include <string_view>

namespace lossatlas {

/// A message of the rooms below, which name fields of a request in backquotes, with their options in their place:
/// "choose another `save_bends`" becomes "choose another --save-bends".
std::string with_options(std::string_view message);

}  // namespace lossatlas
