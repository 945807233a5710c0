#include "optimizers/options.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/text.h"

namespace lossatlas {
namespace {

void check_share(const char* option, double value) {
  if (!(value >= 0 && value < 1)) throw UsageError("{} {}: requires 0 or more, below 1", option, value);
}

}  // namespace

const std::vector<std::string>& optimizer_names() {
  static const std::vector<std::string> names{"gd",      "sgd",     "momentum", "nesterov",
                                              "adagrad", "rmsprop", "adam",     "adamw"};
  return names;
}

std::string title_of(const OptimizerOptions& options) {
  const std::string& name = options.name;
  if (name == "gd") return "gradient descent";
  if (name == "nesterov" || (name == "sgd" && options.nesterov)) return "Nesterov momentum";
  if (name == "adagrad") return "AdaGrad";
  if (name == "rmsprop") return "RMSProp";
  if (name == "adam") return "Adam";
  if (name == "adamw") return "AdamW";
  return name == "sgd" ? "SGD" : name;
}

OptimizerOptions usual_options(const std::string& name) {
  check_known("`optimizer`", name, optimizer_names());
  OptimizerOptions options;
  options.name = name;
  if (name == "momentum" || name == "nesterov") options.momentum = 0.9;
  if (name == "rmsprop" || options.is_adam()) options.delta = 1e-8;
  if (name == "adamw") options.weight_decay = 0.01;
  options.nesterov = name == "nesterov";
  return options;
}

void check(const OptimizerOptions& options) {
  check_known("`optimizer`", options.name, optimizer_names());
  if (!(options.weight_decay >= 0 && std::isfinite(options.weight_decay))) {
    throw UsageError("`weight_decay` {}: requires 0 or more", options.weight_decay);
  }
  check_share("`momentum`", options.momentum);
  if (options.momentum == 0 && options.name == "momentum")
    throw UsageError("`optimizer` momentum requires `momentum` above 0");
  if (options.momentum == 0 && options.nesterov) throw UsageError("`nesterov` requires `momentum` above 0");
  if (!(options.delta > 0 && std::isfinite(options.delta))) {
    throw UsageError("`delta` (`eps`) {}: requires a number above 0", options.delta);
  }
  check_share("`rho`", options.rho);
  for (const double beta : options.betas) check_share("`betas`", beta);
}

}  // namespace lossatlas
