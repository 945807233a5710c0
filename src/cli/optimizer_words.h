#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "optimizers/options.h"

namespace lossatlas {

/// The words that decide an optimizer's numbers, except for its name and learning rate.
struct OptimizerWords {
  double momentum = 0, delta = 0, rho = 0;
  std::string betas;
  bool nesterov = false;

  void add_to(CLI::App& command);

  /// The optimizer of this name with the numbers given, else the usual ones; `momentum_of_sgd` is that of plain sgd
  /// where none is given. Throws UsageError.
  OptimizerOptions options(const std::string& name, double momentum_of_sgd) const;

  /// Throws UsageError if an option was given that none of these optimizers has.
  void refuse_unread(const std::vector<std::string>& names) const;

 private:
  struct Reader {
    const CLI::Option* option;
    std::vector<std::string> names;  // of the optimizers that have it
  };
  std::vector<Reader> readers_;
  bool given(const std::string& option) const;
};

}  // namespace lossatlas
