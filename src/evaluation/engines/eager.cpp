#include "evaluation/engines/eager.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/autograd.h>

#include <utility>

#include "base/error.h"
#include "evaluation/smoothness.h"

namespace lossatlas {
namespace {

class EagerObjective : public Objective {
 public:
  EagerObjective(std::unique_ptr<Program> program, std::shared_ptr<const Criterion> criterion,
                 std::shared_ptr<const SampleSource> samples, std::int64_t batch_size)
      : Objective(std::move(criterion), std::move(samples), batch_size), program_(std::move(program)) {}

  Capabilities capabilities() const override { return {.gradient = true, .hessian_vector = true, .per_sample = true}; }

  void load(const NetworkTensors& state) override { program_->load(state); }

 private:
  /// A batch that was run forwards, and backwards into what products are the derivatives of.
  struct Differentiated : KeptBatch {
    std::vector<at::Tensor> slopes;  // of the Hessian the gradient, of Gauss and Newton's matrix Jᵀu; [chosen]
    at::Tensor outputs, leaf, u;     // of Gauss and Newton's matrix: the outputs, and by themselves
    at::Tensor outputs_slope;        // the gradient by the leaf
  };

  void add_batches(const SampleSource& samples, SampleRange range, Tally& tally, const Wanted& wanted) override {
    if (!wanted.products.empty()) use_differentiable_attention();
    choose_parameters(wanted);
    if (wanted.kept && *wanted.kept) return multiply(static_cast<const Differentiated&>(**wanted.kept), wanted);
    for_batches(range, [&](std::int64_t first, std::int64_t count) {
      const Batch batch = samples.batch(first, count);
      const at::Tensor outputs = program_->run(batch);
      criterion().add(outputs.detach(), batch, tally);
      if (!wanted.differentiates()) return;
      auto differentiated = std::make_unique<Differentiated>(wanted.matrix == CurvatureMatrix::hessian
                                                                 ? differentiate(outputs, batch, wanted)
                                                                 : differentiate_outputs(outputs, batch));
      multiply(*differentiated, wanted);
      if (wanted.kept) *wanted.kept = std::move(differentiated);
    });
  }

  /// Those that derivatives are by, with their places in a state.
  void choose_parameters(const Wanted& wanted) {
    const auto& all = program_->parameters();
    places_.assign(wanted.parameters.begin(), wanted.parameters.end());
    if (places_.empty()) {
      for (std::size_t p = 0; p < all.size(); ++p) places_.push_back(p);
    }
    chosen_.clear();
    for (const at::Tensor& parameter : all) parameter.requires_grad_(false);
    for (const std::size_t place : places_) chosen_.push_back(all[place].requires_grad_(wanted.differentiates()));
  }

  /// Σ w loss. What has no weight does not matter, even if it is not finite.
  at::Tensor total_loss(const at::Tensor& outputs, const Batch& batch) const {
    const at::Tensor losses = criterion().losses(outputs, batch), weights = criterion().weights(outputs, batch);
    return weights.defined() ? at::where(weights.ne(0), losses, 0).mul(weights).sum() : losses.sum();
  }

  Differentiated differentiate(const at::Tensor& outputs, const Batch& batch, const Wanted& wanted) const {
    Differentiated made;
    made.slopes =
        derivatives({total_loss(outputs, batch)}, {}, wanted.products.empty() ? Graph::used_up : Graph::differentiable);
    if (wanted.gradient) add(made.slopes, *wanted.gradient);
    return made;
  }

  Differentiated differentiate_outputs(const at::Tensor& outputs, const Batch& batch) const {
    Differentiated made;
    made.outputs = outputs;
    made.leaf = outputs.detach().requires_grad_();
    made.u = at::zeros_like(made.leaf).requires_grad_();
    made.outputs_slope =
        torch::autograd::grad({total_loss(made.leaf, batch)}, {made.leaf}, {}, true, /*create_graph=*/true).front();
    if (!made.outputs_slope.requires_grad()) {
      throw Error(
          "the Gauss-Newton matrix is 0: the loss is linear in the outputs, which are those of the last operator that "
          "reads a parameter; use `operator` hessian");
    }
    if (outputs.requires_grad()) made.slopes = derivatives({outputs}, {made.u}, Graph::differentiable);
    return made;
  }

  /// H v is the derivative of ⟨gradient, v⟩. Of Gauss and Newton's matrix: Jᵀ H J v, J v the derivative, by u, of
  /// ⟨Jᵀu, v⟩.
  void multiply(const Differentiated& batch, const Wanted& wanted) const {
    for (std::size_t k = 0; k < wanted.products.size(); ++k) {
      std::vector<at::Tensor> slopes, along;
      for (std::size_t i = 0; i < batch.slopes.size(); ++i) {
        if (!batch.slopes[i].defined() || !batch.slopes[i].requires_grad()) continue;  // no second derivative: 0
        slopes.push_back(batch.slopes[i]);
        along.push_back(wanted.directions[k].parameters[places_[i]].tensor);
      }
      if (slopes.empty()) return;
      const Graph graph = wanted.kept || k + 1 < wanted.products.size() ? Graph::kept : Graph::used_up;
      if (wanted.matrix == CurvatureMatrix::hessian) {
        add(derivatives(slopes, along, graph), wanted.products[k]);
        continue;
      }
      const at::Tensor pushed = torch::autograd::grad(slopes, {batch.u}, along, /*retain_graph=*/true).front();
      const at::Tensor bent =
          torch::autograd::grad({batch.outputs_slope}, {batch.leaf}, {pushed}, /*retain_graph=*/true).front();
      add(derivatives({batch.outputs}, {bent}, graph), wanted.products[k]);
    }
  }

  /// What becomes of the graph that led to values, once they were differentiated.
  enum class Graph {
    used_up,
    kept,            // for another time
    differentiable,  // kept, and the derivatives have one of their own
  };

  /// Of Σ ⟨value, weight⟩ by the chosen parameters; undefined by those that the values do not depend on.
  std::vector<at::Tensor> derivatives(const std::vector<at::Tensor>& values, const std::vector<at::Tensor>& weights,
                                      Graph graph) const {
    return torch::autograd::grad(values, chosen_, weights, /*retain_graph=*/graph != Graph::used_up,
                                 /*create_graph=*/graph == Graph::differentiable, /*allow_unused=*/true);
  }

  void add(const std::vector<at::Tensor>& parts, const NetworkState& sum) const {
    const at::NoGradGuard no_gradients;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      if (parts[i].defined()) sum.parameters[places_[i]].tensor.add_(parts[i]);
    }
  }

  std::vector<at::Tensor> chosen_;
  std::vector<std::size_t> places_;
  std::unique_ptr<Program> program_;
};

}  // namespace

std::unique_ptr<Objective> make_eager_objective(std::unique_ptr<Program> program,
                                                std::shared_ptr<const Criterion> criterion,
                                                std::shared_ptr<const SampleSource> samples, std::int64_t batch_size) {
  return std::make_unique<EagerObjective>(std::move(program), std::move(criterion), std::move(samples), batch_size);
}

}  // namespace lossatlas
