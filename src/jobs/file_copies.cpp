#include "jobs/file_copies.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <utility>

#include "base/error.h"
#include "base/text.h"

namespace lossatlas {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kChunk = std::size_t{4} << 20;  // bytes of a message
constexpr char kEnd = '\0';                           // of each text of the header; no path holds it
constexpr auto kRoot = "root", kHere = "here";        // of the copies: rank 0's /, and its working folder

/// The tree and the names in one text: a kind, and one or two texts.
std::string header_of(const FileTree& tree, const std::vector<std::string>& names) {
  std::string header;
  const auto add = [&](const std::string& text) { header.append(text).push_back(kEnd); };
  add("here"), add(tree.here.string());
  for (const fs::path& folder : tree.folders) add("folder"), add(folder.string());
  for (const auto& [link, target] : tree.links) add("link"), add(link.string()), add(target);
  for (const auto& [file, bytes] : tree.files) add("file"), add(file.string()), add(std::to_string(bytes));
  for (const std::string& name : names) add("name"), add(name);
  return header;
}

/// Sends the contents of files, one after the other, in chunks; waits for all ranks after each.
class Sender {
 public:
  Sender(Ranks& ranks, const std::atomic<bool>& stop) : ranks_(ranks), stop_(stop) { chunk_.reserve(kChunk); }

  /// False if it was stopped.
  bool send(const fs::path& file, std::uintmax_t bytes) {
    std::ifstream in(file, std::ios::binary);
    if (!in) throw Error("{}: cannot be read ({})", file.string(), std::strerror(errno));
    while (bytes > 0) {
      const std::size_t at = chunk_.size(), count = std::min<std::uintmax_t>(bytes, kChunk - at);
      chunk_.resize(at + count);
      if (!in.read(chunk_.data() + at, static_cast<std::streamsize>(count))) {
        throw Error("{}: cannot be read to its end; was it changed meanwhile?", file.string());
      }
      bytes -= count;
      if (chunk_.size() == kChunk && !flush()) return false;
    }
    return true;
  }

  bool flush() {
    if (stop_) return false;
    if (chunk_.empty()) return true;
    ranks_.broadcast(chunk_);
    ranks_.gather("");
    chunk_.clear();
    return true;
  }

 private:
  Ranks& ranks_;
  const std::atomic<bool>& stop_;
  std::string chunk_;
};

/// The other end of that.
class Receiver {
 public:
  explicit Receiver(Ranks& ranks) : ranks_(ranks) {}

  void receive(const fs::path& file, std::uintmax_t bytes) {
    std::ofstream out(file, std::ios::binary);
    while (bytes > 0 && out) {
      if (at_ == chunk_.size()) {
        chunk_ = ranks_.broadcast("");
        at_ = 0;
      }
      const std::size_t count = std::min<std::uintmax_t>(bytes, chunk_.size() - at_);
      out.write(chunk_.data() + at_, static_cast<std::streamsize>(count));
      bytes -= count;
      at_ += count;
      if (at_ == chunk_.size()) {
        out.flush();
        if (out) ranks_.gather("");
      }
    }
    out.close();
    if (!out) {
      throw Error("{}: the copy of `broadcast` cannot be written ({}); choose another folder with TMPDIR",
                  file.string(), std::strerror(errno));
    }
  }

 private:
  Ranks& ranks_;
  std::string chunk_;
  std::size_t at_ = 0;
};

}  // namespace

FileTree::FileTree() : here(fs::current_path()) { add(here); }

void FileTree::add(const fs::path& name) {
  fs::path at = "/";
  for (const fs::path& part : fs::absolute(name).relative_path()) {
    if (part.empty() || part == ".") continue;
    if (part == "..") {
      at = at.parent_path();
      continue;
    }
    const fs::path next = at / part;
    std::error_code code;
    const auto kind = fs::status(next, code).type();
    if (kind == fs::file_type::not_found || kind == fs::file_type::none) return;
    if (kind != fs::file_type::regular && kind != fs::file_type::directory) {
      throw Error("{}: neither a file nor a folder, which `broadcast` requires", name.string());
    }
    if (fs::is_symlink(next, code)) {
      at = fs::canonical(next);
      if (links.emplace(next, at.string()).second) add(at);
    } else {
      at = next;
      if (kind == fs::file_type::directory) folders.insert(at);
      if (kind == fs::file_type::regular) files.emplace(at, fs::file_size(at));
    }
  }
}

FileCopies::~FileCopies() {
  std::error_code ignored;
  if (!folder_.empty()) fs::remove_all(folder_, ignored);
}

void FileCopies::make_folder() {
  const char* named = std::getenv("TMPDIR");
  const fs::path above = named && *named ? named : "/tmp";
  std::string name = (above / "lossatlas-XXXXXX").string();
  if (!::mkdtemp(name.data())) {
    throw Error("{}: no folder can be made there for the copies of `broadcast` ({}); choose another with TMPDIR",
                above.string(), std::strerror(errno));
  }
  folder_ = name;
}

bool FileCopies::share(const FileTree& tree, std::vector<std::string>& names, Ranks& ranks,
                       const std::atomic<bool>& stop) {
  const std::string header = ranks.broadcast(ranks.is_first() ? header_of(tree, names) : "");
  if (!ranks.is_first()) {
    receive(header, names, ranks);
    ranks.broadcast("");
    return true;
  }
  Sender sender(ranks, stop);
  for (const auto& [file, bytes] : tree.files) {
    if (!sender.send(file, bytes)) return false;
  }
  if (!sender.flush()) return false;
  ranks.broadcast("");  // all have all: what is wrong with it, rank 0 says before another does
  return true;
}

void FileCopies::receive(const std::string& header, std::vector<std::string>& names, Ranks& ranks) {
  make_folder();
  const fs::path root = folder_ / kRoot;
  fs::create_directory(root);
  const auto copy_of = [&](std::string_view absolute) { return fs::path(root.string().append(absolute)); };
  names.clear();
  Receiver receiver(ranks);
  const auto texts = split_at(header, kEnd);
  for (std::size_t i = 0; i + 1 < texts.size();) {
    const std::string_view kind = texts[i++], text = texts[i++];
    if (kind == "here") fs::create_symlink(copy_of(text), folder_ / kHere);
    if (kind == "folder") fs::create_directories(copy_of(text));
    if (kind == "link") fs::create_symlink(copy_of(texts[i++]), copy_of(text));
    if (kind == "name") names.emplace_back(text);
    if (kind != "file") continue;
    std::uintmax_t bytes = 0;
    const std::string_view number = texts[i++];
    std::from_chars(number.data(), number.data() + number.size(), bytes);
    receiver.receive(copy_of(text), bytes);
  }
}

fs::path FileCopies::place(const fs::path& name) const {
  if (folder_.empty() || name.empty()) return name;
  return name.is_absolute() ? fs::path((folder_ / kRoot).string() + name.string()) : folder_ / kHere / name;
}

}  // namespace lossatlas
