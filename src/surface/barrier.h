#pragma once

#include <nlohmann/json.hpp>
#include <span>

namespace lossatlas {

struct Surface;

/// What a way from one network to another has to climb.
struct Barrier {
  double first = 0, last = 0;  // values at its ends, t = 0 and 1
  double highest = 0, at = 0;  // on it, ends included, and where
  double height = 0;           // highest − mean of the ends (Frankle et al. 2020, arXiv 1912.05671, section 2)
};

/// Of values at `t`, those outside 0 … 1 passed over; a value that is not finite is higher than all others.
Barrier barrier_of(std::span<const double> t, std::span<const double> values, double first, double last);

/// {"ends": [first, last], "highest", "at", "barrier"}.
nlohmann::ordered_json json_of(const Barrier& barrier);

/// Along a line from one checkpoint to another, of its values at 0 and 1 and between them: train_loss, train_err (error
/// in percent), and of both splits test_loss, test_err. An end that is not among the points has the plane_loss of its
/// marked point. Null for any other surface, and while a value is missing.
nlohmann::ordered_json interpolation_json(const Surface& surface);

}  // namespace lossatlas
