#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "cli/optimizer_words.h"
#include "cli/schedule_words.h"
#include "functions/descent_file.h"
#include "functions/gallery.h"
#include "grid/axis.h"

namespace lossatlas {

/// The words of `lossatlas descend`.
struct DescendWords {
  const CLI::App* command = nullptr;
  std::string function, from, optimizers = "gd", rates;
  OptimizerWords numbers;
  ScheduleWords schedule;
  double weight_decay = 0;
  DescentOptions options;
  std::string at, direction;
  std::string x, y;
  std::size_t points = 0;
  std::filesystem::path out = "outputs/descent.h5";
  bool list = false, force = false;

  bool given(const char* option) const { return command->count(option) > 0; }
};

void add_options(CLI::App& command, DescendWords& words);

/// What they ask for.
struct DescendTask {
  const NamedFunction* known = nullptr;  // in the gallery
  std::string text;
  std::optional<Expression> function;
  std::size_t variables = 1;
  std::vector<std::vector<double>> starts, at;
  std::vector<double> direction;
  std::vector<DescentOptions> optimizers;
  std::size_t points = 0;    // along each axis
  std::optional<Axis> x, y;  // as asked for
};

/// Throws UsageError on words that make no sense, or have no effect. Reads no file.
DescendTask task_of(const DescendWords& words);

}  // namespace lossatlas
