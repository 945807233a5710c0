#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <span>

namespace lossatlas {

/// Appends bytes to the file being written. Throws Error (full disk, lost folder).
using ByteSink = std::function<void(std::span<const std::byte>)>;

/// Writes a file whole or not at all: `produce` fills a temporary file beside it, which is flushed to the disk and
/// renamed over `file`. On any failure the old file stays as it was, the temporary one is removed, and an Error names
/// the file and the reason.
void write_atomically(const std::filesystem::path& file, const std::function<void(const ByteSink&)>& produce);

/// Removes the temporary files that killed processes left of write_atomically(file). Not while another may write it.
void remove_temporaries(const std::filesystem::path& file);

/// Makes a folder and its parents. Throws Error naming the folder and the reason.
void make_folder(const std::filesystem::path& folder);

}  // namespace lossatlas
