#pragma once

#include <string_view>

namespace lossatlas {

/// Whether an exported graph may call "aten::NAME", whatever its overload: operators that compute tensors from tensors
/// and numbers, and nothing else. `name`: without "aten::".
bool is_allowed_operator(std::string_view name);

/// Operators that check what was true when the graph was exported, or say so to a compiler: they compute nothing, and
/// are passed over.
bool is_check(std::string_view name);

}  // namespace lossatlas
