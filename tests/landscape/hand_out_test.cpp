#include "landscape/hand_out.h"

#include <algorithm>
#include <cmath>
#include <ctime>
#include <limits>
#include <queue>
#include <random>

#include "catch.h"
#include "surface/journal.h"
#include "temporary_folder.h"

using namespace lossatlas;

namespace {

std::vector<std::size_t> numbers(std::size_t count) {
  std::vector<std::size_t> items(count);
  for (std::size_t i = 0; i < count; ++i) items[i] = i;
  return items;
}

double cpu_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

/// A cluster in virtual time: 1,024 workers of one thread behind messages that take a while, each slower than the best
/// by a fixed factor of 1 to 4, and one hand-out.
class Cluster {
 public:
  static constexpr std::size_t kWorkers = 1024;
  static constexpr double kMessage = 0.002;  // seconds on the way, the wait of who receives it included

  /// `shortest`, `longest`: seconds of an item for the best worker, whose logarithm is uniform.
  Cluster(std::size_t items, double shortest, double longest) : hand_out_(std::vector<int>(kWorkers, 1)) {
    std::uniform_real_distribution<double> factor(1, 4), logarithm(std::log(shortest), std::log(longest));
    for (std::size_t w = 0; w < kWorkers; ++w) workers_.push_back({.factor = factor(random_)});
    for (std::size_t i = 0; i < items; ++i) seconds_.push_back(std::exp(logarithm(random_)));
    returned_.resize(items);
    hand_out_.start(numbers(items));
  }

  /// `on_result`: what rank 0 does with each.
  template <class OnResult>
  void run(const OnResult& on_result) {
    for (std::size_t w = 0; w < kWorkers; ++w) give(w, 0);
    while (!events_.empty()) {
      const Event event = events_.top();
      events_.pop();
      Worker& worker = workers_[event.worker];
      if (event.is_result) {
        on_result(event.item);
        returned_[event.item] = true;
        hand_out_.finish(event.worker, seconds_[event.item] * worker.factor);
        give(event.worker, event.time);
      } else {
        worker.free = std::max(worker.free, event.time);
        worker.busy.push_back({worker.free, worker.free + seconds_[event.item] * worker.factor});
        worker.free = worker.busy.back().end;
        events_.push({worker.free + kMessage, event.worker, event.item, true});
      }
    }
  }

  /// Of the time until the last item was handed out, all workers together.
  double busy_share() const {
    double busy = 0;
    for (const Worker& worker : workers_) {
      for (const auto& [begin, end] : worker.busy) busy += std::max(0.0, std::min(end, last_given_) - begin);
    }
    return busy / (kWorkers * last_given_);
  }
  /// From then to the end of the last item.
  double tail() const {
    double end = 0;
    for (const Worker& worker : workers_) end = std::max(end, worker.free);
    return end - last_given_;
  }
  double seconds() const { return last_given_; }
  std::ptrdiff_t returned() const { return std::count(returned_.begin(), returned_.end(), true); }
  /// Seconds of work in what was given at a time, until the last `share` of the items.
  std::vector<double> requests(double share) const {
    std::vector<double> work;
    for (const auto& [left, seconds] : requests_) {
      if (static_cast<double>(left) >= share * static_cast<double>(seconds_.size())) work.push_back(seconds);
    }
    return work;
  }

 private:
  struct Span {
    double begin, end;
  };
  struct Worker {
    double factor = 1, free = 0;  // when it has done what it has in hand
    std::vector<Span> busy = {};
  };
  struct Event {
    double time;
    std::size_t worker, item;
    bool is_result;  // that reaches rank 0; else an item that reaches the worker
    bool operator<(const Event& other) const { return time > other.time; }
  };

  void give(std::size_t worker, double now) {
    const std::size_t left = hand_out_.left();
    const auto items = hand_out_.take(worker);
    if (items.empty()) return;
    last_given_ = now;
    double work = 0;
    for (const std::size_t item : items) {
      work += seconds_[item] * workers_[worker].factor;
      events_.push({now + kMessage, worker, item, false});
    }
    if (now > 0) requests_.emplace_back(left, work);
  }

