#pragma once

#include <atomic>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "landscape/ranks.h"

namespace lossatlas {

/// Files with the folders and the symbolic links on the way to them, so that names lead to the same places in a copy.
struct FileTree {
  std::filesystem::path here;                             // where relative names begin
  std::set<std::filesystem::path> folders;                // absolute, without links
  std::map<std::filesystem::path, std::string> links;     // absolute, and where they lead
  std::map<std::filesystem::path, std::uintmax_t> files;  // absolute, without links, and their bytes

  FileTree();
  /// A file or a folder, without what the folder holds; what is not there is passed over, as whoever reads it says so.
  /// Throws Error for what is neither file nor folder.
  void add(const std::filesystem::path& name);
};

/// Rank 0's files, as the other ranks hold copies of them: in a temporary folder each, which goes with this object.
class FileCopies {
 public:
  FileCopies() = default;
  FileCopies(const FileCopies&) = delete;
  FileCopies& operator=(const FileCopies&) = delete;
  ~FileCopies();

  /// Sends rank 0's tree and `names`, in messages of 4 MiB that all ranks answer; gives the names. All ranks call it,
  /// once. Rank 0 reads each file once; nothing if it was stopped. Throws Error for a file that cannot be read, and on
  /// other ranks if there is no room.
  bool share(const FileTree& tree, std::vector<std::string>& names, Ranks& ranks, const std::atomic<bool>& stop);

  /// Where this rank finds what rank 0 calls `name`; on rank 0 that name.
  std::filesystem::path place(const std::filesystem::path& name) const;
  /// The temporary folder; "" on rank 0.
  const std::filesystem::path& folder() const { return folder_; }

 private:
  void make_folder();
  void receive(const std::string& header, std::vector<std::string>& names, Ranks& ranks);

  std::filesystem::path folder_;  // "": on rank 0
};

}  // namespace lossatlas
