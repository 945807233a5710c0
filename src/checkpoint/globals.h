#pragma once

#include <string>
#include <string_view>

#include "checkpoint/value.h"

/// The functions and classes that a checkpoint's pickle may ask for, and what we do in their place.
namespace lossatlas::pickle {

/// Whether `name` ("module.name") is one of them.
bool is_allowed(std::string_view name);

/// Throws Error unless it is, which says what it is, if that is known, and what to do.
void check_allowed(std::string_view name);

/// Whether torch makes tensors with it: no tensor escapes the eye where those that are not allowed are refused.
bool makes_tensors(std::string_view name);

/// What calling `function` with the tuple `arguments` gives.
/// Throws Error if the function is not a Global, or the arguments do not suit it.
Ref call(const Value& function, const Value& arguments, Arena& arena);

/// Gives an object the state that a pickle holds for it: the byte order of a NumPy type. What a dictionary carries
/// beside its items (the _metadata of a state_dict) is not kept. Throws Error for any other object.
void set_state(Value& object, const Value& state);

/// The storage that torch.save's persistent id stands for: ("storage", type, key, location, length[, view]).
Ref storage_of(const Value& persistent_id, Arena& arena);

/// For messages: printable ASCII, and not too long.
std::string printable(std::string_view text);

}  // namespace lossatlas::pickle
