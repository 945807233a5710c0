#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "curvature/curvature_file.h"
#include "curvature/lanczos.h"
#include "evaluation/loss_products.h"
#include "jobs/observer.h"
#include "jobs/outcome.h"

namespace lossatlas {

/// A curvature that is to be computed into a file.
struct CurvatureJob {
  std::filesystem::path out;
  CurvatureRecord record;  // what is known beforehand: settings, samples, threshold
  LanczosOptions lanczos;
  std::size_t trace_probes = 0, density_probes = 0, density_steps = 0;
  bool has_diagonal = false;
  std::function<std::optional<ScaleTrace>()> find_scale_trace;  // without probes: not asked for; nothing: stopped
  std::uint64_t seed = 0;
  bool resume = false, force = false;
  std::string introduction;
  std::string again;                                    // what people type to continue
  std::function<void(const Eigenpairs&)> save_vectors;  // called at the end
  std::string_view sample = "image";
  std::function<LossProducts(std::function<void()> on_batch)> make_products;  // they stop as the observer asks
};

/// Computes loss and gradient, eigenpairs, trace and density in turn. The file is there from the first moment and
/// complete after each stage; products since are kept in the journal next to it. Throws Error, also if another process
/// writes the file.
Outcome run_curvature(CurvatureJob job, Observer& observer);

/// Bytes of memory that the vectors of the algorithms take, at most.
double memory_of_vectors(std::size_t size, const LanczosOptions& lanczos, std::size_t density_steps);

/// Throws UsageError if that is more than the machine has. `asked`: what asks for
/// them, as in "`top` 5".
void check_memory_of_vectors(std::size_t size, const LanczosOptions& lanczos, std::size_t density_steps,
                             const std::string& asked);

}  // namespace lossatlas
