#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "curvature/curvature_file.h"
#include "evaluation/evaluator.h"
#include "landscape/work.h"
#include "models/state.h"

namespace lossatlas {

struct ScaleTraceOptions {
  std::size_t probes = 0;
  double step = 0;  // h; 0: such that ‖h v‖ = 0.03 ‖θ‖
  std::uint64_t seed = 0;
  int threads = 1;
  SweepHooks hooks = {};   // stop and on_note alone
  Ranks* ranks = nullptr;  // that evaluate it together; null: this process alone
};

/// The evaluations of a trace at scale h: by this, other ranks know it and serve it.
inline constexpr auto kScaleTraceRequest = "scale trace";
Work scale_trace_work(const NetworkState& point, const std::vector<std::size_t>& places, const Engine& engine,
                      const ScaleTraceOptions& options);

/// The trace at scale h, by 2 probes + 1 evaluations of the loss: the mean of D_v(h) = [L(θ + h v) - 2 L(θ) + L(θ - h
/// v)] / h² over random signs v (Hutchinson 1989). `places`: of the parameters that move. The bits do not depend on the
/// number of threads. Nothing if it was stopped.
std::optional<ScaleTrace> scale_trace(const NetworkState& point, const std::vector<std::size_t>& places,
                                      const Engine& engine, const ScaleTraceOptions& options);

}  // namespace lossatlas
