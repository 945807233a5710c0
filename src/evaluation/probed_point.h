#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "models/state.h"

namespace lossatlas {

/// Points θ + c v of a state, v random signs of its parameters: what the trace at scale h is measured at.
class ProbedPoint {
 public:
  /// `places`: of the parameters that move; empty: all.
  explicit ProbedPoint(const NetworkTensors& centre, std::vector<std::size_t> places = {});

  /// How many numbers move.
  std::size_t size() const { return size_; }
  /// h such that ‖h v‖ is this share of ‖θ‖, θ all parameters.
  double step(double share) const;
  /// The state at θ + c v, v stream `probe` of the seed; on the CPU, until the next call.
  const NetworkState& at(std::uint64_t seed, std::size_t probe, double c);

 private:
  NetworkState centre_, moved_;  // on the CPU
  std::vector<std::size_t> places_;
  std::size_t size_ = 0;
};

}  // namespace lossatlas
