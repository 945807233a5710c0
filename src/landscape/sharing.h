#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/process.h"
#include "base/stopwatch.h"
#include "landscape/hand_out.h"
#include "surface/surface.h"

namespace lossatlas {

/// Several processes on one surface, through the file system alone. The folder S.h5.claims/ is made by the first that
/// wants to join the owner of S.h5.lock. When the owner sees it, between two blocks, it opens the rest of the sweep
/// there: from then on each block of the sweep's order goes to the process that makes its claim file (O_EXCL). Joiners
/// keep a file NAME.alive young, so that the owner knows whose blocks it has to do itself.
struct SharingTimes {
  double heartbeat_seconds = 2;
  double stale_seconds = 30;  // without a heartbeat, by the watcher's own clock; a dead process of this host at once
  double poll_seconds = 0.2;
};

/// S.h5.claims
std::filesystem::path claims_of(const std::filesystem::path& surface);

/// Throws Error if that is no folder, or one with files that sharing did not write: it belongs to somebody else.
void check_claims(const std::filesystem::path& folder);

/// Points in one block: few enough that nobody waits long at the end, many enough that files are few.
std::size_t block_size(std::size_t points);

/// The owner's side. next() may be called from any thread, the rest from one.
class SharedSweep : public HandOut {
 public:
  /// `surface`: what is missing now is to be done. Removes what earlier sweeps left in the claims folder.
  SharedSweep(std::filesystem::path file, const Surface& surface, SharingTimes times = {});
  SharedSweep(const SharedSweep&) = delete;
  SharedSweep& operator=(const SharedSweep&) = delete;
  /// Removes the folder: whoever wants to join or to claim another block sees that the sweep is over.
  ~SharedSweep() override;

  /// The next point for this process, until all blocks are given away.
  std::optional<std::size_t> next() override;

  /// To be called when next() has no more: waits for the points that others claimed and adds those of their journals
  /// to the surface. True if some are left to this process, which next() then gives; false when none is missing, or
  /// at `stop`.
  bool wait_for_others(Surface& surface, const std::atomic<bool>& stop);

  /// Adds the points in the journals of joined processes.
  void merge(Surface& surface);
  /// Points that each joined process computed, by "HOST.PID".
  const std::map<std::string, std::size_t>& joined() const { return joined_; }

 private:
  struct Heartbeat {
    std::filesystem::file_time_type last;
    Stopwatch since;
  };

  void take_block();
  void open_to_others();
  bool claim(std::size_t block);
  std::vector<std::size_t> missing(const Surface& surface) const;
  std::vector<std::size_t> left_by_the_dead(const std::vector<std::size_t>& missing);
  bool is_alive(const std::string& name);

  std::filesystem::path file_, folder_;
  SharingTimes times_;
  std::vector<std::size_t> order_;
  std::vector<bool> wanted_;  // missing at the start
  std::size_t block_size_;
  std::mutex mutex_;
  std::deque<std::size_t> queue_;  // points of this process's block
  std::size_t next_block_ = 0;
  bool open_ = false;
  std::map<std::string, Heartbeat> heartbeats_;
  std::map<std::filesystem::path, std::uintmax_t> read_sizes_;  // of journals that were read, then
  std::map<std::string, std::size_t> joined_;
};

/// A joiner's side: there as long as the process takes part.
class JoinedSweep : public HandOut {
 public:
  JoinedSweep(std::filesystem::path file, SharingTimes times = {});
  JoinedSweep(const JoinedSweep&) = delete;
  JoinedSweep& operator=(const JoinedSweep&) = delete;
  ~JoinedSweep() override;

  /// Waits until the owner has opened the sweep. False at `stop`, and where the owner is gone.
  bool wait_until_open(const std::filesystem::path& lock, const std::atomic<bool>& stop);
  /// `surface`: with all points that are there. To be called once, when the sweep is open.
  void begin(const Surface& surface);
  /// The next point, from any thread, until all blocks are given away or the owner has ended the sweep.
  std::optional<std::size_t> next() override;
  /// For this process's journal: S.h5.journal.HOST.PID.
  std::filesystem::path journal() const;

 private:
  void announce();

  std::filesystem::path file_, folder_;
  SharingTimes times_;
  std::string name_;
  std::vector<std::size_t> order_;
  std::vector<bool> wanted_;
  std::size_t block_size_ = 1, next_block_ = 0;
  std::mutex mutex_;
  std::deque<std::size_t> queue_;
  std::jthread heart_;
};

}  // namespace lossatlas
