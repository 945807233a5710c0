#include "evaluation/graph_problem.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <utility>

#include "base/error.h"
#include "evaluation/engines/eager.h"
#include "evaluation/engines/fused.h"
#include "fused/lowering.h"
#include "programs/graph_cut.h"

namespace lossatlas {
namespace {

/// Whether losses of this name are in nats.
bool is_in_nats(const std::string& loss) {
  return loss == "cross-entropy" || loss == "next-token" || loss == "bce-with-logits";
}

/// Outputs [N] of a graph beside one another, [N, outputs] in double.
at::Tensor columns_of(std::vector<at::Tensor> outputs) {
  for (at::Tensor& output : outputs) output = output.to(at::kDouble);
  return at::stack(outputs, 1);
}

/// The outputs of a graph as they are: losses, measures and perhaps weights.
class OutputCriterion : public Criterion {
 public:
  explicit OutputCriterion(const ProblemFile& file) {
    for (std::size_t i = 0; i < file.outputs().size(); ++i) {
      const std::string& name = file.outputs()[i];
      if (name == "weight") {
        weight_ = static_cast<std::int64_t>(i);
        continue;
      }
      const bool is_share = name == "accuracy";
      measures_.push_back({name, std::string(is_share                                    ? kPercent
                                             : name == "loss" && is_in_nats(file.loss()) ? kNats
                                                                                         : "")});
      columns_.push_back(static_cast<std::int64_t>(i));
    }
  }

  const std::vector<Measure>& measures() const override { return measures_; }

  at::Tensor losses(const at::Tensor& outputs, const Batch&) const override { return outputs.select(1, 0); }

  at::Tensor weights(const at::Tensor& outputs, const Batch& batch) const override {
    const at::Tensor given = Criterion::weights(outputs, batch);
    if (weight_ < 0) return given;
    const at::Tensor own = outputs.select(1, weight_).detach();
    return given.defined() ? at::where(given.ne(0), own, 0) : own;
  }

  void add(const at::Tensor& outputs, const Batch& batch, Tally& tally) const override {
    const at::Tensor all = outputs.to(at::kCPU).contiguous();
    const auto rows = all.accessor<double, 2>();
    const std::vector<double> given = weights_of(batch);
    for (std::int64_t i = 0; i < rows.size(0); ++i) {
      if (!given.empty() && given[static_cast<std::size_t>(i)] == 0) continue;  // padding
      const double weight = weight_ < 0 ? 1 : rows[i][weight_];
      if (!(weight >= 0) || std::isinf(weight))
        throw Error("the weight of a sample is {}, not a number from 0 on", weight);
      for (std::size_t m = 0; m < columns_.size(); ++m) tally.add(m, rows[i][columns_[m]], weight);
    }
  }

 private:
  std::vector<Measure> measures_;
  std::vector<std::int64_t> columns_;  // of the measures, among the outputs
  std::int64_t weight_ = -1;           // its column
};

/// The loss of a graph that was cut: of logits.
class LogitsCriterion : public Criterion {
 public:
  LogitsCriterion(std::shared_ptr<const ProblemFile> file, ExportedGraph loss)
      : file_(std::move(file)), loss_(std::move(loss)), criterion_(*file_) {}

  const std::vector<Measure>& measures() const override { return criterion_.measures(); }
  at::Tensor losses(const at::Tensor& logits, const Batch& batch) const override {
    return criterion_.losses(outputs_of(logits, batch), batch);
  }
  at::Tensor weights(const at::Tensor& logits, const Batch& batch) const override {
    return criterion_.weights(outputs_of(logits, batch), batch);
  }
  void add(const at::Tensor& logits, const Batch& batch, Tally& tally) const override {
    criterion_.add(outputs_of(logits, batch), batch, tally);
  }

 private:
  at::Tensor outputs_of(const at::Tensor& logits, const Batch& batch) const {
    std::vector<at::Tensor> inputs{logits};
    for (const at::Tensor& input : batch.inputs) inputs.push_back(input.defined() ? input.to(logits.device()) : input);
    if (!inputs[1].defined()) {  // images, which the loss may ask for their shape
      std::vector<std::int64_t> shape = file_->inputs().front().shape;
      shape.insert(shape.begin(), logits.size(0));
      inputs[1] = at::zeros({}, logits.options()).expand(shape);
    }
    for (const at::Tensor& constant : file_->constants()) inputs.push_back(constant.to(logits.device()));
    return columns_of(loss_.run(inputs, logits.device()));
  }

