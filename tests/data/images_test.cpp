#include <sys/resource.h>

#include <csignal>
#include <fstream>
#include <iterator>
#include <mutex>
#include <thread>

#include "base/error.h"
#include "catch.h"
#include "data/data_set.h"
#include "data/image_folder.h"
#include "temporary_folder.h"

using namespace lossatlas;

namespace {

namespace fs = std::filesystem;
using Strings = std::vector<std::string>;

void copy(const char* picture, const fs::path& to) {
  fs::create_directories(to.parent_path());
  fs::copy_file(fs::path(LOSSATLAS_TEST_FILES) / "pictures" / picture, to, fs::copy_options::overwrite_existing);
}

/// Two classes with a train and a val split.
struct Pictures {
  TemporaryFolder folder;
  DataSpec spec;
  Strings notes;
  std::vector<std::int64_t> progress;
  DataObserver observer;

  Pictures() : spec("images:" + (folder / "data").string()) {
    copy("rgb.png", data() / "train/cat/b.PNG");
    copy("halved.jpg", data() / "train/cat/a.jpg");
    copy("grey.jpg", data() / "train/dog/1.jpeg");
    copy("full.jpg", data() / "val/cat/1.jpg");
    copy("grey8.png", data() / "val/dog/1.png");
    spec.images.resize = {16};
    spec.images.crop = {12};
    spec.images.cache = folder / "cache";
    observer = {.on_progress = [this](std::int64_t done, std::int64_t) { progress.push_back(done); },
                .on_note = [this](const std::string& text) { notes.push_back(text); }};
  }
  fs::path data() const { return folder / "data"; }
  DataSet load(Split split = Split::train) {
    notes.clear();
    progress.clear();
    return load_data(spec, split, observer);
  }
  bool decodes() const { return !progress.empty(); }
  std::vector<fs::path> caches() const { return {fs::directory_iterator(spec.images.cache), fs::directory_iterator()}; }
};

std::vector<std::uint8_t> pixels(const DataSet& data) {
  const auto numbers = data.pixels.numbers<std::uint8_t>();
  return {numbers.begin(), numbers.end()};
}

Strings names_of(const ImageFolder& folder) {
  Strings names;
  for (const PictureFile& file : folder.files) names.push_back(file.name);
  return names;
}

}  // namespace

TEST_CASE("class folders are listed as torchvision's ImageFolder does") {
  const TemporaryFolder folder;
  // sorted(os.walk(...)) and sorted names: by the folder's whole name first, then by the file's.
  const Strings wanted{"B/z.png", "a/10.jpg", "a/2.JPG", "a/x/1.jpeg", "a/x y/1.png", "a/x/y/1.png"};
  for (const std::string& name : wanted) copy("rgb.png", folder / name);
  for (const char* passed_over : {"a/.hidden.png", "a/._2.JPG", "a/text.txt", "a/x.gif", ".git/x.png", "loose.png"}) {
    copy("rgb.png", folder / passed_over);
  }
  const ImageFolder images = list_images(folder.path(), Split::train);
  CHECK(images.classes == Strings{"B", "a"});
  CHECK(names_of(images) == wanted);
  CHECK(images.files[0].label == 0);
  CHECK(images.files[1].label == 1);
  CHECK_FALSE(has_test_images(folder.path()));
  CHECK(image_files(folder.path()).size() == wanted.size());
  CHECK_THROWS_WITH(list_images(folder.path(), Split::test), ContainsSubstring("no test split"));
  fs::create_directory_symlink(folder / "a", folder / "a/x/again");
  CHECK_THROWS_WITH(list_images(folder.path(), Split::train), ContainsSubstring("a/x/again: a symbolic link"));
}

TEST_CASE("splits are train with val or test, and have the same classes") {
  Pictures pictures;
  CHECK(has_test_split(pictures.spec));
  CHECK(pictures.load().labels == std::vector<std::int64_t>{0, 0, 1});
  CHECK(pictures.load(Split::test).labels == std::vector<std::int64_t>{0, 1});
  CHECK(data_files(pictures.spec).size() == 5);
  fs::rename(pictures.data() / "val", pictures.data() / "test");
  CHECK(pictures.load(Split::test).labels == std::vector<std::int64_t>{0, 1});
  fs::rename(pictures.data() / "test/dog", pictures.data() / "test/bird");
  CHECK_THROWS_WITH(pictures.load(), ContainsSubstring("only in train: dog; only in test: bird"));
  fs::remove_all(pictures.data() / "test");
  CHECK_FALSE(has_test_split(pictures.spec));
  CHECK(pictures.load().size() == 3);
}

