#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "optimizers/options.h"

namespace lossatlas {

/// A step as θ ← (1 − ε · decay) θ − ε · direction / divisor, elementwise; ε is the learning rate, and a missing
/// divisor is 1.
template <class T>
struct Move {
  T direction;
  std::optional<T> divisor;
  double decay = 0;
};

/// How many numbers an optimizer remembers of each parameter.
inline std::size_t memory_of(const OptimizerOptions& options) {
  if (options.is_adam()) return 2;
  return options.name == "adagrad" || options.name == "rmsprop" || options.momentum > 0 ? 1 : 0;
}

/// The rules of all optimizers, once for numbers and tensors alike; T has +, *, sqrt, and +=, *= that change it in
/// place.
///   gd, sgd            direction g
///   momentum (sgd, μ)  v ← μ v + g;  direction v. As PyTorch's SGD, with dampening 0 (Polyak 1964)
///   nesterov           v ← μ v + g;  direction g + μ v. As PyTorch's (Sutskever et al. 2013)
///   adagrad            r ← r + g²;  direction g, divisor δ + √r. Goodfellow, Bengio, Courville, "Deep Learning"
///                      (2016), algorithm 8.4. PyTorch's takes δ = 1e-10 and can start r above 0 and decay ε
///   rmsprop            r ← ρ r + (1 − ρ) g²;  direction g, divisor √r + δ. As PyTorch's (its alpha is ρ);
///                      Goodfellow et al., algorithm 8.5, have √(δ + r)
///   adam               m ← β₁ m + (1 − β₁) g, r ← β₂ r + (1 − β₂) g²;  direction m / (1 − β₁ᵗ), divisor
///                      √(r / (1 − β₂ᵗ)) + δ. Kingma & Ba 2015, algorithm 1; as PyTorch's
///   adamw              as adam, decay λ. Loshchilov & Hutter 2019, algorithm 2, with ε λ for its λ; as
///                      PyTorch's
/// `gradient` already includes weight decay, except for adamw; `step` is t, counted from 1; `memory` holds
/// memory_of(options) numbers or tensors, 0 before the first step.
template <class T>
Move<T> move_of(const OptimizerOptions& options, std::int64_t step, const T& gradient, std::span<T> memory) {
  using std::sqrt;
  const auto average = [](double share, T& mean, const T& value) {
    mean *= share;
    mean += (1 - share) * value;
  };
  if (options.name == "adagrad") {
    memory[0] += gradient * gradient;
    return {gradient, options.delta + sqrt(memory[0])};
  }
  if (options.name == "rmsprop") {
    average(options.rho, memory[0], gradient * gradient);
    return {gradient, sqrt(memory[0]) + options.delta};
  }
  if (options.is_adam()) {
    const auto [first, second] = options.betas;
    const auto t = static_cast<double>(step);
    average(first, memory[0], gradient);
    average(second, memory[1], gradient * gradient);
    return {memory[0] * (1 / (1 - std::pow(first, t))),
            sqrt(memory[1] * (1 / (1 - std::pow(second, t)))) + options.delta,
            options.name == "adamw" ? options.weight_decay : 0};
  }
  if (options.momentum == 0) return {gradient, std::nullopt};
  memory[0] *= options.momentum;
  memory[0] += gradient;
  return {options.nesterov ? gradient + options.momentum * memory[0] : memory[0], std::nullopt};
}

}  // namespace lossatlas
