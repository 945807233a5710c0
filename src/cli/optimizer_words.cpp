#include "cli/optimizer_words.h"

#include <algorithm>

#include "base/error.h"
#include "cli/words.h"

namespace lossatlas {

void OptimizerWords::add_to(CLI::App& command) {
  const auto note = [this](CLI::Option* option, std::vector<std::string> names) {
    readers_.push_back({option, std::move(names)});
  };
  note(command.add_option("--momentum", momentum, "sgd, momentum, nesterov: μ (default: 0.9; of sgd in descend 0)"),
       {"sgd", "momentum", "nesterov"});
  note(command.add_flag("--nesterov", nesterov, "sgd: use Nesterov's momentum"), {"sgd"});
  note(command.add_option("--delta,--eps", delta, "δ in ε/(δ+√r) (default: adagrad 1e-7; rmsprop, adam, adamw 1e-8)"),
       {"adagrad", "rmsprop", "adam", "adamw"});
  note(command.add_option("--rho", rho, "rmsprop: ρ in r ← ρr + (1-ρ)g² (default: 0.99)"), {"rmsprop"});
  note(command.add_option("--betas", betas, "adam, adamw: β₁,β₂ (default: 0.9,0.999)")->type_name("LIST"),
       {"adam", "adamw"});
}

bool OptimizerWords::given(const std::string& option) const {
  return std::any_of(readers_.begin(), readers_.end(), [&](const Reader& reader) {
    return reader.option->get_name() == option && reader.option->count() > 0;
  });
}

OptimizerOptions OptimizerWords::options(const std::string& name, double momentum_of_sgd) const {
  OptimizerOptions options = usual_options(name);
  const bool has_momentum = name == "sgd" || name == "momentum" || name == "nesterov";
  if (name == "sgd") options.momentum = momentum_of_sgd;
  if (has_momentum && given("--momentum")) options.momentum = momentum;
  if (name == "sgd") options.nesterov = nesterov;
  if (given("--delta")) options.delta = delta;
  if (given("--rho")) options.rho = rho;
  if (given("--betas")) {
    const auto numbers = parse_numbers("--betas", betas);
    if (numbers.size() != 2) throw UsageError("--betas {}: requires two numbers, as in 0.9,0.999", betas);
    options.betas = {numbers[0], numbers[1]};
  }
  return options;
}

void OptimizerWords::refuse_unread(const std::vector<std::string>& names) const {
  for (const Reader& reader : readers_) {
    const auto has = [&](const std::string& name) {
      return std::find(reader.names.begin(), reader.names.end(), name) != reader.names.end();
    };
    if (reader.option->count() > 0 && std::none_of(names.begin(), names.end(), has)) {
      throw UsageError("{} belongs to --optimizer {}", reader.option->get_name(false, true),
                       fmt::join(reader.names, ", "));
    }
  }
}

}  // namespace lossatlas