TEST_CASE("folders that are no data set are refused in one line") {
  const TemporaryFolder folder;
  const auto refused = [&](const char* text) {
    CHECK_THROWS_WITH(list_images(folder.path(), Split::train), ContainsSubstring(text));
  };
  CHECK_THROWS_WITH(list_images(folder / "none", Split::train), ContainsSubstring("none: no such folder"));
  refused("holds no folders");
  fs::create_directory(folder / "cat");
  refused("holds one class, cat");
  copy("rgb.png", folder / "cat/1.png");
  for (int i = 1; i < 9; ++i) fs::create_directory(folder / std::to_string(i));
  refused("no .jpg, .jpeg or .png file of class 1, 2, 3, 4, 5 and 3 more");
}

TEST_CASE("images come from the cache until files, settings or the cache itself change") {
  Pictures pictures;
  const DataSet first = pictures.load();
  CHECK(first.shape == std::array<std::int64_t, 3>{3, 12, 12});
  CHECK(first.classes == 2);
  CHECK(first.normalization.mean == std::vector{0.485, 0.456, 0.406});
  CHECK(pictures.progress == std::vector<std::int64_t>{1, 2, 3});
  const auto wanted = pixels(first);  // a copy: the file is damaged in place below
  const auto again = [&](bool decodes, const char* note) {
    const DataSet data = pictures.load();
    CHECK(pictures.decodes() == decodes);
    CHECK(pictures.notes.size() == (*note == '\0' ? 0 : 1));
    if (!pictures.notes.empty()) CHECK_THAT(pictures.notes[0], ContainsSubstring(note));
    CHECK((pixels(data) == wanted));
    CHECK(pictures.caches().size() == 1);
  };
  again(false, "");
  const fs::path cache = pictures.caches().at(0);
  const auto size = fs::file_size(cache);
  // As a newer version may do, and a disk.
  const auto damage = [&](std::uintmax_t place) {
    std::fstream file(cache, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(place));
    file << '\x7f';
  };
  for (const auto& [place, note] : {std::pair{std::uintmax_t{17}, "another version"},
                                    {100, "damaged"},
                                    {size - 60, "damaged"},
                                    {size - 20, "damaged"},
                                    {size - 10, "damaged"}}) {
    damage(place);
    again(true, note);
    again(false, "");
  }
  for (const auto left : {size - 1, size / 2, std::uintmax_t{25}, std::uintmax_t{0}}) {
    fs::resize_file(cache, left);
    again(true, left < 19 ? "another version, or damaged" : "damaged");
  }
  fs::last_write_time(pictures.data() / "train/dog/1.jpeg", fs::file_time_type::clock::now() + std::chrono::hours(1));
  again(true, "changed");
  again(false, "");
  pictures.spec.images.interpolation = "nearest";
  CHECK((pixels(pictures.load()) != wanted));
  CHECK(pictures.caches().size() == 2);
}

TEST_CASE("pictures that cannot be decoded are named, or left out") {
  Pictures pictures;
  const DataSet all = pictures.load();
  for (int i = 0; i < 7; ++i) std::ofstream(pictures.data() / ("train/cat/aa" + std::to_string(i) + ".jpg")) << "GIF";
  const auto refused = [&] {
    CHECK_THROWS_WITH(pictures.load(), ContainsSubstring("train: 7 of 10 images cannot be decoded: cat/aa0.jpg (is "
                                                         "neither JPEG nor PNG), cat/aa1.jpg") &&
                                           ContainsSubstring("cat/aa4.jpg (is neither JPEG nor PNG) and 2 more") &&
                                           ContainsSubstring("`skip_bad`"));
  };
  refused();
  refused();  // from the cache
  CHECK_FALSE(pictures.decodes());
  pictures.spec.images.skip_bad = true;
  const DataSet left = pictures.load();
  CHECK_FALSE(pictures.decodes());
  CHECK_THAT(pictures.notes.at(0), ContainsSubstring("7 of 10 images cannot be decoded and are left out"));
  CHECK(left.labels == all.labels);
  CHECK((pixels(left) == pixels(all)));
  for (const char* name : {"cat/a.jpg", "cat/b.PNG", "dog/1.jpeg"})
    std::ofstream(pictures.data() / "train" / name) << "x";
  CHECK_THROWS_WITH(pictures.load(), ContainsSubstring("10 of 10 images"));
  fs::remove(pictures.data() / "train/dog/1.jpeg");
  fs::create_directory_symlink("/nowhere", pictures.data() / "train/dog/1.jpeg");
  CHECK_THROWS_WITH(pictures.load(), ContainsSubstring("dog/1.jpeg: cannot be read"));
}