  std::shared_ptr<const ProblemFile> file_;
  ExportedGraph loss_;
  OutputCriterion criterion_;
};

/// Where the graph's inputs come from.
struct Source {
  enum class Kind { parameter, buffer, fixed } kind = Kind::fixed;
  std::size_t index = 0;             // in the state's list; of what is fixed, in `fixed`
  at::ScalarType type = at::kFloat;  // in which the graph computes
};

/// The tensors of a file as a state has them.
struct Layout {
  std::vector<Source> parameters, buffers;  // in the file's order
  std::vector<at::Tensor> fixed;

  explicit Layout(const ProblemFile& file) {
    std::size_t moving = 0, stored = 0;
    const auto fix = [&](const at::Tensor& tensor) {
      fixed.push_back(tensor);
      return Source{Source::Kind::fixed, fixed.size() - 1, tensor.scalar_type()};
    };
    for (const ProblemParameter& parameter : file.parameters()) {
      parameters.push_back(parameter.is_trained
                               ? Source{Source::Kind::parameter, moving++, parameter.tensor.scalar_type()}
                               : fix(parameter.tensor));
    }
    for (const ProblemBuffer& buffer : file.buffers()) {
      buffers.push_back(buffer.is_persistent ? Source{Source::Kind::buffer, stored++, buffer.tensor.scalar_type()}
                                             : fix(buffer.tensor));
    }
  }
};

/// Runs one of the file's graphs, or of one that was cut the network; with batch norm in train mode the buffers are
/// changed.
class GraphProgram : public Program {
 public:
  GraphProgram(std::shared_ptr<const ProblemFile> file, at::Device device, bool train = false,
               std::shared_ptr<const ExportedGraph> network = nullptr)
      : file_(std::move(file)), device_(device), train_(train), network_(std::move(network)), layout_(*file_) {
    for (at::Tensor& tensor : layout_.fixed) tensor = tensor.to(device);
    for (const Source& source : layout_.parameters) {
      if (source.kind == Source::Kind::parameter) parameters_.push_back(at::empty({0}));
    }
  }

  void load(const NetworkTensors& state) override {
    for (std::size_t p = 0; p < parameters_.size(); ++p) parameters_[p].set_data(state.parameters.at(p).tensor);
    buffers_ = state.buffers;
  }

  const std::vector<at::Tensor>& parameters() const override { return parameters_; }

  at::Tensor run(const Batch& batch) override {
    const std::vector<at::Tensor> buffers = tensors(layout_.buffers);
    if (network_) return run_network(buffers, batch);
    auto outputs = file_->run(tensors(layout_.parameters), buffers, batch.inputs, device_, train_);
    for (std::size_t b = 0; b < buffers.size() && train_; ++b) {  // of another type: what was changed is a copy
      const Source& source = layout_.buffers[b];
      if (source.kind != Source::Kind::buffer || buffers[b].is_same(buffers_[source.index].tensor)) continue;
      const at::NoGradGuard no_gradients;
      buffers_[source.index].tensor.copy_(buffers[b]);
    }
    return columns_of(std::move(outputs));
  }

 private:
  at::Tensor run_network(const std::vector<at::Tensor>& buffers, const Batch& batch) const {
    std::vector<at::Tensor> given = tensors(layout_.parameters), inputs;
    given.insert(given.end(), buffers.begin(), buffers.end());
    given.insert(given.end(), batch.inputs.begin(), batch.inputs.end());
    std::size_t user = 0, constant = 0;
    for (const GraphInput& input : network_->inputs()) {
      inputs.push_back(input.kind == InputKind::user ? given.at(user++) : file_->constants()[constant++].to(device_));
    }
    return network_->run(inputs, device_).front();
  }

  std::vector<at::Tensor> tensors(const std::vector<Source>& sources) const {
    std::vector<at::Tensor> tensors;
    for (const Source& source : sources) {
      const at::Tensor& own = source.kind == Source::Kind::parameter ? parameters_[source.index]
                              : source.kind == Source::Kind::buffer  ? buffers_[source.index].tensor
                                                                     : layout_.fixed[source.index];
      tensors.push_back(own.to(source.type));
    }
    return tensors;
  }

  std::shared_ptr<const ProblemFile> file_;
  at::Device device_;
  bool train_;
  std::shared_ptr<const ExportedGraph> network_;
  Layout layout_;
  std::vector<at::Tensor> parameters_;
  std::vector<NamedTensor> buffers_;
};

/// By the graph with batch norm in train mode: from statistics of 0, a batch leaves `momentum` times its own.
class GraphRecalibration : public Recalibration {
 public:
  GraphRecalibration(std::shared_ptr<const ProblemFile> file, std::shared_ptr<const SampleSource> samples,
                     at::Device device)
      : samples_(std::move(samples)), batch_size_(file->batch_size()), program_(file, device, true) {
    std::size_t stored = 0;
    std::map<std::string, std::size_t> places;
    for (const ProblemBuffer& buffer : file->buffers()) {
      if (buffer.is_persistent) places[buffer.name] = stored++;
    }
    for (const ProblemBatchNorm& norm : file->batch_norms()) {
      norms_.push_back({places.at(norm.running_mean), places.at(norm.running_var), places.at(norm.num_batches_tracked),
                        norm.momentum.value()});
    }
  }

