#pragma once

#include <atomic>
#include <cstddef>
#include <functional>

#include "evaluation/evaluator.h"
#include "landscape/plane.h"
#include "landscape/surface.h"

namespace lossatlas {

struct SweepProgress {
  std::size_t done = 0;  // points, those evaluated before this sweep included
  std::size_t total = 0;
  double seconds = 0;  // since the sweep began
  double images_per_second = 0;
  double lowest = 0, highest = 0;  // finite losses so far
};

struct SweepOptions {
  int threads = 1;                                     // one evaluator each; 1 on a CUDA device
  const std::atomic<bool>* stop = nullptr;             // when true: finish the points under way and return
  std::function<void(const SweepProgress&)> on_point;  // after each point; one call at a time
  std::function<void(const Surface&)> on_save;         // every save_seconds, one call at a time
  double save_seconds = 10;
};

struct SweepSummary {
  bool finished = false;  // false: stopped
  double seconds = 0;
  double images_per_second = 0;
};

/// Evaluates every missing point of the surface. Each point is computed by one thread with operators of one thread, so
/// its bits do not depend on the number of threads. Tensors of the plane lie on the engine's device.
SweepSummary sweep(const Plane& plane, const Engine& engine, Surface& surface, const SweepOptions& options);

}  // namespace lossatlas
