#pragma once

#include <string_view>

#include "pickle/unpickler.h"

namespace lossatlas::pickle {

/// Which functions and classes a checkpoint's pickle may ask for.
enum class Globals {
  known,  // those of globals.h; others, and what calling them gives, become Foreign
  any,    // others are passed over, none is called, and what they would have made is None: to look for tensors only
};

/// Reads the pickle of a checkpoint.
Loaded unpickle(std::string_view input, Arena& arena, Globals globals = Globals::known);

}  // namespace lossatlas::pickle
