#pragma once

#include <cstddef>
#include <span>

#include "surface/pca.h"

namespace lossatlas {

/// Only from the inner products ⟨w_i, w_j⟩, [n, n], counted from any origin: nothing of the points' dimension is
/// formed (Sirovich 1987's method of snapshots). At most `components` of them, n at most. The signs of the components
/// are left open.
Pca pca_of_gram(std::span<const double> gram, std::size_t n, std::size_t components);

}  // namespace lossatlas
