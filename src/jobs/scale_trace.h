#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "curvature/curvature_file.h"
#include "evaluation/evaluator.h"
#include "models/state.h"

namespace lossatlas {

struct ScaleTraceOptions {
  std::size_t probes = 0;
  double step = 0;  // h; 0: such that ‖h v‖ = 0.03 ‖θ‖
  std::uint64_t seed = 0;
  int threads = 1;
  const std::atomic<bool>* stop = nullptr;
};

/// The trace at scale h, by 2 probes + 1 evaluations of the loss: the mean of D_v(h) = [L(θ + h v) - 2 L(θ) + L(θ - h
/// v)] / h² over random signs v (Hutchinson 1989). `places`: of the parameters that move. The bits do not depend on the
/// number of threads. Nothing if it was stopped.
std::optional<ScaleTrace> scale_trace(const NetworkState& point, const std::vector<std::size_t>& places,
                                      const Engine& engine, const ScaleTraceOptions& options);

}  // namespace lossatlas
