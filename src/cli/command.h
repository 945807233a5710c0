#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>
#include <vector>

#include "base/launcher.h"

namespace lossatlas {

inline constexpr int kDone = 0, kFailed = 1, kWrongWords = 2, kInterrupted = 130;

/// What subcommands get from the program and give back to it.
struct CommandContext {
  std::string command_line;        // as typed, for the provenance of files
  std::vector<std::string> words;  // the same, word by word
  int status = kDone;              // of the subcommand that ran
  Launch launch = {};              // this process among those that a launcher started
  /// Ends what the processes share, when all is said; gives the program's status. Null: nothing is shared.
  std::function<int(int status)> at_end = nullptr;
};

/// Each adds its subcommand, which runs while the command line is parsed. The context outlives the app.
void add_train(CLI::App& app, CommandContext& context);
void add_surface(CLI::App& app, CommandContext& context);
void add_line(CLI::App& app, CommandContext& context);
void add_trajectory(CLI::App& app, CommandContext& context);
void add_layers(CLI::App& app, CommandContext& context);
void add_curve(CLI::App& app, CommandContext& context);
void add_curvature(CLI::App& app, CommandContext& context);
void add_descend(CLI::App& app, CommandContext& context);
void add_export(CLI::App& app, CommandContext& context);
void add_convert(CLI::App& app, CommandContext& context);
void add_merge(CLI::App& app, CommandContext& context);
void add_info(CLI::App& app, CommandContext& context);

}  // namespace lossatlas
