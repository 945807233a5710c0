#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "functions/descent.h"

namespace lossatlas {

/// A function over the range that is drawn, what optimizers did on it, and its tangents.
struct DescentRecord {
  std::vector<double> x, y;      // coordinates, ascending; y empty for one variable
  std::vector<double> value;     // [nx], or [ny, nx]; not finite where the function is not
  std::vector<double> gradient;  // [1 or 2, the same]: by x, then by y
  std::vector<Descent> descents;
  std::vector<std::string> labels;  // one per descent: what distinguishes it from the others
  std::vector<Tangent> tangents;
  nlohmann::json settings, provenance;
};

/// Fills value and gradient from the coordinates.
void tabulate(const Expression& function, DescentRecord& record);

/// Kind "descent" of docs/file-format.md.
void write_descents(const std::filesystem::path& file, const DescentRecord& record);

}  // namespace lossatlas
