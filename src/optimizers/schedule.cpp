#include "optimizers/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/error.h"
#include "base/text.h"

namespace lossatlas {

const std::vector<std::string>& schedule_names() {
  static const std::vector<std::string> names{"steps", "cosine"};
  return names;
}

void check_name(const RateSchedule& schedule) { check_known("`lr_schedule`", schedule.name, schedule_names()); }

void check_warmup(const RateSchedule& schedule, const std::string& option, std::int64_t end) {
  if (schedule.warmup == 0 || schedule.warmup < static_cast<double>(end)) return;
  throw UsageError("`warmup` {}: must be shorter than {} {}", schedule.warmup, option, end);
}

double rate_at(const RateSchedule& schedule, double rate, std::int64_t step, std::int64_t unit) {
  const auto now = static_cast<double>(step), steps = static_cast<double>(unit);
  const double warmup = schedule.warmup * steps;
  if (schedule.name == "cosine") {
    const double length = static_cast<double>(schedule.length) * steps;
    const double part = std::clamp((now - warmup) / (length - warmup), 0.0, 1.0);
    rate *= (1 + std::cos(std::numbers::pi * part)) / 2;
  } else {
    for (const std::int64_t drop : schedule.drops) rate *= step / unit >= drop ? schedule.drop_factor : 1;
  }
  return now + 1 < warmup ? rate * (now + 1) / warmup : rate;
}

}  // namespace lossatlas
