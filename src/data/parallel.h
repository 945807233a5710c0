#pragma once

#include <cstdint>
#include <functional>

namespace lossatlas {

/// Does items 0 … count - 1, each once, in about this order.
using Worker = std::function<void(std::int64_t item)>;

/// Runs a worker on each usable processor. After an exception no more items begin; that of the first item that threw
/// one leaves, once all threads have ended. `on_progress` hears after each item, from one thread at a time; it may be
/// empty.
void run_parallel(std::int64_t count, const std::function<Worker()>& make_worker,
                  const std::function<void(std::int64_t done, std::int64_t all)>& on_progress = {});

}  // namespace lossatlas
