#include "landscape/sharing.h"

#include <fstream>
#include <set>

#include "base/lock.h"
#include "catch.h"
#include "surface/journal.h"
#include "temporary_folder.h"

using namespace lossatlas;

namespace {

const SharingTimes kTimes{0.05, 0.4, 0.01};

/// An owner and its lock.
struct Owner {
  explicit Owner(const TemporaryFolder& folder) : file(folder / "s.h5"), lock(folder / "s.h5.lock"), surface(make()) {}
  static Surface make() {
    Surface surface({{-1, 1, 16}, {-1, 1, 24}}, loss_and_accuracy(Split::train));
    surface.settings = {{"seed", 1}};
    return surface;
  }
  std::filesystem::path file;
  FileLock lock;
  Surface surface;
  std::atomic<bool> stop{false};
};

void evaluate(Journal& journal, std::size_t index) { journal.add(index, {static_cast<double>(index), 0, 0, 0, 1}); }

}  // namespace

TEST_CASE("a sweep alone makes no claims") {
  const TemporaryFolder folder;
  Owner owner(folder);
  SharedSweep shared(owner.file, owner.surface, kTimes);
  std::set<std::size_t> points;
  while (const auto point = shared.next()) points.insert(*point);
  CHECK(points.size() == owner.surface.size());
  CHECK_FALSE(std::filesystem::exists(claims_of(owner.file)));
}

TEST_CASE("two processes take every point once, and the owner collects them") {
  const TemporaryFolder folder;
  Owner owner(folder);
  SharedSweep shared(owner.file, owner.surface, kTimes);
  owner.surface.set(*shared.next(), {});
  std::set<std::size_t> points;
  {
    JoinedSweep joined(owner.file, kTimes);
    for (std::size_t i = 0; i < block_size(owner.surface.size()); ++i) owner.surface.set(*shared.next(), {});
    REQUIRE(joined.wait_until_open(folder / "s.h5.lock", owner.stop));
    joined.begin(owner.surface);
    Journal journal(joined.journal(), owner.surface.settings, owner.surface.measures());
    for (bool more = true; more;) {
      more = false;
      if (const auto point = shared.next()) more = points.insert(*point).second, owner.surface.set(*point, {});
      if (const auto point = joined.next()) more = points.insert(*point).second, evaluate(journal, *point);
    }
    CHECK(points.size() == owner.surface.size() - 1 - block_size(owner.surface.size()));
  }
  CHECK_FALSE(shared.wait_for_others(owner.surface, owner.stop));
  CHECK(owner.surface.evaluated() == owner.surface.size());
  CHECK(shared.joined().size() == 1);
}

TEST_CASE("the owner does what a joined process left undone") {
  const TemporaryFolder folder;
  Owner owner(folder);
  SharedSweep shared(owner.file, owner.surface, kTimes);
  std::size_t left = 0;
  {
    JoinedSweep joined(owner.file, kTimes);
    owner.surface.set(*shared.next(), {});
    REQUIRE(joined.wait_until_open(folder / "s.h5.lock", owner.stop));
    joined.begin(owner.surface);
    left = *joined.next();
    while (const auto point = shared.next()) owner.surface.set(*point, {});
    CHECK((owner.surface.state[left] == PointState::missing));
  }
  CHECK(shared.wait_for_others(owner.surface, owner.stop));
  std::set<std::size_t> points;
  while (const auto point = shared.next()) points.insert(*point);
  CHECK(points.contains(left));
  CHECK(points.size() <= block_size(owner.surface.size()));
}

TEST_CASE("a process without a heartbeat is taken for dead") {
  const TemporaryFolder folder;
  Owner owner(folder);
  SharedSweep shared(owner.file, owner.surface, kTimes);
  std::filesystem::create_directory(claims_of(owner.file));
  while (const auto point = shared.next()) {
    // Of another host, so that nobody can see whether it runs; it claims a block and says no more.
    static bool claimed = false;
    if (claimed) continue;
    claimed = true;
    const std::string name = "elsewhere.5";
    std::ofstream(claims_of(owner.file) / (name + ".alive")) << to_text({"elsewhere", 5, "", "", "", 0});
    std::ofstream(claims_of(owner.file) / "block-000009") << name;
  }
  for (std::size_t i = 0; i < owner.surface.size(); ++i) owner.surface.set(i, {});
  const std::size_t block = block_size(owner.surface.size());
  std::set<std::size_t> missing;
  const auto order = [&] {
    Surface empty = Owner::make();
    TemporaryFolder other;
    SharedSweep alone(other / "s.h5", empty, kTimes);
    std::vector<std::size_t> all;
    while (const auto point = alone.next()) all.push_back(*point);
    return all;
  }();
  for (std::size_t at = 9 * block; at < 10 * block; ++at) {
    missing.insert(order[at]);
    owner.surface.state[order[at]] = PointState::missing;
  }
  const Stopwatch watch;
  CHECK(shared.wait_for_others(owner.surface, owner.stop));
  CHECK(watch.seconds() >= kTimes.stale_seconds);
  std::set<std::size_t> points;
  while (const auto point = shared.next()) points.insert(*point);
  CHECK(points == missing);
}

TEST_CASE("who wants to join a sweep that ended is told so") {
  const TemporaryFolder folder;
  std::atomic<bool> stop{false};
  {
    JoinedSweep joined(folder / "s.h5", kTimes);
    CHECK_FALSE(joined.wait_until_open(folder / "s.h5.lock", stop));
  }
  CHECK(std::filesystem::is_empty(folder.path()));
}
