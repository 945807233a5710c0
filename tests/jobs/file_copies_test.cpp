#include "jobs/file_copies.h"

#include <chrono>
#include <condition_variable>
#include <deque>
#include <fstream>
#include <mutex>
#include <thread>

#include "base/error.h"
#include "base/files.h"
#include "catch.h"
#include "temporary_folder.h"
#include "without_sweep.h"

using namespace lossatlas;
namespace fs = std::filesystem;

namespace {

/// What rank 0 and one other say to each other.
struct Line {
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<std::string> to_other, to_first;
  std::size_t longest = 0;

  void put(std::deque<std::string>& queue, const std::string& text) {
    const std::scoped_lock lock(mutex);
    longest = std::max(longest, text.size());
    queue.push_back(text);
    changed.notify_all();
  }
  std::string take(std::deque<std::string>& queue) {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return !queue.empty(); });
    std::string text = std::move(queue.front());
    queue.pop_front();
    return text;
  }
};

class End : public WithoutSweep {
 public:
  End(Line& line, int rank) : WithoutSweep(rank), line_(line) {}
  std::vector<std::string> gather(const std::string& text) override {
    if (is_first()) {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));  // as if it waited for a third rank
      return {text, line_.take(line_.to_first)};
    }
    line_.put(line_.to_first, text);
    return {};
  }
  std::string broadcast(const std::string& text) override {
    if (!is_first()) return line_.take(line_.to_other);
    line_.put(line_.to_other, text);
    return text;
  }

 private:
  Line& line_;
};

std::string noise(std::size_t bytes, unsigned seed) {
  std::string text(bytes, '\0');
  for (char& letter : text) letter = static_cast<char>((seed = seed * 1664525 + 1013904223) >> 24);
  return text;
}

void write(const fs::path& file, const std::string& bytes) {
  fs::create_directories(file.parent_path());
  std::ofstream(file, std::ios::binary) << bytes;
}

}  // namespace

TEST_CASE("another rank gets files of any size under names that lead to them") {
  const TemporaryFolder folder;
  const fs::path real = fs::canonical(folder.path());
  const std::string large = noise((9 << 20) + 17, 1), small = noise(300, 2);
  write(real / "runs/sgd/checkpoints/a.pt", large);
  write(real / "runs/sgd/b.pt", "");
  write(real / "c.pt", small);
  fs::create_directory_symlink("runs/sgd", real / "link");
  fs::create_symlink(real / "c.pt", real / "runs/d.pt");
  FileTree tree;
  for (const char* name : {"link/checkpoints/a.pt", "link/b.pt", "runs/sgd/../d.pt", "none.pt"}) tree.add(real / name);

  Line line;
  static const std::atomic<bool> never{false};
  std::thread first([&] {
    FileCopies copies;
    End rank(line, 0);
    std::vector<std::string> names{"one", ""};
    CHECK(copies.share(tree, names, rank, never));
    CHECK(copies.place("c.pt") == "c.pt");
  });
  fs::path temporary;
  {
    FileCopies copies;
    End rank(line, 1);
    std::vector<std::string> names;
    CHECK(copies.share({}, names, rank, never));
    CHECK(line.to_first.empty());  // no rank goes on, and fails, while rank 0 still waits for another's copies
    first.join();
    temporary = copies.folder();
    CHECK(names == std::vector<std::string>{"one", ""});
    CHECK(content_of(copies.place(real / "link/checkpoints/a.pt")) == large);
    CHECK(content_of(copies.place(real / "link/b.pt")) == "");
    CHECK(content_of(copies.place(real / "runs/sgd/../d.pt")) == small);
    CHECK(content_of(copies.place(fs::relative(real / "runs/d.pt"))) == small);
    CHECK(!fs::exists(copies.place(real / "none.pt")));
    // The folder of a run is known by the name at the end of links.
    CHECK(fs::canonical(copies.place(real / "link/b.pt")) == fs::canonical(copies.place(real)) / "runs/sgd/b.pt");
    CHECK(fs::status(temporary).permissions() == fs::perms::owner_all);
  }
  CHECK(!fs::exists(temporary));
  CHECK(line.longest <= std::size_t{4} << 20);
}

TEST_CASE("a file that shrank while it was sent is named") {
  const TemporaryFolder folder;
  write(folder / "a.pt", "123456");
  FileTree tree;
  tree.add(folder / "a.pt");
  write(folder / "a.pt", "123");
  Line line;
  End rank(line, 0);
  FileCopies copies;
  std::vector<std::string> names;
  static const std::atomic<bool> never{false};
  CHECK_THROWS_WITH(copies.share(tree, names, rank, never),
                    Catch::Matchers::Contains("a.pt: cannot be read to its end"));
}
