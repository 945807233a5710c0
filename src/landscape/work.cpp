#include "landscape/work.h"

#include <ATen/Parallel.h>
#include <omp.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <optional>
#include <utility>

#include "base/stopwatch.h"

namespace lossatlas {
namespace {

/// Threads that evaluate items until `next` has no more.
class Crew {
 public:
  using Next = std::function<std::optional<std::size_t>()>;
  using Put = std::function<void(std::size_t item, ItemResult result, double seconds)>;

  Crew(const Work& work, Next next, Put put) : work_(work), next_(std::move(next)), put_(std::move(put)) {}

  void run() {
    const int threads = std::max(1, work_.threads / std::max(1, work_.threads_each));
    const int levels = omp_get_max_active_levels();
    if (work_.threads_each > 1) omp_set_max_active_levels(2);  // for the threads of an item
    const int operator_threads = at::get_num_threads();
    at::set_num_threads(1);
#pragma omp parallel num_threads(threads)
    work();
    omp_set_max_active_levels(levels);
    at::set_num_threads(operator_threads);
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  void work() {
    try {
      at::set_num_threads(1);  // the setting is a thread's own where OpenMP runs the operators
      EvaluateItem evaluate;
      while (!has_failed_) {
        const auto item = next_();
        if (!item) break;
        if (!evaluate) evaluate = work_.on_thread();
        const Stopwatch watch;
        ItemResult result = evaluate(*item);
        put_(*item, std::move(result), watch.seconds());
      }
    } catch (...) {
      const std::scoped_lock lock(mutex_);
      if (!failure_) failure_ = std::current_exception();
      has_failed_ = true;
    }
  }

  const Work& work_;
  const Next next_;
  const Put put_;
  std::atomic<bool> has_failed_{false};
  std::mutex mutex_;
  std::exception_ptr failure_;
};

void carry_out_alone(const Work& work, const std::vector<std::size_t>& items, const SweepHooks& hooks) {
  std::atomic<std::size_t> next{0};
  const auto take_next = [&]() -> std::optional<std::size_t> {
    if (hooks.stop && *hooks.stop) return std::nullopt;
    const std::size_t at = next++;
    return at < items.size() ? std::optional(items[at]) : std::nullopt;
  };
  Crew(work, take_next, [&](std::size_t item, ItemResult result, double) {
    hooks.take(item, std::move(result));
  }).run();
}

Crew crew_of(const Work& work, Ranks& ranks) {
  return {
      work, [&ranks] { return ranks.next(); },
      [&ranks](std::size_t item, ItemResult result, double seconds) { ranks.put(item, std::move(result), seconds); }};
}

}  // namespace

void carry_out(const Work& work, std::vector<std::size_t> items, Ranks* ranks, const SweepHooks& hooks) {
  if (items.empty()) return;
  if (!ranks) return carry_out_alone(work, items, hooks);
  ranks->begin(work.request, std::move(items), work.threads_each, hooks);
  try {
    crew_of(work, *ranks).run();
    ranks->end();
  } catch (...) {
    ranks->cancel();
    throw;
  }
}

std::optional<std::vector<ItemResult>> collect(const Work& work, const std::vector<std::size_t>& items, Ranks* ranks,
                                               SweepHooks hooks) {
  std::vector<ItemResult> results(items.empty() ? 0 : 1 + *std::max_element(items.begin(), items.end()));
  std::mutex mutex;
  std::size_t done = 0;
  hooks.take = [&](std::size_t item, ItemResult result) {
    const std::scoped_lock lock(mutex);
    results[item] = std::move(result);
    ++done;
  };
  carry_out(work, items, ranks, hooks);
  if (done < items.size()) return std::nullopt;
  return results;
}

void serve(const Work& work, Ranks& ranks) { crew_of(work, ranks).run(); }

}  // namespace lossatlas
