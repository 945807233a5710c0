#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "landscape/ranks.h"

namespace lossatlas {

/// Evaluates one item of some work. A thread makes its own.
using EvaluateItem = std::function<ItemResult(std::size_t item)>;

/// Items that are evaluated one by one, each by one thread with operators of one thread, or by several that it starts
/// itself: their bits depend neither on the number of threads nor on the process.
struct Work {
  std::string request;  // by which other ranks know it (Ranks::next_request)
  std::function<EvaluateItem()> on_thread;
  int threads = 1;       // of this process
  int threads_each = 1;  // of an item; as many are evaluated at a time as there are threads for, one at least
};

/// Evaluates all items, in their order as far as threads allow, on this process's threads and, if `ranks` is not null,
/// on the other ranks'. Rethrows what an evaluation or a hook threw first, after the items under way.
/// `hooks`: take is called by any thread, by several at a time.
void carry_out(const Work& work, std::vector<std::size_t> items, Ranks* ranks, const SweepHooks& hooks);

/// The same, and the result of each item at its number; nothing if it was stopped before all were there. hooks.take is
/// not called.
std::optional<std::vector<ItemResult>> collect(const Work& work, const std::vector<std::size_t>& items, Ranks* ranks,
                                               SweepHooks hooks);

/// On ranks but the first: evaluates the items of one sweep that rank 0 hands out.
void serve(const Work& work, Ranks& ranks);

}  // namespace lossatlas
