#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/stopwatch.h"
#include "landscape/hand_out.h"
#include "landscape/ranks.h"
#include "mpi/messages.h"
#include "mpi/transport.h"

namespace lossatlas {

struct RankOptions {
  std::string build;  // of the program: the same on all ranks
  std::string host;   // this one's name
  int threads = 1;    // points that this rank evaluates at a time
  HandOutTimes times = {};
  std::function<void()> on_interrupt = {};  // another rank was interrupted, or the job is over: so is this one
};

/// The ranks of a job behind a transport, which one thread of its own serves: it sends, receives and reports that this
/// rank lives (every 5 s, sooner if the timeout is short) while others compute.
class JobRanks : public Ranks {
 public:
  JobRanks(std::unique_ptr<Transport> transport, RankOptions options);
  JobRanks(const JobRanks&) = delete;
  JobRanks& operator=(const JobRanks&) = delete;
  ~JobRanks() override = default;

  /// The first call on all ranks. Throws Error on rank 0 if one is of another build.
  void meet();

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  int local_rank() const override { return local_rank_; }
  std::string name(int rank) const override;
  int threads() const override { return hand_out_ ? hand_out_->threads() : options_.threads; }
  std::vector<std::string> gather(const std::string& text) override;
  std::string broadcast(const std::string& text) override;
  void begin(const std::string& request, std::vector<std::size_t> items, int threads_each,
             const SweepHooks& hooks) override;
  void end() override;
  void cancel() override;
  std::optional<std::size_t> next() override;
  void put(std::size_t item, ItemResult result, double seconds) override;
  std::string next_request(const std::atomic<bool>& interrupted) override;

  /// The last call. Rank 0: ends the job with this status on all ranks; if one does not answer, all processes end at
  /// once. Others: waits for that, and returns the status. `failure`: the error that ended this rank's work, which rank
  /// 0 reports; "" for none.
  int finish(int status, const std::string& failure = "");

 private:
  /// What rank 0 asks of the others. The next sweep may be asked for before all threads have seen the last one's end.
  struct AskedSweep {
    std::string request;
    std::deque<std::size_t> queue = {};  // items to evaluate
    bool is_ended = false;               // there will be no more
  };

  void serve_transport(std::stop_token stop);
  void receive_all();
  void take_on_first(int from, Message message);
  void take_results(int from, Message message);
  void take_on_others(Message message);
  void call_hook(const std::function<void()>& call);
  void look_at_clock();
  void notice_stop();
  void feed(int rank);
  void send_results();
  void fail(std::exception_ptr failure);
  void send(int to, const Message& message);
  void send_to_others(const Message& message);
  /// Waits until the condition holds. Throws the failure of another rank, and JobEnded.
  template <class Condition>
  void wait_for(std::unique_lock<std::mutex>& lock, const Condition& condition);
  void check_failure() const;
  double now() const { return 1 + clock_.seconds(); }

  const RankOptions options_;
  std::unique_ptr<Transport> transport_;  // after the constructor for its thread alone, until that ended
  const int rank_, size_, local_rank_;
  std::vector<std::string> hosts_;  // [rank]
  const Stopwatch clock_;

  mutable std::mutex mutex_;  // of all that follows, but for what the transport's thread alone uses
  std::condition_variable changed_;
  std::deque<std::pair<int, std::shared_ptr<const std::string>>> outbox_;  // to whom, and the message
  std::vector<std::deque<std::string>> texts_;                             // [rank]: received, for gather and broadcast
  std::exception_ptr failure_;
  // Rank 0.
  std::optional<HandOut> hand_out_;
  bool is_sweeping_ = false, has_stopped_ = false;
  int byes_ = 0;
  // The others.
  std::deque<AskedSweep> asked_;  // the first is under way once next_request() gave it
  bool is_under_way_ = false;
  std::vector<DoneItem> done_;
  std::size_t dropped_ = 0;
  const std::atomic<bool>* interrupted_ = nullptr;
  std::optional<int> over_;  // the job's status

  std::mutex hooks_mutex_;  // held while the transport's thread calls a hook
  SweepHooks hooks_;        // of the sweep under way
  // The transport's thread.
  double spoke_ = 0, looked_ = 0;
  bool has_told_stop_ = false;
  std::jthread thread_;
};

}  // namespace lossatlas
