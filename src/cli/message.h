#pragma once

#include <string_view>

namespace lossatlas {

/// Writes to standard error. Nothing is thrown if that cannot be written (its disk is full, its reader is gone): a run does
/// not end for it.
void write_to_error(std::string_view bytes);

/// The same for a line of text, without its newline. Control characters, which names in files may hold, become '?'.
void print_message(std::string_view text);

}  // namespace lossatlas
