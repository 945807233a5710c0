#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace lossatlas {

/// Appends bytes to the file being written. Throws Error (full disk, lost folder).
using ByteSink = std::function<void(std::span<const std::byte>)>;

/// What is at the path, links followed, if it is not a regular file: "a folder", "a pipe", "a socket", "a device". ""
/// for a regular file, and if nothing is there.
std::string_view kind_of(const std::filesystem::path& file);

/// "~/a" within the home folder, as a shell expands it, only at the beginning; other names as they are.
std::string in_home(const std::string& file);

/// The path at the end of a chain of symbolic links, which need not exist; `file` itself if it is no link. Throws Error
/// for a chain without an end.
std::filesystem::path real_file(std::filesystem::path file);

/// What a file holds; nothing if it cannot be read.
std::optional<std::string> content_of(const std::filesystem::path& file);

enum class NewFile { made, exists, no_folder };
/// Makes a file with this content; of several processes that try, one does. Throws Error for any other reason.
NewFile make_new_file(const std::filesystem::path& file, std::string_view content);

/// True for a regular file, not a link, whose first bytes are these.
bool begins_with(const std::filesystem::path& file, std::string_view bytes);

/// Writes a file whole or not at all: `produce` fills a temporary file beside it, which is flushed to the disk and
/// renamed over `file`. A symbolic link stays: the file it leads to is replaced. On any failure the old file stays as
/// it was, the temporary one is removed, and an Error names the file and the reason. What is not a regular file is
/// never replaced.
void write_atomically(const std::filesystem::path& file, const std::function<void(const ByteSink&)>& produce);

/// Throws Error if write_atomically(file) cannot make its temporary file. Leaves nothing behind.
void check_temporary(const std::filesystem::path& file);

/// Removes the temporary files that killed processes left of write_atomically(file): those that are empty or begin as
/// `file` does, with these bytes. Not while another process may write it.
void remove_temporaries(const std::filesystem::path& file, std::string_view bytes);

/// Makes a folder and its parents. Throws Error naming the folder and the reason.
void make_folder(const std::filesystem::path& folder);

/// The same of the folder that a file lies in.
void make_folder_of(const std::filesystem::path& file);

}  // namespace lossatlas
