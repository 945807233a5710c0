#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

namespace lossatlas {

/// The epochs that the names of a run's checkpoints give, in the order of its path: the number after `epoch`, `ep` or
/// `e` as a whole word in each file's name, else the step after `step`, else the only number that differs between the
/// paths and rises from each to the next. A number is whole and below 10 million: decimals, dates and times of day do
/// not count. Nothing if the names do not tell.
std::optional<std::vector<std::int64_t>> epochs_of_names(const std::vector<std::filesystem::path>& files);

/// True if the numbers of epochs_of_names are steps: each name has one after `step`, not all have one after `epoch`.
bool are_steps(const std::vector<std::filesystem::path>& files);

}  // namespace lossatlas
