#pragma once

#include <fmt/format.h>

#include <cstdint>

#include "evaluation/evaluator.h"
#include "jobs/observer.h"

namespace lossatlas {

/// Notes that an engine's batches have become smaller because they did not fit into memory. Both outlive it.
class BatchNote {
 public:
  BatchNote(const Engine& engine, Observer& observer)
      : engine_(engine), observer_(observer), known_(engine.batch_size()) {}

  /// To be called where the observer may be.
  void look() {
    const std::int64_t now = engine_.batch_size();
    if (now == known_) return;
    known_ = now;
    observer_.on_note(
        fmt::format("note: out of memory; batches of {0} from here on, whose last bits may differ (`batch_size` {0} "
                    "does so from the "
                    "start)",
                    now));
  }

 private:
  const Engine& engine_;
  Observer& observer_;
  std::int64_t known_;
};

}  // namespace lossatlas
