#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <limits>
#include <string>

#include "jobs/request.h"

namespace lossatlas {

/// The options about data that several commands share: --data, --mean, --std.
void add_data(CLI::App& command, DataRequest& request, bool required);

/// Those that decide the network: --arch, --classes, --width.
void add_network(CLI::App& command, NetworkRequest& request, bool arch_required);

/// For CLI11: finite numbers above 0, of 0 or more.
CLI::Validator above_zero();
CLI::Validator not_negative();
/// For CLI11's transform(): decimal whole numbers that 64 bits hold, or within a range. "010" is ten.
CLI::Validator whole_number();
CLI::Validator whole_number(std::int64_t least, std::int64_t most);
/// The same within a range, or a word that stands for another number.
CLI::Validator whole_number_or(const std::string& word, std::int64_t meaning, std::int64_t least, std::int64_t most);
inline constexpr std::int64_t kMostCounted = std::numeric_limits<std::int64_t>::max();

}  // namespace lossatlas
