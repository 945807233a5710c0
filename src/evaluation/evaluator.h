#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/instruction_set.h"
#include "data/data_set.h"
#include "evaluation/loss.h"
#include "evaluation/objective.h"
#include "evaluation/samples.h"
#include "models/spec.h"
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

struct EngineOptions {
  NetworkSpec network;
  LossFunction loss = LossFunction::cross_entropy;
  std::int64_t batch_size = 128;  // images in one forward pass; the last bits of a loss depend on it
  std::int64_t population = 0;    // images in the whole split, for the standard errors; 0: the data set's own
  EngineChoice engine = EngineChoice::automatic;
  InstructionSet instruction_set = best_instruction_set();  // of the fused engine on the CPU
  Precision precision = Precision::fp32;                    // of its products; others than fp32 want the fused engine
  Extras extras = {};
  /// Training images from which batch-norm statistics are estimated anew at each point; null: they are as stored.
  std::shared_ptr<const DataSet> recalibration = nullptr;
  /// Images of a second split, evaluated at each point after the engine's own; null: none. Their values stand in
  /// Evaluation::second.
  std::shared_ptr<const DataSet> second = nullptr;
  std::int64_t second_population = 0;  // images in the whole second split; 0: the data set's own
};

/// What keeps the fused engine from a network: "the operator aten::…"; "" if nothing does. Costs as much as an Engine.
/// Throws as make_network does.
std::string why_not_fused(const NetworkSpec& network);

/// Whether the outputs of a TorchScript network are no logits: in each row of a few images they are 0 or more and sum
/// to 1, as after a softmax.
bool gives_probabilities(const NetworkSpec& network, std::shared_ptr<const DataSet> images);

struct Graph;
class Recalibration;

/// The images that evaluators run the network on.
struct ImageSets {
  std::shared_ptr<const Images> first;
  std::shared_ptr<const Images> second;  // null: none
};

/// What landscapes want of a classifier's objective: parameters in, loss and accuracy out. One evaluator a thread;
/// evaluators made by one Engine may run at the same time.
class Evaluator {
 public:
  /// `objective`: of the first set. `recalibration`: estimates the statistics where the options ask for it, else null.
  Evaluator(const EngineOptions& options, ImageSets images, std::unique_ptr<Objective> objective,
            std::unique_ptr<Recalibration> recalibration);
  ~Evaluator();

  /// The mean loss over the engine's images at these parameters and batch-norm statistics (batch norm in evaluation
  /// mode; where the options ask for it, with statistics estimated anew for these parameters). Tensors: names, order
  /// and shapes of state_of(network), float32, contiguous, on the engine's device.
  Evaluation evaluate(const NetworkTensors& state);
  /// The same over the first sizes[0], sizes[1], … images, each with all of the second set; sizes ascend. `each`: what
  /// single images of the first set give is added to it; may be null.
  std::vector<Evaluation> evaluate(const NetworkTensors& state, std::span<const std::int64_t> sizes,
                                   ImageResults* each = nullptr);

 private:
  void add_second(std::vector<Evaluation>& results);

  EngineOptions options_;
  ImageSets images_;
  std::unique_ptr<Objective> objective_;
  std::unique_ptr<Recalibration> recalibration_;
};

/// What the evaluators of all threads share.
class Engine {
 public:
  /// Throws Error where the data do not fit the network, where the network draws random numbers, or where the fused
  /// engine is demanded and cannot run it.
  Engine(EngineOptions options, std::shared_ptr<const DataSet> data, at::Device device);

  /// The same engine with batch-norm statistics as they are stored and without extras; nothing is recompiled.
  Engine plain() const;
  /// The same engine on other images of the same kind; nothing is recompiled.
  Engine with_images(std::shared_ptr<const DataSet> data) const;

  std::unique_ptr<Evaluator> make_evaluator() const;
  /// The network with the criterion of the options, over the first set.
  std::unique_ptr<Objective> make_objective() const;
  const DataSet& data() const { return images_.first->data(); }
  at::Device device() const { return device_; }
  const EngineOptions& options() const { return options_; }
  /// Images of the first set, and of both.
  std::int64_t images() const { return images_.first->size(); }
  std::int64_t images_per_point() const { return images() + (images_.second ? images_.second->size() : 0); }
  bool is_fused() const { return graph_ != nullptr; }
  bool recalibrates_fused() const { return recalibration_graph_ != nullptr; }
  Capabilities capabilities() const;
  /// What the arithmetic runs on, as far as it may change the last bits.
  std::string instruction_set() const;

 private:
  void check_fit(const DataSet& data) const;
  void check_mode();
  void compile();
  std::unique_ptr<Recalibration> make_recalibration() const;

  EngineOptions options_;
  at::Device device_;
  ImageSets images_;
  std::shared_ptr<const Graph> graph_;                // where the engine is fused
  std::shared_ptr<const Graph> recalibration_graph_;  // null: LibTorch recalibrates
  std::string why_not_fused_;
  bool uses_batch_statistics_ = false;
};

}  // namespace lossatlas
