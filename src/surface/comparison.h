#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "surface/surface.h"

namespace lossatlas {

/// A setting that two surfaces do not share; null if one lacks it. Files by their SHA-256.
struct SettingDifference {
  std::string name;
  nlohmann::json first, second;
};

/// Where two values are furthest apart.
struct Furthest {
  double difference = 0;  // 0 where no two finite values differ
  double first = 0, second = 0;
  std::vector<double> at;  // coordinates
};

/// One kind of value, over the points that both surfaces have evaluated.
struct ValueComparison {
  std::size_t points = 0;      // that both have evaluated
  std::size_t other_bits = 0;  // of them, points whose values are not the same bits; all NaN are the same
  std::size_t finite_in_one = 0;
  Furthest absolute;  // |a - b|, of points finite in both
  Furthest relative;  // |a - b| / max(|a|, |b|)
};

/// What differs between two surfaces. Of several repeats their mean is compared; of curves curve with curve, and
/// chord with chord.
struct Comparison {
  std::vector<std::string> axes;            // their names, of the first
  std::vector<SettingDifference> settings;  // axes among them, by name
  ValueComparison loss, accuracy;
  ValueComparison line_loss, line_accuracy;     // of two curves: along the straight lines; else without points
  std::size_t only_first = 0, only_second = 0;  // points that only one has evaluated, or has at all

  /// Same grid and the same bits everywhere; settings may differ.
  bool has_same_values() const;
};

/// All NaN are the same.
bool same_bits(double a, double b);

/// Points belong together where all coordinates are exactly equal.
Comparison compare(const Surface& first, const Surface& second);

nlohmann::ordered_json json_of(const Comparison& comparison);

}  // namespace lossatlas
