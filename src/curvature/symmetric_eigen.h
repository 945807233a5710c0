#pragma once

#include <cstddef>
#include <vector>

namespace lossatlas {

/// Eigenvalues of a small symmetric matrix, ascending, each with its vector of unit length.
struct SymmetricEigen {
  std::vector<double> values;
  std::vector<std::vector<double>> vectors;
};

/// `matrix`: [n, n]. By Jacobi's rotations (Golub, Van Loan, "Matrix Computations", section 8.5), which cost some 50 n³
/// operations and give every eigenvalue to rounding of the largest.
SymmetricEigen eigen_of(std::vector<double> matrix, std::size_t n);

}  // namespace lossatlas
