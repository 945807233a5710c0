#include "landscape/hand_out.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace lossatlas {
namespace {

constexpr double kMemory = 20;  // items over which a worker's speed is averaged, the last ones most

}  // namespace

HandOut::HandOut(const std::vector<int>& threads, const HandOutTimes& times) : times_(times) {
  for (const int count : threads) {
    workers_.push_back({.threads = static_cast<std::size_t>(std::max(1, count))});
    threads_ += std::max(1, count);
  }
}

void HandOut::start(std::vector<std::size_t> items, int threads_each) {
  items_ = std::move(items);
  next_ = 0;
  for (Worker& worker : workers_) {
    worker.at_a_time = std::max<std::size_t>(1, worker.threads / static_cast<std::size_t>(std::max(1, threads_each)));
    worker.seconds = worker.known = 0;
  }
  rate_ = 0;
}

std::vector<std::size_t> HandOut::take(std::size_t worker, std::size_t most) {
  Worker& to = workers_[worker];
  std::size_t count = to.at_a_time > to.in_hand ? to.at_a_time - to.in_hand : 0;
  if (to.seconds > 0 && to.seconds < times_.long_item) {
    const auto share = static_cast<std::size_t>(std::ceil(times_.request / to.seconds));  // of a thread
    const std::size_t block = share > 1 ? share * to.at_a_time : 1, full = 2 * share * to.at_a_time;
    // Half of this worker's share of what is left, so that all end together.
    const auto fair = static_cast<std::size_t>(static_cast<double>(left()) * rate(to) / (2 * rate_));
    const std::size_t room = full > to.in_hand ? full - to.in_hand : 0;
    if (room >= block) count = std::max(count, std::min(room, fair));
  }
  count = std::min({count, most, left()});
  const auto first = items_.begin() + static_cast<std::ptrdiff_t>(next_);
  std::vector<std::size_t> given(first, first + static_cast<std::ptrdiff_t>(count));
  next_ += count;
  to.in_hand += count;
  in_hand_ += count;
  return given;
}

void HandOut::finish(std::size_t worker, double seconds) {
  drop(worker, 1);
  Worker& from = workers_[worker];
  rate_ -= rate(from);
  from.known = std::min(from.known + 1, kMemory);
  from.seconds += (std::max(seconds, 1e-6) - from.seconds) / from.known;
  rate_ += rate(from);
}

void HandOut::drop(std::size_t worker, std::size_t count) {
  workers_[worker].in_hand -= count;
  in_hand_ -= count;
}

void HandOut::hear(std::size_t worker, double now) {
  workers_[worker].heard = now;
  workers_[worker].is_named = false;
}

std::optional<SilentWorker> HandOut::next_silent(double now) {
  for (std::size_t w = 0; w < workers_.size(); ++w) {
    Worker& worker = workers_[w];
    if (worker.heard <= 0) continue;
    const double silent = now - worker.heard;
    const bool is_lost = silent >= times_.timeout;
    if (!is_lost && (worker.is_named || silent < times_.quiet)) continue;
    worker.is_named = true;
    return SilentWorker{w, silent, is_lost};
  }
  return std::nullopt;
}

}  // namespace lossatlas
