#pragma once

#include <cstddef>
#include <limits>
#include <optional>
#include <vector>

namespace lossatlas {

struct HandOutTimes {
  double request = 0.1;  // seconds of work that what is given at a time should hold
  double long_item = 1;  // seconds: longer items are not given before a thread is free
  double quiet = 60;     // seconds without a word before a worker is named
  double timeout = 600;  // and before it is given up
};

/// A worker that has said nothing for some time.
struct SilentWorker {
  std::size_t worker = 0;
  double seconds = 0;
  bool is_lost = false;  // beyond `timeout`
};

/// Gives the items of a list, in its order, to workers: the threads of this process, and other processes. Each item is
/// given once. A worker has as many items in hand as it has threads, and of short items more, so that no thread waits
/// for a message; how long a worker takes for one is learnt from what it returns. Near the end of the list nobody gets
/// items ahead. Knows no clock: the caller says what time it is, in seconds. O(1) a call, but for next_silent. Not for
/// several threads at once.
class HandOut {
 public:
  /// threads[w]: how many items worker w evaluates at a time, at least 1.
  explicit HandOut(const std::vector<int>& threads, const HandOutTimes& times = {});

  /// A new list, of items that take so many threads each. None of the last one may be in hand; how long its items took
  /// is forgotten.
  void start(std::vector<std::size_t> items, int threads_each = 1);
  /// Items for a worker, at most `most`; none if it has enough for now, or if all are given.
  std::vector<std::size_t> take(std::size_t worker, std::size_t most = std::numeric_limits<std::size_t>::max());
  /// The worker returned an item, which took one of its threads `seconds`.
  void finish(std::size_t worker, double seconds);
  /// What is not given yet will not be.
  void drop_rest() { next_ = items_.size(); }
  /// `count` items in the worker's hands will not be evaluated.
  void drop(std::size_t worker, std::size_t count);

  /// The worker was heard of.
  void hear(std::size_t worker, double now);
  /// The next worker to be named as silent, each once a silence; or one that is lost.
  std::optional<SilentWorker> next_silent(double now);

  std::size_t left() const { return items_.size() - next_; }  // not given yet
  std::size_t in_hand() const { return in_hand_; }            // of all workers
  std::size_t in_hand(std::size_t worker) const { return workers_[worker].in_hand; }
  int threads() const { return threads_; }  // of all workers

 private:
  struct Worker {
    std::size_t threads = 1;
    std::size_t at_a_time = 1;  // items
    double seconds = 0;         // of an item; 0: not known yet
    double known = 0;           // items from which it is known
    std::size_t in_hand = 0;
    double heard = 0;  // when it was last heard of; 0: never, which is no silence
    bool is_named = false;
  };

  /// Items a second, as far as it is known.
  static double rate(const Worker& worker) {
    return worker.seconds > 0 ? static_cast<double>(worker.at_a_time) / worker.seconds : 0;
  }

  HandOutTimes times_;
  std::vector<Worker> workers_;
  std::vector<std::size_t> items_;
  std::size_t next_ = 0, in_hand_ = 0;
  double rate_ = 0;  // of all workers
  int threads_ = 0;
};

}  // namespace lossatlas
