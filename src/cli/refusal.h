#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace lossatlas {

/// One line for a command line that CLI11 could not read: what was wrong, and what to type instead. `typed`: the
/// command line word by word, the program first.
std::string refusal(const CLI::App& app, const CLI::ParseError& error, const std::vector<std::string>& typed);

}  // namespace lossatlas
