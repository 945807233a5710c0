#pragma once

#include <nlohmann/json.hpp>

namespace lossatlas {

/// What `info` describes, without --all: of a checkpoint's tensors their number, of settings those that people ask for,
/// of long lists the first and last entries. The last entry says so where something is left out.
nlohmann::ordered_json shortened(const nlohmann::ordered_json& description);

/// A line an entry on standard output, those of objects and lists indented below their name.
void print_entries(const nlohmann::ordered_json& object, int indent = 0);

}  // namespace lossatlas
