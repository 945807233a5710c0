#pragma once

#include <string>
#include <string_view>

namespace lossatlas {

/// Writes to standard error. Nothing is thrown if that cannot be written (its disk is full, its reader is gone): a run
/// does not end for it.
void write_to_error(std::string_view bytes);

/// Text that may come from files as a terminal can show it: control characters (but newlines) and bytes that are not
/// UTF-8 become '?'.
std::string printable(std::string_view text);

/// Writes a line to standard error, without its newline, made printable.
void print_message(std::string_view text);

/// Writes a line to standard output, made printable; newlines within it become '?' too.
void print_line(std::string_view text);

/// The same for JSON text: what is not printable in its strings is escaped, so that it stays the same JSON.
void print_json(std::string_view text);

}  // namespace lossatlas
