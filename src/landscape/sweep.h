#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "evaluation/evaluator.h"
#include "landscape/plane.h"
#include "landscape/sweep_progress.h"
#include "landscape/work.h"
#include "surface/surface.h"

namespace lossatlas {

struct SweepOptions {
  int threads = 1;                               // one evaluator each; at most 2 on a CUDA device
  const std::atomic<bool>* stop = nullptr;       // when true: finish the points under way and return
  Ranks* ranks = nullptr;                        // other processes that take part; null: none
  std::string request = R"({"what":"points"})";  // by which they know the sweep
  std::vector<std::size_t> part = {};            // those that count, in their order; empty: all
  std::optional<std::vector<std::size_t>>
      points;                     // in this order; nothing: each missing one of the part, coarse to fine
  std::function<void()> on_stop;  // once, when `stop` is seen while other ranks work
  std::function<void(const std::string&)> on_note;  // a line on other ranks
  /// Of a surface in levels: takes what single images give at a point, in place of the surface; one call at a time.
  std::function<void(std::size_t index, ImageResults)> on_images;
  /// May restate the value of a level from the losses of its images, before it is taken. Any thread calls it.
  std::function<void(std::size_t level, std::span<const double> losses, Evaluation&)> on_level;
  /// Each point as soon as it is evaluated; one call at a time. What it throws ends the sweep.
  std::function<void(std::size_t index, const Evaluation&)> on_evaluated;
  std::function<void(const SweepProgress&)> on_point;  // after that; one call at a time
  /// Every save_seconds, more often at first; one call at a time.
  std::function<void()> on_save;
  double save_seconds = 10;
};

struct SweepSummary {
  bool finished = false;  // none of the points is missing
  std::size_t computed = 0;
  double seconds = 0;
  double images_per_second = 0;
};

/// All points of the grid, coarse to fine, the origin first; the middle first where the grid does not hold it. Of all
/// members, step by step.
std::vector<std::size_t> sweep_order(const Surface& surface);

/// The evaluation of single points, by their index in the surface, of which only grid and form count. All arguments
/// outlive it.
Work surface_work(const Planes& planes, const Engine& engine, const Surface& surface, int threads);

/// Evaluates every missing point of the surface, or of options.part. Each point is computed by one thread with
/// operators of one thread, so its bits do not depend on the number of threads. Tensors of the origin lie on the
/// engine's device.
SweepSummary sweep(const Planes& planes, const Engine& engine, Surface& surface, const SweepOptions& options);

}  // namespace lossatlas
