#include "functions/drawn_ranges.h"

#include <algorithm>

namespace lossatlas {
namespace {

void hold(Interval& interval, double value) {
  interval.low = std::min(interval.low, value);
  interval.high = std::max(interval.high, value);
}

/// How many rows of a descent the picture holds.
std::size_t shown_rows(const Descent& descent, const std::vector<Interval>& usual, bool is_known) {
  constexpr std::size_t kShown = 6;  // rows of a descent that diverged
  const bool is_short = descent.end == DescentEnd::diverged;
  const std::size_t rows = is_short ? std::min(kShown, descent.value.size()) : descent.value.size();
  if (!is_short && !is_known) return rows;
  for (std::size_t row = 0; row < rows; ++row) {
    for (std::size_t i = 0; i < usual.size(); ++i) {
      const auto& [low, high] = usual[i];
      const double reach = is_known ? high - low : 10 * (1 + std::max(std::abs(low), std::abs(high)));
      const double value = descent.position[row * usual.size() + i];
      if (value < low - reach || value > high + reach) return row;
    }
  }
  return rows;
}

}  // namespace

std::vector<Interval> drawn_ranges(const std::vector<Descent>& descents, const std::vector<std::vector<double>>& marked,
                                   const NamedFunction* known, std::size_t variables) {
  std::vector<Interval> usual(variables);
  for (std::size_t i = 0; i < variables; ++i) {
    for (const auto& point : marked) hold(usual[i], point[i]);
    if (!known) continue;
    for (const double end : known->domain[i]) hold(usual[i], end);
  }
  std::vector<Interval> held = usual;
  for (const Descent& descent : descents) {
    const std::size_t rows = shown_rows(descent, usual, known != nullptr);
    for (std::size_t at = 0; at < rows * variables; ++at) hold(held[at % variables], descent.position[at]);
  }
  for (std::size_t i = 0; i < variables; ++i) {
    auto& [low, high] = held[i];
    const bool is_usual = known && low == usual[i].low && high == usual[i].high;
    const double margin = is_usual ? 0 : high > low ? 0.15 * (high - low) : 1;
    held[i] = {low - margin, high + margin};
  }
  return held;
}

}  // namespace lossatlas
