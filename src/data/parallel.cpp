#include "data/parallel.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <limits>
#include <mutex>
#include <thread>
#include <vector>

#include "base/processors.h"

namespace lossatlas {

void run_parallel(std::int64_t count, const std::function<Worker()>& make_worker,
                  const std::function<void(std::int64_t, std::int64_t)>& on_progress) {
  std::atomic<std::int64_t> next = 0;
  std::mutex mutex;  // of what follows
  std::int64_t done = 0, failed = std::numeric_limits<std::int64_t>::max();
  std::exception_ptr failure;
  const auto run = [&] {
    std::int64_t item = 0;
    try {
      const Worker work = make_worker();
      while ((item = next++) < count) {
        work(item);
        const std::lock_guard lock(mutex);
        ++done;
        if (on_progress) on_progress(done, count);
      }
    } catch (...) {
      next = count;
      const std::lock_guard lock(mutex);
      if (item < failed) failed = item, failure = std::current_exception();
    }
  };
  {
    std::vector<std::jthread> threads;
    const std::int64_t wanted = std::min<std::int64_t>(usable_processors(), count);
    for (std::int64_t i = 1; i < wanted; ++i) threads.emplace_back(run);
    run();
  }
  if (failure) std::rethrow_exception(failure);
}

}  // namespace lossatlas
