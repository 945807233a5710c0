#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace lossatlas {

/// SHA-256 of a file's bytes, as 64 lower-case hexadecimal digits. Throws Error where the file cannot be read.
std::string sha256_of_file(const std::filesystem::path& file);

/// Of a text's bytes, likewise.
std::string sha256_of_text(std::string_view text);

}  // namespace lossatlas
