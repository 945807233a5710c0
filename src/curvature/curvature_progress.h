#pragma once

#include <cstddef>
#include <string_view>

namespace lossatlas {

struct CurvatureProgress {
  std::string_view stage;                 // "eigenvalues", "trace" or "density"
  double done = 0;                        // products of the stage, a begun one in part
  std::size_t planned = 0;                // products of the stage; 0: it ends when its pairs have converged
  std::size_t converged = 0, wanted = 0;  // pairs, where there are no planned products
  double largest = 0;                     // eigenvalue so far; NaN before the first product
  double images_per_second = 0;           // samples times vectors, of this run
  std::string_view sample = "image";
};

}  // namespace lossatlas
