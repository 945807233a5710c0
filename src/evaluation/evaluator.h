#pragma once

#include <ATen/core/Tensor.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/instruction_set.h"
#include "evaluation/loss.h"
#include "evaluation/objective.h"
#include "evaluation/problem.h"
#include "evaluation/samples.h"
#include "models/state.h"

namespace lossatlas {

enum class EngineChoice {
  automatic,  // fused wherever the network allows it
  eager,      // LibTorch, operator by operator
  fused,      // compiled once for the network: kernels of our own on the CPU, cuDNN's fused ones on CUDA
};

std::string_view name_of(EngineChoice choice);
/// Throws UsageError for a name that is not "auto", "eager" or "fused".
EngineChoice engine_of(const std::string& name);

/// The trace of the loss's second derivatives at scale h, measured at each point by 2 probes + 1 evaluations: the mean
/// of [L(θ + h v) - 2 L(θ) + L(θ - h v)] / h² over random signs v of all parameters, the same at every point.
struct ScaleTraceProbes {
  std::size_t count = 0;  // 0: not measured
  double step = 0;        // h, above 0
};

struct EngineOptions {
  std::int64_t batch_size = 128;  // samples in one run of the network; the last bits of a loss depend on it
  EngineChoice engine = EngineChoice::automatic;
  InstructionSet instruction_set = best_instruction_set();  // of the fused engine on the CPU
  Precision precision = Precision::fp32;  // of its products; others than fp32 require the fused engine
  double weight_decay = 0;                // λ: the L2 term is measured where it is above 0
  ScaleTraceProbes scale_trace = {};      // over the first samples
};

/// The kind of measure that the trace at scale h is.
inline constexpr std::string_view kScaleTrace = "scale_trace";

/// The samples of an engine, all of one kind.
struct EngineSamples {
  std::shared_ptr<const SampleSource> first;
  std::int64_t population = 0;  // samples in the whole split, for the standard errors; 0: those of `first`
  /// Of a second split, evaluated at each point after the first; null: none. Their values are in Evaluation::second.
  std::shared_ptr<const SampleSource> second = nullptr;
  std::int64_t second_population = 0;
  /// Of the training split, from which batch-norm statistics are estimated again at each point; null: they are as
  /// stored.
  std::shared_ptr<const SampleSource> recalibration = nullptr;
};

/// Parameters in, the measures of a problem out. One evaluator a thread; evaluators made by one Engine may run at the
/// same time.
class Evaluator {
 public:
  /// `objective`: of the first samples. `recalibration`: estimates the statistics where the samples ask for it, else
  /// null. `most`: the batch size that fits into memory, as far as the evaluators that share it know; null
  /// if batches cannot be halved.
  Evaluator(const EngineOptions& options, EngineSamples samples, std::unique_ptr<Objective> objective,
            std::unique_ptr<Recalibration> recalibration, std::shared_ptr<std::atomic<std::int64_t>> most);
  ~Evaluator();

  /// The mean loss over the engine's samples at these parameters and batch-norm statistics (batch norm in evaluation
  /// mode; where the samples ask for it, with statistics estimated again for these parameters). Tensors: names, order
  /// and shapes of the network's state, float32, contiguous, on the engine's device.
  Evaluation evaluate(const NetworkTensors& state);
  /// The same over the first sizes[0], sizes[1], … samples, each with all of the second set; sizes ascend. `each`: what
  /// single samples of the first set give is added to it; may be null. If a batch does not fit into the memory of a
  /// CUDA device, all is done again with batches of half the size.
  std::vector<Evaluation> evaluate(const NetworkTensors& state, std::span<const std::int64_t> sizes,
                                   ImageResults* each = nullptr);

 private:
  std::vector<Evaluation> evaluate_once(const NetworkTensors& state, std::span<const std::int64_t> sizes,
                                        ImageResults* each);
  void halve_batches();
  double scale_trace(const NetworkTensors& state, double loss);
  void add_second(std::vector<Evaluation>& results);

  EngineOptions options_;
  EngineSamples samples_;
  std::unique_ptr<Objective> objective_;
  std::unique_ptr<Recalibration> recalibration_;
  std::shared_ptr<std::atomic<std::int64_t>> most_;
};

/// What the evaluators of all threads share.
class Engine {
 public:
  /// Throws Error if the samples do not fit the network, or if the fused engine is demanded and cannot run it.
  Engine(std::shared_ptr<const Problem> problem, EngineSamples samples, const EngineOptions& options,
         at::Device device);

  /// The same engine with batch-norm statistics as they are stored, without the L2 term and the trace at scale h;
  /// nothing is recompiled.
  Engine plain() const;
  /// The same engine on the first samples alone, in fp32, without the L2 term and the trace at scale h: for differences
  /// of losses.
  Engine for_differences() const;
  /// The same engine, which measures the trace at scale h as well (kScaleTrace).
  Engine with_scale_trace(const ScaleTraceProbes& probes) const;
  /// The same engine on other samples in the place of the first; nothing is recompiled.
  Engine with_samples(std::shared_ptr<const SampleSource> samples) const;

  std::unique_ptr<Evaluator> make_evaluator() const;
  /// The problem's, over the first samples.
  std::unique_ptr<Objective> make_objective() const;
  const Problem& problem() const { return *problem_; }
  const SampleSource& data() const { return *samples_.first; }
  const EngineSamples& samples() const { return samples_; }
  at::Device device() const { return device_; }
  const EngineOptions& options() const { return options_; }
  /// Samples in one run of the network: as in the options, or fewer since a batch did not fit into memory.
  std::int64_t batch_size() const { return most_ ? most_->load() : options_.batch_size; }
  /// Samples of the first set, and of both.
  std::int64_t images() const { return samples_.first->size(); }
  std::int64_t images_per_point() const { return images() + (samples_.second ? samples_.second->size() : 0); }
  bool is_fused() const { return fused_.graph != nullptr; }
  bool recalibrates_fused() const { return recalibration_graph_ != nullptr; }
  Capabilities capabilities() const;
  /// What the arithmetic runs on, as far as it may change the last bits.
  std::string instruction_set() const;

 private:
  void compile();
  std::unique_ptr<Recalibration> make_recalibration() const;

  std::shared_ptr<const Problem> problem_;
  EngineSamples samples_;
  EngineOptions options_;
  at::Device device_;
  FusedPart fused_;                                   // where the engine is fused
  std::shared_ptr<const Graph> recalibration_graph_;  // null: LibTorch recalibrates
  std::string why_not_fused_;
  std::shared_ptr<std::atomic<std::int64_t>> most_;  // as in Evaluator
};

}  // namespace lossatlas