  std::mt19937_64 random_{1};
  std::vector<double> seconds_;  // of each item
  std::vector<Worker> workers_;
  HandOut hand_out_;
  std::priority_queue<Event> events_;
  std::vector<bool> returned_;
  std::vector<std::pair<std::size_t, double>> requests_;  // what was left before, and seconds of work given
  double last_given_ = 0;
};

}  // namespace

TEST_CASE("a thousand workers are busy until the last point is handed out, and one process keeps up with them") {
  constexpr std::size_t kItems = 1'024'000;
  const TemporaryFolder folder;
  Journal journal(folder / "s.h5.journal", {{"seed", 1}}, loss_and_accuracy(Split::train));
  Cluster cluster(kItems, 0.1, 10);
  const double before = cpu_seconds();
  cluster.run([&](std::size_t item) { journal.add(item, {1, 0.1, 90, 0.1, 100}); });
  const double cpu = cpu_seconds() - before;  // of the simulation too
  CHECK(cluster.returned() == kItems);
  CHECK(journal.points() == kItems);
  CHECK(cluster.busy_share() >= 0.98);
  CHECK(cluster.tail() <= 40);  // the longest item on the slowest worker: nobody holds a second one
  CHECK(cpu < 0.05 * cluster.seconds());
}

TEST_CASE("points faster than 0.1 s are handed out in blocks that last as long") {
  Cluster cluster(1'024'000, 0.002, 0.002);
  cluster.run([](std::size_t) {});
  CHECK(cluster.returned() == 1'024'000);
  CHECK(cluster.busy_share() >= 0.98);
  CHECK(cluster.tail() <= 0.5);
  const auto requests = cluster.requests(0.25);  // later ones are small, so that nobody waits at the end
  REQUIRE_FALSE(requests.empty());
  CHECK(*std::min_element(requests.begin(), requests.end()) > 0.0999);
}

TEST_CASE("a worker has as many points in hand as it has threads, and short ones ahead") {
  HandOut hand_out({4, 2});
  hand_out.start(numbers(100));
  CHECK(hand_out.take(0) == std::vector<std::size_t>{0, 1, 2, 3});
  CHECK(hand_out.take(0).empty());
  CHECK(hand_out.take(1, 1) == std::vector<std::size_t>{4});
  hand_out.finish(0, 5);
  CHECK(hand_out.take(0).size() == 1);  // long ones are given to a thread that is free
  hand_out.finish(1, 0.5);
  CHECK(hand_out.take(1).size() == 4);
  CHECK(hand_out.in_hand() == 8);
  hand_out.drop_rest();
  CHECK(hand_out.take(0).empty());
  hand_out.drop(1, 4);
  CHECK(hand_out.in_hand() == 4);
}

TEST_CASE("of items that take several threads a worker has fewer, and their pace is learnt anew") {
  HandOut hand_out({8, 3});
  hand_out.start(numbers(100));
  const std::size_t first = hand_out.take(0).size();
  for (std::size_t i = 0; i < first; ++i) hand_out.finish(0, 0.001);
  CHECK(hand_out.take(0).size() > 8);  // so short ones come in blocks
  hand_out.drop(0, hand_out.in_hand());
  hand_out.start(numbers(10), 4);
  CHECK(hand_out.take(0).size() == 2);
  CHECK(hand_out.take(1).size() == 1);
  hand_out.drop(0, 2), hand_out.drop(1, 1);
  hand_out.start(numbers(10), std::numeric_limits<int>::max());
  CHECK(hand_out.take(0).size() == 1);
  CHECK(hand_out.take(1).size() == 1);
}

TEST_CASE("a worker that says nothing is named after a minute, once, and given up after ten") {
  HandOut hand_out({1, 1, 1});
  for (double now = 1; now < 1000; now += 10) {
    hand_out.hear(1, now);
    if (now < 100) hand_out.hear(2, now);
    const auto silent = hand_out.next_silent(now);  // worker 0 was never heard of: this process
    CHECK(silent.has_value() == (now == 151 || now >= 691));
    if (!silent) continue;
    CHECK(silent->worker == 2);
    CHECK(silent->seconds == now - 91);
    CHECK(silent->is_lost == (now >= 691));
  }
}
