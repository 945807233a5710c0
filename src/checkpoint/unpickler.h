#pragma once

#include <cstddef>
#include <string_view>

#include "checkpoint/value.h"

namespace lossatlas::pickle {

struct Loaded {
  Ref root;         // owned by the arena
  std::size_t end;  // the bytes that the pickle took: where the next one starts
};

/// Which functions and classes a pickle may ask for.
enum class Globals {
  known,  // those of globals.h; others, and what calling them gives, become Foreign
  any,    // others are passed over, none is called, and what they would have made is None: to look for tensors only
};

/// Reads one pickle (protocols 2 to 5, of Python 2 or 3) from the front of `input`. Runs no code. Time and memory are
/// linear in the input, and limited for any input.
/// Throws Error, without a file's name, on anything else than a whole pickle.
Loaded unpickle(std::string_view input, Arena& arena, Globals globals = Globals::known);

}  // namespace lossatlas::pickle
