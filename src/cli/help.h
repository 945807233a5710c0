#pragma once

#include <CLI/CLI.hpp>

namespace lossatlas {

/// Makes --help of the app and of all its subcommands say each option in one shape: its names and value, what it means,
/// and its default, in lines of at most 110 columns. tools/options reads it into the tables of docs/. To be called once
/// all options are there.
void set_help(CLI::App& app);

}  // namespace lossatlas
