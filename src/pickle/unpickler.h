#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "pickle/value.h"

namespace lossatlas::pickle {

struct Loaded {
  Ref root;         // owned by the arena
  std::size_t end;  // the bytes that the pickle took: where the next one starts
};

/// What the functions and classes that a pickle asks for give: nothing of theirs is run. Each may throw Error.
class Objects {
 public:
  virtual ~Objects() = default;
  /// What takes the place of a function or a class, "module.name".
  virtual Ref global(std::string name, Arena& arena) = 0;
  /// What a call gives: of the function, its arguments, and perhaps those with keywords.
  virtual Ref call(std::span<const Ref> call, Arena& arena) = 0;
  /// Gives an object the state that the pickle holds for it.
  virtual void set_state(Value& object, const Value& state) = 0;
  /// What a persistent id names.
  virtual Ref persistent(const Value& id, Arena& arena) = 0;
};

/// Reads one pickle (protocols 2 to 5, of Python 2 or 3) from the front of `input`. Runs no code. Time and memory are
/// linear in the input, and limited for any input.
/// Throws Error, without a file's name, on anything else than a whole pickle.
Loaded unpickle(std::string_view input, Arena& arena, Objects& objects);

}  // namespace lossatlas::pickle
