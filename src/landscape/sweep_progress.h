#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace lossatlas {

struct SweepProgress {
  std::size_t done = 0;      // points, those evaluated before this sweep included
  std::size_t computed = 0;  // points of this sweep
  std::size_t total = 0;
  double seconds = 0;  // since the sweep began
  double images_per_second = 0;
  double lowest = 0, highest = 0;  // finite losses so far
  // Of a surface in levels, whose points do not cost alike; images_total is 0 for others, and before the pilot's end.
  std::int64_t images = 0, images_total = 0;  // image evaluations: those done, and those predicted
  std::string_view sample = "image";          // what is evaluated
  std::optional<double> error = {};           // of log loss over its range, the largest expected so far

  /// At the speed so far; not a number before the first point.
  double seconds_left() const;
};

}  // namespace lossatlas
