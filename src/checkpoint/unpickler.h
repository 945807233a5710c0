#pragma once

#include <cstddef>
#include <string_view>

#include "checkpoint/value.h"

namespace lossatlas::pickle {

struct Loaded {
  Ref root;         // owned by the arena
  std::size_t end;  // the bytes that the pickle took: where the next one starts
};

/// Reads one pickle (protocols 2 to 5, of Python 2 or 3) from the front of `input`. Runs no code: globals other than
/// those of globals.h are refused by name. Time and memory are linear in the input, and limited for any input.
/// Throws Error, without a file's name, on anything else than a whole pickle.
Loaded unpickle(std::string_view input, Arena& arena);

}  // namespace lossatlas::pickle
