#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "optimizers/schedule.h"

namespace lossatlas {

/// The words that decide how the learning rate changes over a run.
class ScheduleWords {
 public:
  /// `unit`: what times are counted in, "epochs" or "steps".
  void add_to(CLI::App& command, const std::string& unit);

  /// The schedule asked for, its length 0. Throws UsageError.
  RateSchedule schedule() const;

 private:
  RateSchedule words_;
  std::string drops_;
  const CLI::Option *drops_option_ = nullptr, *factor_option_ = nullptr;
};

}  // namespace lossatlas
