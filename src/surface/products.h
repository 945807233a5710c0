#pragma once

#include <array>
#include <vector>

namespace lossatlas {

/// Inner products of n differences w_i = θ_i - θ with two directions, over the parameters.
struct Products {
  std::vector<std::array<double, 2>> with;       // ⟨w_i, d_k⟩
  std::vector<double> squares;                   // ‖w_i‖²
  std::array<std::array<double, 2>, 2> among{};  // ⟨d_j, d_k⟩
};

}  // namespace lossatlas
