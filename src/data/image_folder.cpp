#include "data/image_folder.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <optional>
#include <span>
#include <string_view>

#include "base/error.h"

namespace lossatlas {
namespace {

namespace fs = std::filesystem;

bool is_hidden(const std::string& name) { return name.starts_with('.'); }

bool is_picture(const std::string& name) {
  std::string small = name;
  std::ranges::transform(small, small.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c; });
  constexpr std::array<std::string_view, 3> kEnds{".jpg", ".jpeg", ".png"};
  return std::ranges::any_of(kEnds, [&](std::string_view end) { return small.ends_with(end); });
}

bool is_folder(const fs::path& path) {
  std::error_code code;
  return fs::is_directory(path, code);
}

struct Entries {
  std::vector<std::string> folders, files;  // names, sorted; links followed, hidden ones left out
};

Entries entries_of(const fs::path& folder) {
  Entries entries;
  std::error_code code;
  for (auto entry = fs::directory_iterator(folder, code); !code && entry != fs::directory_iterator();
       entry.increment(code)) {
    const std::string name = entry->path().filename().string();
    std::error_code unknown;  // of a broken link
    if (!is_hidden(name)) (entry->is_directory(unknown) ? entries.folders : entries.files).push_back(name);
  }
  if (code) throw Error("{}: the folder cannot be read ({})", folder.string(), code.message());
  std::ranges::sort(entries.folders);
  std::ranges::sort(entries.files);
  return entries;
}

/// Adds the names of the pictures in a folder and in those within it. `above`: the folders that hold it, without links.
void add_pictures(const fs::path& root, const std::string& inner, std::vector<fs::path>& above,
                  std::vector<std::pair<std::string, std::string>>& names) {
  const Entries entries = entries_of(root / inner);
  for (const std::string& name : entries.files) {
    if (is_picture(name)) names.emplace_back(inner, name);
  }
  for (const std::string& name : entries.folders) {
    const fs::path real = fs::canonical(root / inner / name);
    if (std::ranges::find(above, real) != above.end()) {
      throw Error("{}: a symbolic link to a folder that holds it", (root / inner / name).string());
    }
    above.push_back(real);
    add_pictures(root, inner + "/" + name, above, names);
    above.pop_back();
  }
}

std::vector<PictureFile> list_class(const fs::path& folder, const std::string& name, std::int64_t label) {
  std::vector<std::pair<std::string, std::string>> names;  // folder, file: the order of os.walk, sorted
  std::vector<fs::path> above{fs::canonical(folder / name)};
  add_pictures(folder, name, above, names);
  std::ranges::sort(names);
  std::vector<PictureFile> files;
  for (const auto& [inner, file] : names) {
    PictureFile picture{.name = inner + "/" + file, .label = label};
    struct stat status {};
    const auto path = folder / picture.name;
    if (::stat(path.c_str(), &status) != 0) throw Error("{}: cannot be read ({})", path.string(), std::strerror(errno));
    picture.bytes = static_cast<std::uint64_t>(status.st_size);
    picture.time = std::int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec;
    files.push_back(std::move(picture));
  }
  return files;
}

/// The folder of each split.
struct Layout {
  fs::path train;
  std::optional<fs::path> test;
};

/// A folder `train` of pictures alone is a class.
Layout layout_of(const fs::path& folder) {
  const fs::path train = folder / "train";
  if (!is_folder(train) || entries_of(train).folders.empty()) return {folder, std::nullopt};
  for (const char* name : {"val", "test"}) {
    if (is_folder(folder / name)) return {train, folder / name};
  }
  return {train, std::nullopt};
}

std::string list_of(const std::vector<std::string>& names) {
  constexpr std::size_t kMost = 5;
  const std::string text = fmt::format("{}", fmt::join(std::span(names).first(std::min(names.size(), kMost)), ", "));
  return names.size() > kMost ? fmt::format("{} and {} more", text, names.size() - kMost) : text;
}

void check_same_classes(const fs::path& one, const fs::path& other) {
  const auto of_one = entries_of(one).folders, of_other = entries_of(other).folders;
  const auto only = [](const fs::path& folder, const auto& own, const auto& others) {
    std::vector<std::string> names;
    std::ranges::set_difference(own, others, std::back_inserter(names));
    return names.empty() ? "" : fmt::format("; only in {}: {}", folder.filename().string(), list_of(names));
  };
  const std::string difference = only(one, of_one, of_other) + only(other, of_other, of_one);
  if (!difference.empty()) throw Error("{}: other classes than {}{}", other.string(), one.string(), difference);
}

}  // namespace

bool has_test_images(const fs::path& folder) { return layout_of(folder).test.has_value(); }

ImageFolder list_images(const fs::path& folder, Split split) {
  if (!is_folder(folder)) throw Error("{}: no such folder", folder.string());
  const Layout layout = layout_of(folder);
  if (split == Split::test && !layout.test) {
    throw Error("{}: no test split; it requires train/ with val/ or test/ here", folder.string());
  }
  if (layout.test) check_same_classes(layout.train, *layout.test);
  ImageFolder images{.folder = split == Split::test ? *layout.test : layout.train, .classes = {}, .files = {}};
  images.classes = entries_of(images.folder).folders;
  if (images.classes.size() < 2) {
    throw Error("{}: {}; it requires a folder of images for each class", images.folder.string(),
                images.classes.empty() ? "holds no folders" : "holds one class, " + images.classes[0]);
  }
  std::vector<std::string> empty;
  for (std::size_t label = 0; label < images.classes.size(); ++label) {
    auto files = list_class(images.folder, images.classes[label], static_cast<std::int64_t>(label));
    if (files.empty()) empty.push_back(images.classes[label]);
    std::ranges::move(files, std::back_inserter(images.files));
  }
  if (!empty.empty())
    throw Error("{}: no .jpg, .jpeg or .png file of class {}", images.folder.string(), list_of(empty));
  return images;
}

std::vector<fs::path> image_files(const fs::path& folder) {
  std::vector<fs::path> files;
  if (!is_folder(folder)) return files;
  const Layout layout = layout_of(folder);
  for (const auto& part : {std::optional(layout.train), layout.test}) {
    if (!part) continue;
    for (const std::string& name : entries_of(*part).folders) {
      for (const PictureFile& file : list_class(*part, name, 0)) files.push_back(*part / file.name);
    }
  }
  return files;
}

}  // namespace lossatlas