TEST_CASE("pictures as they are must have one size") {
  Pictures pictures;
  pictures.spec.images.resize = pictures.spec.images.crop = {};
  CHECK(pictures.load().shape == std::array<std::int64_t, 3>{3, 19, 25});
  copy("tall.png", pictures.data() / "train/cat/c.png");
  CHECK_THROWS_WITH(pictures.load(),
                    ContainsSubstring("cat/c.png: 25x19 pixels") && ContainsSubstring("a.jpg has 19x25"));
  pictures.spec.images.resize = {20, 21};
  CHECK(pictures.load().shape == std::array<std::int64_t, 3>{3, 20, 21});
  pictures.spec.images.interpolation = "best";
  CHECK_THROWS_AS(pictures.load(), UsageError);
}

TEST_CASE("a cache replaces nothing but caches, and leaves nothing behind") {
  Pictures pictures;
  const auto wanted = pixels(pictures.load());
  const fs::path cache = pictures.caches().at(0);
  std::ofstream(cache) << "precious";
  CHECK_THROWS_WITH(pictures.load(), ContainsSubstring("is not a cache of images"));
  CHECK(fs::file_size(cache) == 8);
  fs::remove(cache);
  // As a process that was killed leaves it, and somebody else's.
  std::ofstream(cache.string() + ".tmp1-1") << "lossatlas images 1\nand pixels";
  std::ofstream(cache.string() + ".tmp2-1") << "notes";
  CHECK((pixels(pictures.load()) == wanted));
  CHECK(pictures.caches().size() == 2);
  fs::remove(cache.string() + ".tmp2-1");

  fs::remove(cache);
  std::signal(SIGXFSZ, SIG_IGN);
  struct rlimit before {};
  ::getrlimit(RLIMIT_FSIZE, &before);
  struct rlimit small = before;
  small.rlim_cur = 1000;
  ::setrlimit(RLIMIT_FSIZE, &small);  // a full disk
  CHECK_THROWS_WITH(pictures.load(), ContainsSubstring("cannot be written") && ContainsSubstring("`image_cache`"));
  ::setrlimit(RLIMIT_FSIZE, &before);
  CHECK(pictures.caches().empty());

  pictures.spec.images.crop = {10'000};
  pictures.spec.images.resize = {10'000};
  for (int i = 0; i < 4; ++i) {
    for (int k = 0; k < 1000; ++k) {  // 1.2 TB
      fs::create_symlink("b.PNG", pictures.data() / fmt::format("train/cat/{}-{}.png", i, k));
    }
  }
  CHECK_THROWS_WITH(pictures.load(), ContainsSubstring("the decoded images take 1200.9 GB"));
  std::ofstream(pictures.folder / "file") << "";
  pictures.spec.images.cache = pictures.folder / "file" / "cache";
  CHECK_THROWS_WITH(pictures.load(), ContainsSubstring("the folder cannot be made"));
}

TEST_CASE("what an observer throws ends the decoding, and leaves nothing behind") {
  Pictures pictures;
  pictures.observer.on_progress = [](std::int64_t, std::int64_t) { throw Error("stopped"); };
  CHECK_THROWS_WITH(load_data(pictures.spec, Split::train, pictures.observer), ContainsSubstring("stopped"));
  CHECK(pictures.caches().empty());
}

TEST_CASE("several at once may make the same cache") {
  Pictures pictures;
  std::vector<std::vector<std::uint8_t>> found(8);
  {
    std::vector<std::jthread> threads;
    for (auto& own : found) threads.emplace_back([&] { own = pixels(load_data(pictures.spec, Split::train)); });
  }
  for (const auto& own : found) CHECK((own == found[0]));
  CHECK(pictures.caches().size() == 1);
}
