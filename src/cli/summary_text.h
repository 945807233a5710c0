#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "landscape/surface.h"

namespace lossatlas {

/// The numbers of a surface and its hints, in a few short lines for people.
std::vector<std::string> summary_lines(const Surface& surface);

/// What became of the comparison of the centre with the untouched checkpoint: "" where there was none.
std::string centre_check_text(const nlohmann::json& check);

}  // namespace lossatlas
