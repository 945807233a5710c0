#include "training/trainee.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/where.h>

#include <algorithm>
#include <cmath>
#include <future>
#include <limits>
#include <numeric>
#include <utility>

#include "base/philox.h"
#include "evaluation/graph_problem.h"
#include "models/network.h"
#include "training/minibatch.h"

namespace lossatlas {
namespace {

/// The layout to train in: channels last, which is faster on the CPU, but where a 1x1 kernel reads fewer than 8
/// channels, because there the weight gradient of LibTorch 2.11 (oneDNN's AVX2 kernel) writes past its buffer when the
/// stride is 2.
at::MemoryFormat training_layout(const Network& network) {
  for (const at::Tensor& parameter : network.parameters()) {
    if (parameter.dim() == 4 && parameter.size(2) == 1 && parameter.size(3) == 1 && parameter.size(1) < 8) {
      return at::MemoryFormat::Contiguous;
    }
  }
  return at::MemoryFormat::ChannelsLast;
}

class ClassifierTrainee : public Trainee {
 public:
  ClassifierTrainee(std::shared_ptr<Network> network, std::shared_ptr<const DataSet> train,
                    const MinibatchOptions& options, at::Device device)
      : network_(std::move(network)),
        train_(std::move(train)),
        device_(device),
        layout_(training_layout(*network_)),
        sampler_(*train_, options.batch_size, options.seed, options.augment) {
    for (at::Tensor& parameter : network_->parameters()) {
      const at::Tensor own = parameter.detach();
      parameter.set_data(own.dim() == 4 ? own.contiguous(layout_) : own);
    }
    parameters_ = state_of(*network_).parameters;
  }

  std::int64_t steps() const override { return sampler_.steps(); }
  std::int64_t samples() const override { return sampler_.images(); }
  const std::vector<NamedTensor>& parameters() const override { return parameters_; }
  at::MemoryFormat layout() const override { return layout_; }

  Step differentiate(std::int64_t epoch, std::int64_t step, const std::function<void()>& prepare) override {
    network_->train();
    const Minibatch batch = take(epoch, step);
    const auto images = batch.images.contiguous(layout_).to(device_);
    const auto labels = batch.labels.to(device_);
    if (prepare) prepare();
    const auto logits = network_->forward(images);
    const auto loss = at::cross_entropy_loss(logits, labels);
    network_->zero_grad();
    loss.backward();
    const auto correct = logits.argmax(1).eq(labels).sum().item<std::int64_t>();
    const std::int64_t count = labels.size(0);
    return {loss.item<double>(), static_cast<double>(correct), static_cast<double>(count), count};
  }

 private:
  /// That minibatch; another thread then makes the next one.
  Minibatch take(std::int64_t epoch, std::int64_t step) {
    const Minibatch batch = ahead_.valid() ? ahead_.get() : sampler_.at(epoch, step);
    if (step + 1 < sampler_.steps()) {
      ahead_ = std::async(std::launch::async, [this, epoch, next = step + 1] { return sampler_.at(epoch, next); });
    }
    return batch;
  }

  std::shared_ptr<Network> network_;
  std::shared_ptr<const DataSet> train_;
  at::Device device_;
  at::MemoryFormat layout_;
  MinibatchSampler sampler_;
  std::vector<NamedTensor> parameters_;
  std::future<Minibatch> ahead_;  // of the next step, if it is on its way; only then does another thread use sampler_
};

class ProblemTrainee : public Trainee {
 public:
  ProblemTrainee(std::shared_ptr<const ProblemFile> file, std::shared_ptr<const SampleSource> samples,
                 const MinibatchOptions& options, at::Device device)
      : file_(std::move(file)),
        seed_(options.seed),
        criterion_(make_problem(file_)->criterion()),
        samples_(std::move(samples)),
        batch_size_(std::min(file_->is_fixed_batch() ? file_->batch_size() : options.batch_size, samples_->size())),
        state_(copy_state(state_of(*file_), device)),
        program_(make_training_program(file_, device)) {
    program_->load(state_);
    for (std::size_t p = 0; p < state_.parameters.size(); ++p) {
      parameters_.push_back({state_.parameters[p].name, program_->parameters()[p].requires_grad_()});
    }
  }

