#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "curvature/curvature_file.h"

namespace lossatlas {

/// The numbers of a record in lines for people: eigenvalues, trace, counts, and, where the trace was estimated by
/// module, the modules that hold most of it, or all.
std::vector<std::string> curvature_lines(const CurvatureRecord& record, bool all_modules = false);

/// What `info` shows of its file.
nlohmann::ordered_json describe_curvature(const std::filesystem::path& file, bool as_json);

/// The same of a table of sharpness.
nlohmann::ordered_json describe_sharpness(const std::filesystem::path& file, bool as_json);

}  // namespace lossatlas
