#pragma once

#include <filesystem>
#include <string>

namespace lossatlas {

/// SHA-256 of a file's bytes, as 64 lower-case hexadecimal digits. Throws Error where the file cannot be read.
std::string sha256_of_file(const std::filesystem::path& file);

}  // namespace lossatlas
