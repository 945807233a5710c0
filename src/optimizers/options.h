#pragma once

#include <array>
#include <string>
#include <vector>

namespace lossatlas {

/// An optimizer by name, and its numbers; those that its rule (rule.h) does not have are not read.
struct OptimizerOptions {
  std::string name = "sgd";  // one of optimizer_names()
  double momentum = 0;       // sgd, momentum, nesterov: μ in [0, 1)
  bool nesterov = false;     // sgd with μ > 0: Nesterov's momentum
  double weight_decay = 0;   // λ: g ← g + λ θ, before anything else; adamw: θ ← θ − ε λ θ instead
  double delta = 1e-7;       // adagrad, rmsprop, adam, adamw: δ > 0
  double rho = 0.99;         // rmsprop: ρ in [0, 1)
  std::array<double, 2> betas{0.9, 0.999};  // adam, adamw: β₁, β₂ in [0, 1)

  bool is_adam() const { return name == "adam" || name == "adamw"; }
};

/// gd, sgd, momentum, nesterov, adagrad, rmsprop, adam, adamw.
const std::vector<std::string>& optimizer_names();

/// As written in text and labels: "AdaGrad".
std::string title_of(const OptimizerOptions& options);

/// The numbers that an optimizer is usually run with: PyTorch's defaults, except for adagrad's δ, which is Goodfellow
/// et al.'s 1e-7; μ is 0.9 for momentum and nesterov, 0 for sgd; λ is 0.01 for adamw, 0 for the others. Throws
/// UsageError for an unknown name.
OptimizerOptions usual_options(const std::string& name);

/// Throws UsageError naming the option for an unknown name or a number out of range.
void check(const OptimizerOptions& options);

}  // namespace lossatlas
