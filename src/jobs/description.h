#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

namespace lossatlas {

/// All architectures: name, parameters, classes, input, summary.
nlohmann::ordered_json describe_architectures();

/// What a checkpoint, problem file (whose losses are compared with PyTorch's), surface, line, history, descent or file
/// of directions or of a projection holds. `as_json`: numbers for programs, where people get lines of text. `key`: the
/// entry of a checkpoint to describe. Throws
/// Error for what is none of them.
nlohmann::ordered_json describe(const std::filesystem::path& file, bool as_json, const std::string& key = "");

/// What differs between two surfaces (json_of(Comparison)), and their names.
nlohmann::ordered_json describe_difference(const std::filesystem::path& first, const std::filesystem::path& second);

}  // namespace lossatlas
