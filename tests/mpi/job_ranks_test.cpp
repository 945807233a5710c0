#include "mpi/job_ranks.h"

#include <atomic>
#include <chrono>
#include <cmath>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>

#include "base/error.h"
#include "catch.h"

using namespace lossatlas;

namespace {

/// Ranks that are threads of this process.
class Wires {
 public:
  void send(int from, int to, std::string bytes) {
    const std::scoped_lock lock(mutex_);
    if (!cut_[from]) on_the_way_[to].push_back({from, std::move(bytes)});
  }
  std::optional<ReceivedMessage> receive(int at) {
    const std::scoped_lock lock(mutex_);
    auto& queue = on_the_way_[at];
    if (queue.empty()) return std::nullopt;
    ReceivedMessage message = std::move(queue.front());
    queue.pop_front();
    return message;
  }
  /// Whether what this rank says is lost.
  void cut(int rank, bool is_cut) {
    const std::scoped_lock lock(mutex_);
    cut_[rank] = is_cut;
  }

 private:
  std::mutex mutex_;
  std::map<int, std::deque<ReceivedMessage>> on_the_way_;
  std::map<int, bool> cut_;
};

class Wire : public Transport {
 public:
  Wire(std::shared_ptr<Wires> wires, int rank, int size) : wires_(std::move(wires)), rank_(rank), size_(size) {}
  int rank() const override { return rank_; }
  int size() const override { return size_; }
  int local_rank() const override { return rank_; }
  void send(int to, std::shared_ptr<const std::string> bytes) override { wires_->send(rank_, to, *bytes); }
  std::optional<ReceivedMessage> receive() override { return wires_->receive(rank_); }
  bool is_sent() override { return true; }
  [[noreturn]] void abort(int) override { throw std::logic_error("not in these tests"); }

 private:
  std::shared_ptr<Wires> wires_;
  int rank_, size_;
};

RankOptions options_of(int rank) {
  RankOptions options;
  options.build = "1";
  options.host = "node" + std::to_string(rank);
  options.threads = 2;
  return options;
}

/// What a rank evaluates: here a number of its item, exact in double.
ItemResult result_of(std::size_t item) {
  ItemResult result;
  result.values.push_back({.loss = 0.1 * static_cast<double>(item), .images = 7, .more = {{"top5", 0.3}}});
  result.values.front().second = {{.loss = -0.0, .accuracy = 12.5}};
  result.images = {{1.5, 2.5}, {0, 1}};
  return result;
}

/// Rank 0 with others, each a thread that does `work` until the job is over. Ranks throw what ended them.
class Job {
 public:
  using OtherWork = std::function<void(JobRanks&)>;

  Job(int size, OtherWork work, std::function<RankOptions(int)> options = options_of) {
    for (int r = 1; r < size; ++r) {
      others_.emplace_back([this, r, size, work, options] {
        JobRanks ranks(std::make_unique<Wire>(wires, r, size), options(r));
        std::string failure;
        try {
          ranks.meet();
          work(ranks);
        } catch (const JobEnded&) {
        } catch (const std::exception& error) {
          failure = error.what();
        }
        const int status = ranks.finish(1, failure);
        const std::scoped_lock lock(mutex_);
        statuses.push_back(status);
      });
    }
    first = std::make_unique<JobRanks>(std::make_unique<Wire>(wires, 0, size), options(0));
  }

  void finish(int status) {
    first->finish(status);
    for (auto& other : others_) other.join();
  }

  std::shared_ptr<Wires> wires = std::make_shared<Wires>();
  std::unique_ptr<JobRanks> first;
  std::vector<int> statuses;

 private:
  std::mutex mutex_;
  std::vector<std::jthread> others_;
};

/// Sweeps on other ranks.
void evaluate_all(JobRanks& ranks) {
  static const std::atomic<bool> never{false};
  while (true) {
    if (ranks.next_request(never) != "squares") throw Error("another request");
    while (const auto item = ranks.next()) ranks.put(*item, result_of(*item), 0.001);
  }
}

std::vector<std::size_t> numbers(std::size_t count) {
  std::vector<std::size_t> items(count);
  for (std::size_t i = 0; i < count; ++i) items[i] = i;
  return items;
}

}  // namespace

TEST_CASE("every item is evaluated once, by any rank, and comes back as it was") {
  Job job(4, evaluate_all);
  job.first->meet();
  CHECK(job.first->threads() == 8);
  CHECK(job.first->name(2) == "rank 2 on node2");
  for (int round = 0; round < 3; ++round) {
    std::mutex mutex;
    std::multimap<std::size_t, ItemResult> results;
    SweepHooks hooks;
    hooks.take = [&](std::size_t item, ItemResult result) {
      const std::scoped_lock lock(mutex);
      results.emplace(item, std::move(result));
    };
    job.first->begin("squares", numbers(500), 1, hooks);
    while (const auto item = job.first->next()) job.first->put(*item, result_of(*item), 0.001);
    job.first->end();
    REQUIRE(results.size() == 500);
    for (const auto& [item, found] : results) {
      CHECK(results.count(item) == 1);
      const ItemResult expected = result_of(item);
      CHECK(found.values.front().loss == expected.values.front().loss);
      CHECK(found.values.front().more == expected.values.front().more);
      CHECK(std::signbit(found.values.front().second.front().loss));
      CHECK(found.images.losses == expected.images.losses);
      CHECK(found.images.is_correct == expected.images.is_correct);
    }
  }
  job.finish(130);
  CHECK(job.statuses == std::vector<int>{130, 130, 130});
}

