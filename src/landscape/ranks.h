#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "grid/measure.h"

namespace lossatlas {

/// What one item of a sweep gives.
struct ItemResult {
  std::vector<Evaluation> values;  // one; at a point of a surface in levels one for each level, the point's last
  ImageResults images;             // of levels alone
};

/// What whoever carries out a sweep does meanwhile.
struct SweepHooks {
  std::function<void(std::size_t item, ItemResult)> take;  // a result; any thread calls it, several at a time
  const std::atomic<bool>* stop = nullptr;                 // when true: what is under way is the last
  std::function<void()> on_stop;                           // once, when that is seen; may be null
  std::function<void(const std::string&)> on_note;         // a line for people; may be null
};

/// The processes that carry out one job, numbered from 0. Rank 0 does what a process alone does, and hands out items
/// of its sweeps; the others evaluate them. All functions may throw Error for a rank that failed, or fell silent.
/// On ranks but the first, they throw JobEnded when rank 0 has ended the job.
class Ranks {
 public:
  virtual ~Ranks() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  bool is_first() const { return rank() == 0; }
  /// Among the ranks of this machine.
  virtual int local_rank() const = 0;
  /// "rank 3 on node7".
  virtual std::string name(int rank) const = 0;
  /// Points that all ranks together evaluate at a time.
  virtual int threads() const = 0;

  /// On rank 0 the texts of all ranks, its own first; elsewhere nothing, at once. All ranks call it.
  virtual std::vector<std::string> gather(const std::string& text) = 0;
  /// Rank 0's text. All ranks call it.
  virtual std::string broadcast(const std::string& text) = 0;

  // A sweep, on rank 0. Its threads take items like those of other ranks.
  /// Has the other ranks work on `items`, which take so many threads each; `request` says on what. The hooks are called
  /// until end() or cancel() returns.
  virtual void begin(const std::string& request, std::vector<std::size_t> items, int threads_each,
                     const SweepHooks& hooks) = 0;
  /// Waits until all that was handed out came back. Rethrows what a hook threw, and what another rank reported.
  virtual void end() = 0;
  /// After an error of this process: nothing more is handed out, and what comes back is dropped.
  virtual void cancel() = 0;

  // A sweep, on all ranks; from any thread.
  /// The next item for a thread of this rank, which may wait for it; nothing if there will be none.
  virtual std::optional<std::size_t> next() = 0;
  /// Its result. `seconds`: what it took.
  virtual void put(std::size_t item, ItemResult result, double seconds) = 0;

  // A sweep, on the other ranks.
  /// Waits for what rank 0 asks next: the text that it gave to begin(). From then on rank 0 learns of it when
  /// `interrupted` becomes true, and stops.
  virtual std::string next_request(const std::atomic<bool>& interrupted) = 0;
};

/// Rank 0 has ended the job.
struct JobEnded {
  int status = 0;  // of the program, the same on all ranks
};

}  // namespace lossatlas
