#pragma once

#include <string>
#include <string_view>

#include "pickle/printable.h"
#include "pickle/value.h"

/// The functions and classes that a checkpoint's pickle may ask for, and what we do in their place.
namespace lossatlas::pickle {

/// Whether `name` ("module.name") is one of them.
bool is_allowed(std::string_view name);

/// What is put in place of one that is not: says what it is, if that is known, and what to do.
Ref foreign_global(std::string name, Arena& arena);

/// Whether torch makes tensors with it: what it gives, if it is not allowed, is a tensor that is not read.
bool makes_tensors(std::string_view name);

/// What calling `function` with the tuple `arguments` gives; a Foreign if it or an argument is one.
/// Throws Error if the function is not a Global, or the arguments do not suit it.
Ref call(Ref function, const Value& arguments, Arena& arena);

/// Gives an object the state that a pickle holds for it: the byte order of a NumPy type. What a dictionary carries
/// beside its items (the _metadata of a state_dict) is not kept. A Foreign has none. Throws Error for any other object.
void set_state(Value& object, const Value& state);

/// The storage that torch.save's persistent id names: ("storage", type, key, location, length[, view]); a Foreign
/// for one of a type that is not read, or without values.
Ref storage_of(const Value& persistent_id, Arena& arena);

}  // namespace lossatlas::pickle