TEST_CASE("no item is evaluated as one of another sweep") {
  std::atomic<bool> never{false};
  Job job(3, [&](JobRanks& ranks) {
    while (true) {
      const double request = std::stod(ranks.next_request(never));
      const auto work = [&] {
        while (const auto item = ranks.next()) {
          ItemResult result;
          result.values.push_back({.loss = 1000 * request + static_cast<double>(*item)});
          ranks.put(*item, std::move(result), 0.001);
        }
      };
      std::jthread first(work), second(work), third(work);
    }
  });
  job.first->meet();
  for (int sweep = 0; sweep < 100; ++sweep) {
    std::atomic<int> right{0};
    SweepHooks hooks;
    hooks.take = [&](std::size_t item, const ItemResult& result) {
      right += result.values.front().loss == 1000.0 * sweep + static_cast<double>(item) ? 1 : 0;
    };
    job.first->begin(std::to_string(sweep), numbers(4), 1, hooks);
    job.first->end();
    CHECK(right == 4);
  }
  job.finish(0);
}

TEST_CASE("texts are gathered by rank, and sent to all") {
  Job job(3, [](JobRanks& ranks) {
    ranks.gather("from " + std::to_string(ranks.rank()));
    ranks.gather(ranks.broadcast(""));
  });
  job.first->meet();
  CHECK(job.first->gather("mine") == std::vector<std::string>{"mine", "from 1", "from 2"});
  job.first->broadcast("to all");
  CHECK(job.first->gather("") == std::vector<std::string>{"", "to all", "to all"});
  job.finish(0);
}

TEST_CASE("a rank that fails ends the sweep, and is named with its error") {
  Job job(2, [](JobRanks& ranks) {
    ranks.broadcast("");
    throw Error("no such file");
  });
  job.first->meet();
  job.first->broadcast("");
  CHECK_THROWS_WITH(job.first->gather(""), "rank 1 on node1: no such file");
  job.finish(1);
  CHECK(job.statuses == std::vector<int>{1});
}

TEST_CASE("what a hook throws ends the sweep") {
  Job job(2, evaluate_all);
  job.first->meet();
  SweepHooks hooks;
  hooks.take = [](std::size_t, const ItemResult&) { throw Error("disk full"); };
  job.first->begin("squares", numbers(100), 1, hooks);
  CHECK_THROWS_WITH(job.first->end(), "disk full");
  job.first->cancel();
  job.finish(1);
}

TEST_CASE("ranks of another build are refused by name") {
  const auto options = [](int rank) {
    RankOptions each = options_of(rank);
    if (rank == 2) each.build = "2";
    return each;
  };
  Job job(3, evaluate_all, options);
  CHECK_THROWS_WITH(job.first->meet(),
                    "rank 2 on node2 runs lossatlas 2, rank 0 on node0 1; start all ranks from one build");
  job.finish(1);
}

TEST_CASE("a stop leaves what was not begun, and an interrupt of any rank stops the first") {
  std::atomic<bool> interrupted{false}, stop{false};
  const auto options = [&](int rank) {
    RankOptions each = options_of(rank);
    each.on_interrupt = [&] { stop = true; };
    return each;
  };
  Job job(
      2,
      [&](JobRanks& ranks) {
        ranks.next_request(interrupted);
        while (const auto item = ranks.next()) {
          std::this_thread::sleep_for(std::chrono::milliseconds(1));
          ranks.put(*item, result_of(*item), 0.001);
        }
      },
      options);
  job.first->meet();
  std::atomic<int> results{0}, stops{0};
  SweepHooks hooks;
  hooks.take = [&](std::size_t, const ItemResult&) { interrupted = ++results >= 50; };
  hooks.stop = &stop;
  hooks.on_stop = [&] { ++stops; };
  job.first->begin("squares", numbers(100'000), 1, hooks);
  job.first->end();
  CHECK(results >= 50);
  CHECK(results < 10'000);
  CHECK(stops == 1);
  job.finish(130);
}

TEST_CASE("a rank that falls silent is named, and ends the sweep after the timeout") {
  const auto options = [](int rank) {
    RankOptions each = options_of(rank);
    each.times.quiet = 0.2;
    each.times.timeout = rank == 0 ? 0.6 : 0.1;  // the others speak often
    return each;
  };
  std::atomic<bool> never{false};
  Job job(3, evaluate_all, options);
  job.first->meet();
  std::vector<std::string> notes;
  SweepHooks hooks;
  hooks.take = [](std::size_t, const ItemResult&) {};
  hooks.on_note = [&](const std::string& text) { notes.push_back(text); };
  hooks.stop = &never;
  job.wires->cut(1, true);
  job.first->begin("squares", numbers(200), 1, hooks);
  std::string failure;
  try {
    job.first->end();
  } catch (const Error& error) {
    failure = error.what();
  }
  CHECK(failure.starts_with("rank 1 on node1 has been silent for"));
  REQUIRE(notes.size() == 1);
  CHECK(notes[0].starts_with("warning: rank 1 on node1 has been silent for"));
  job.first->cancel();
  job.wires->cut(1, false);  // or it could not say goodbye, and all processes would be ended
  job.finish(1);
}