  std::string_view sample() const override { return "sample"; }
  std::int64_t steps() const override { return whole() + (has_rest() ? 1 : 0); }
  std::int64_t samples() const override { return has_rest() ? samples_->size() : whole() * batch_size_; }
  const std::vector<NamedTensor>& parameters() const override { return parameters_; }

  Step differentiate(std::int64_t epoch, std::int64_t step, const std::function<void()>& prepare) override {
    const auto indices = minibatch(epoch, step);
    const Batch batch = samples_->subset(indices)->batch(0, static_cast<std::int64_t>(indices.size()));
    if (prepare) prepare();
    for (const auto& [name, tensor] : parameters_) tensor.mutable_grad().reset();
    const at::AutoGradMode gradients(true);
    const at::Tensor outputs = program_->run(batch);
    at::Tensor losses = criterion_->losses(outputs, batch), weights = criterion_->weights(outputs, batch);
    if (weights.defined()) losses = at::where(weights.ne(0), losses, 0).mul(weights).div(weights.sum());
    const at::Tensor loss = weights.defined() ? losses.sum() : losses.mean();
    loss.backward();
    Measurement sums(criterion_->measures().size());
    Tally tally(sums);
    criterion_->add(outputs.detach(), batch, tally);
    Step result{loss.item<double>(), std::nan(""), sums[0].weights, static_cast<std::int64_t>(indices.size())};
    for (std::size_t m = 0; m < sums.size(); ++m) {
      if (criterion_->measures()[m].name == "accuracy") result.correct = sums[m].total;
    }
    return result;
  }

 private:
  std::int64_t whole() const { return samples_->size() / batch_size_; }
  /// A last minibatch that is shorter. One sample has no variance.
  bool has_rest() const { return !file_->is_fixed_batch() && samples_->size() % batch_size_ > 1; }

  std::vector<std::int64_t> minibatch(std::int64_t epoch, std::int64_t step) {
    const std::int64_t unit = file_->is_coupled() ? batch_size_ : 1;
    if (epoch != ordered_epoch_) {
      order_ = random_order(static_cast<std::uint32_t>(samples_->size() / unit),
                            RandomStream(seed_, Purpose::shuffle, static_cast<std::uint64_t>(epoch)));
      ordered_epoch_ = epoch;
    }
    std::vector<std::int64_t> indices;
    const std::int64_t first = step * batch_size_, end = std::min(first + batch_size_, samples_->size());
    for (std::int64_t i = first; i < end; ++i) {
      indices.push_back(order_[static_cast<std::size_t>(i / unit)] * unit + i % unit);
    }
    return indices;
  }

  std::shared_ptr<const ProblemFile> file_;
  std::uint64_t seed_;
  std::shared_ptr<const Criterion> criterion_;
  std::shared_ptr<const SampleSource> samples_;
  std::int64_t batch_size_;
  NetworkState state_;  // what the parameters and buffers lie in
  std::unique_ptr<Program> program_;
  std::vector<NamedTensor> parameters_;
  std::int64_t ordered_epoch_ = -1;
  std::vector<std::uint32_t> order_;
};

}  // namespace

std::unique_ptr<Trainee> make_trainee(std::shared_ptr<Network> network, std::shared_ptr<const DataSet> train,
                                      const MinibatchOptions& options, at::Device device) {
  return std::make_unique<ClassifierTrainee>(std::move(network), std::move(train), options, device);
}

std::unique_ptr<Trainee> make_trainee(std::shared_ptr<const ProblemFile> file,
                                      std::shared_ptr<const SampleSource> samples, const MinibatchOptions& options,
                                      at::Device device) {
  return std::make_unique<ProblemTrainee>(std::move(file), std::move(samples), options, device);
}

}  // namespace lossatlas
