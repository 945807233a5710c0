#include "landscape/pca.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/linalg_eigh.h>

#include <algorithm>
#include <cmath>

namespace lossatlas {

Pca pca_of_gram(std::span<const double> gram, std::size_t n, std::size_t components) {
  const auto rows = static_cast<std::int64_t>(n);
  const auto given = at::from_blob(const_cast<double*>(gram.data()), {rows, rows}, at::kDouble);
  // Both means taken away: the Gram matrix of the points counted from their mean.
  at::Tensor centred = given - given.mean(0, true);
  centred = centred - centred.mean(1, true);
  centred = (centred + centred.t()) / 2;
  auto [values, vectors] = at::linalg_eigh(centred);  // ascending
  values = values.clamp_min(0);
  const double total = values.sum().item<double>();
  Pca pca;
  for (std::int64_t k = 0; k < std::min(rows, static_cast<std::int64_t>(components)); ++k) {
    const std::int64_t at = rows - 1 - k;
    const double value = values[at].item<double>(), length = std::sqrt(value);
    pca.explained_variance.push_back(value / static_cast<double>(rows - 1));
    pca.explained_variance_ratio.push_back(total > 0 ? value / total : 0);
    pca.singular_values.push_back(length);
    const auto vector = vectors.select(1, at).contiguous();
    const double* entries = vector.data_ptr<double>();
    std::vector<double>& combination = pca.combinations.emplace_back(n, 0.0);
    for (std::size_t i = 0; i < n && length > 0; ++i) combination[i] = entries[i] / length;
  }
  return pca;
}

}  // namespace lossatlas
