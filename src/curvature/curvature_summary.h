#pragma once

#include <nlohmann/json.hpp>

#include "curvature/curvature_file.h"

namespace lossatlas {

/// /lossatlas@summary: the numbers of a record with their standard errors, null for what is not known.
nlohmann::ordered_json curvature_summary(const CurvatureRecord& record);

}  // namespace lossatlas
