#pragma once

#include <c10/core/ScalarType.h>

#include <nlohmann/json.hpp>
#include <string>

#include "base/error.h"
#include "base/json.h"

namespace lossatlas {

// A graph is a stranger's text: whatever is read of it is checked.

/// The member of an object. Throws Error if there is none.
inline const nlohmann::json& member(const nlohmann::json& object, const char* name) {
  if (object.is_object()) {
    if (const auto found = object.find(name); found != object.end()) return *found;
  }
  throw Error("no graph of torch.export: it lacks {}", name);
}

/// Throws Error if the value is of another type. `what`: "a name".
template <class T>
T value_as(const nlohmann::json& value, const char* what) {
  try {
    return value.get<T>();
  } catch (const nlohmann::json::exception&) {
    throw Error("the graph has {} in the place of {}", json_text(value).substr(0, 60), what);
  }
}

/// torch.export's own numbers of types (torch/_export/serde/schema.py), which are not LibTorch's. Throws Error for
/// others.
c10::ScalarType scalar_type_of(const nlohmann::json& number);

}  // namespace lossatlas