  NetworkTensors apply(const NetworkTensors& state) override {
    const at::NoGradGuard no_gradients;
    NetworkTensors found = state;
    for (NamedTensor& buffer : found.buffers) buffer.tensor = buffer.tensor.clone();
    std::vector<at::Tensor> sums;
    const auto for_each_statistic = [&](const auto& function) {
      std::size_t number = 0;
      for (const Norm& norm : norms_) {
        for (const std::size_t place : {norm.mean, norm.variance})
          function(norm, found.buffers[place].tensor, number++);
      }
    };
    for_each_statistic([&](const Norm&, const at::Tensor& tensor, std::size_t) {
      sums.push_back(at::zeros_like(tensor, at::kDouble));
    });
    for (std::int64_t first = 0; first < samples_->size(); first += batch_size_) {
      const std::int64_t count = std::min(batch_size_, samples_->size() - first);
      const double share = static_cast<double>(count) / static_cast<double>(samples_->size());
      for_each_statistic([](const Norm&, const at::Tensor& tensor, std::size_t) { tensor.zero_(); });
      std::vector<std::int64_t> before;
      for (const Norm& norm : norms_) before.push_back(found.buffers[norm.count].tensor.item<std::int64_t>());
      program_.load(found);
      program_.run(samples_->batch(first, count));
      for_each_statistic([&](const Norm& norm, const at::Tensor& tensor, std::size_t statistic) {
        // A batch norm that the network uses k times was updated as often.
        const auto uses = found.buffers[norm.count].tensor.item<std::int64_t>() - before[statistic / 2];
        sums[statistic].add_(tensor.to(at::kDouble),
                             share / (1 - std::pow(1 - norm.momentum, std::max<std::int64_t>(1, uses))));
      });
    }
    for_each_statistic(
        [&](const Norm&, const at::Tensor& tensor, std::size_t statistic) { tensor.copy_(sums[statistic]); });
    return found;
  }

 private:
  struct Norm {
    std::size_t mean, variance, count;  // places among the state's buffers
    double momentum;
  };

  std::shared_ptr<const SampleSource> samples_;
  std::int64_t batch_size_;
  GraphProgram program_;
  std::vector<Norm> norms_;
};

class GraphProblem : public Problem {
 public:
  explicit GraphProblem(std::shared_ptr<const ProblemFile> file)
      : file_(std::move(file)), criterion_(std::make_shared<OutputCriterion>(*file_)) {}

  const std::string& name() const override { return file_->model(); }
  std::shared_ptr<const Criterion> criterion() const override { return criterion_; }
  std::unique_ptr<Program> make_program(at::Device device) const override {
    return std::make_unique<GraphProgram>(file_, device);
  }
  NetworkAndLoss apart(at::Device device) const override {
    try {
      GraphHalves halves = halves_at_logits(file_->graph(), file_->parameters().size() + file_->buffers().size());
      auto network = std::make_shared<const ExportedGraph>(std::move(halves.network));
      return {std::make_unique<GraphProgram>(file_, device, false, std::move(network)),
              std::make_shared<LogitsCriterion>(file_, std::move(halves.loss))};
    } catch (const CannotCut& reason) {
      throw Error("{}: the Gauss-Newton matrix requires a loss of the network's outputs alone; this file has {}",
                  file_->file().string(), reason.what());
    }
  }
  std::string coupling() const override {
    return file_->is_coupled() ? "the loss of a sample depends on the others of its batch" : "";
  }
  std::int64_t fixed_batch() const override { return file_->is_fixed_batch() ? file_->batch_size() : 0; }
  void check_fit(const SampleSource&) const override {}  // they come from the same file

