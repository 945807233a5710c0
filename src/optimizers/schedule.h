#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace lossatlas {

/// How the learning rate changes over a run. Times are in epochs, or in steps if there are none (descend).
struct RateSchedule {
  std::string name = "steps";       // one of schedule_names()
  std::vector<std::int64_t> drops;  // steps: after these times the rate is multiplied by drop_factor
  double drop_factor = 0.1;         // > 0
  double warmup = 0;                // W ≥ 0: until then the rate rises linearly
  std::int64_t length = 0;          // cosine: T > W, the time at which the rate reaches 0
};

/// steps, cosine.
const std::vector<std::string>& schedule_names();

/// Throws UsageError naming the option for an unknown name.
void check_name(const RateSchedule& schedule);

/// Throws UsageError if the warm-up is not shorter than what `option` says.
void check_warmup(const RateSchedule& schedule, const std::string& option, std::int64_t end);

/// The learning rate of a step, counted from 0, where the one asked for is `rate`, and a unit of time is `unit` steps.
/// In steps, with W and T as above:
///   steps   rate · drop_factor for each time that is over
///   cosine  rate · (1 + cos(π (step − W) / (T − W))) / 2 from W on (Loshchilov & Hutter 2017, equation 5, without
///           restarts; PyTorch's CosineAnnealingLR with T_max T − W)
/// both · (step + 1) / W before W (PyTorch's LinearLR with start_factor 1/W and total_iters W − 1).
double rate_at(const RateSchedule& schedule, double rate, std::int64_t step, std::int64_t unit = 1);

}  // namespace lossatlas