  FusedPart lower() const override {
    const ProblemInput& images = file_->inputs().front();
    if (images.shape.size() != 3 || images.type != at::kFloat) {
      throw CannotLower("samples that are not images of float32 [C, H, W]");
    }
    const NetworkTensors state = state_of(*file_);
    NetworkTensors all = state;  // the graph's tensors, in the order of a state and what is fixed
    all.buffers.insert(all.buffers.end(), state.fixed.begin(), state.fixed.end());
    std::vector<at::Tensor> in_order;
    for (const ProblemParameter& parameter : file_->parameters()) in_order.push_back(parameter.tensor);
    for (const ProblemBuffer& buffer : file_->buffers()) in_order.push_back(buffer.tensor);
    for (const at::Tensor& tensor : in_order) {
      if (tensor.is_floating_point() && tensor.scalar_type() != at::kFloat) {
        throw CannotLower("tensors of {}", c10::toString(tensor.scalar_type()));
      }
    }
    try {
      GraphCut cut = cut_at_logits(file_->graph(), in_order);
      const auto shape = std::array{images.shape[0], images.shape[1], images.shape[2]};
      FusedPart part{std::make_shared<const Graph>(fuse(lossatlas::lower(*cut.network, all, shape))),
                     std::make_shared<LogitsCriterion>(file_, std::move(cut.loss)), state.fixed};
      check(part, state);
      return part;
    } catch (const CannotCut& reason) {
      throw CannotLower("{}", reason.what());
    }
  }

  void check_recalibration() const override {
    if (!file_->can_recalibrate()) {
      throw Error("{}: batch-norm statistics cannot be estimated again: its batch norm in train mode was not exported",
                  file_->file().string());
    }
    for (const ProblemBatchNorm& norm : file_->batch_norms()) {
      if (norm.momentum && *norm.momentum > 0) continue;
      throw Error("{}: batch-norm statistics cannot be estimated again: {} has no momentum above 0",
                  file_->file().string(), norm.module);
    }
  }
  std::unique_ptr<Recalibration> make_recalibration(std::shared_ptr<const SampleSource> samples,
                                                    at::Device device) const override {
    check_recalibration();
    return std::make_unique<GraphRecalibration>(file_, std::move(samples), device);
  }

 private:
  /// Statistics are moved off 0 and 1, where a fault in their folding would not show.
  void check(const FusedPart& part, const NetworkTensors& state) const {
    const at::NoGradGuard no_gradients;
    constexpr double kTolerance = 1e-3;  // of the largest loss: a mistake, not a rounding
    NetworkState moved = copy_state(state, at::kCPU);
    disturb(moved.buffers);
    const auto samples = samples_of(*file_, Split::train, at::kCPU);
    const std::int64_t count = std::min<std::int64_t>(fixed_batch() > 0 ? fixed_batch() : 3, samples->size());
    const auto losses = [&](Objective& objective) {
      SampleValues values = values_for(objective.criterion());
      objective.evaluate(moved, {0, count}, {.each = &values});
      return at::tensor(values[0], at::kDouble);
    };
    FusedOptions options;
    options.batch_size = std::max<std::int64_t>(count, 2);
    const at::Tensor found = losses(*make_fused_objective(part, options, samples));
    const at::Tensor wanted =
        losses(*make_eager_objective(make_program(at::kCPU), criterion_, samples, options.batch_size));
    if (found.sub(wanted).abs().max().item<double>() <= kTolerance * wanted.abs().max().item<double>()) return;
    throw CannotLower("a network whose losses do not agree with LibTorch's");
  }

  std::shared_ptr<const ProblemFile> file_;
  std::shared_ptr<const Criterion> criterion_;
};

}  // namespace

std::shared_ptr<const Problem> make_problem(std::shared_ptr<const ProblemFile> file) {
  return std::make_shared<GraphProblem>(std::move(file));
}

std::unique_ptr<Program> make_training_program(std::shared_ptr<const ProblemFile> file, at::Device device) {
  const bool has_batch_norm = file->can_recalibrate();
  return std::make_unique<GraphProgram>(std::move(file), device, has_batch_norm);
}

NetworkTensors state_of(const ProblemFile& file) {
  NetworkTensors state;
  for (const ProblemParameter& parameter : file.parameters()) {
    (parameter.is_trained ? state.parameters : state.fixed).push_back({parameter.name, parameter.tensor});
  }
  for (const ProblemBuffer& buffer : file.buffers()) {
    (buffer.is_persistent ? state.buffers : state.fixed).push_back({buffer.name, buffer.tensor});
  }
  for (const auto& [name, of] : file.aliases()) state.aliases.push_back({name, of});
  return state;
}

std::int64_t least_batch(const ProblemFile& file) {
  constexpr std::int64_t kLeast = 2;  // a graph for any number of samples takes 2 or more
  return file.is_fixed_batch() ? file.batch_size() : kLeast;
}

std::shared_ptr<const SampleSource> samples_of(const ProblemFile& file, Split split, at::Device device) {
  if (split == Split::test && !file.test()) {
    throw Error("{}: has no test split: choose `split` train, or export it with test=…", file.file().string());
  }
  const ProblemSamples& samples = split == Split::test ? *file.test() : file.data();
  return std::make_shared<TensorSamples>(Batch{samples.inputs}, device, least_batch(file));
}

}  // namespace lossatlas
