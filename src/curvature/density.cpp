#include "curvature/density.h"

#include <cmath>

#include "curvature/symmetric_eigen.h"

namespace lossatlas {
namespace {

/// The Lanczos process of one probe.
struct Process {
  std::vector<Vector> basis;
  std::vector<double> diagonal, beside;  // of the tridiagonal matrix
  bool is_over = false;                  // the basis holds all that the probe leads to

  explicit Process(Vector probe) {
    scale(probe, 1 / norm(probe));
    basis.push_back(std::move(probe));
  }

  void add(Vector image) {
    constexpr double kBreakdown = 1e-6;
    const double size = norm(image);
    const std::vector<double> along = orthogonalize(image, basis);
    diagonal.push_back(along.back());
    beside.push_back(norm(image));
    is_over = beside.back() <= kBreakdown * size || basis.size() == image.size();
    if (is_over) return;
    scale(image, 1 / beside.back());
    basis.push_back(std::move(image));
  }

  SymmetricEigen quadrature() const {
    const std::size_t n = diagonal.size();
    std::vector<double> matrix(n * n);
    for (std::size_t i = 0; i < n; ++i) {
      matrix[i * n + i] = diagonal[i];
      if (i + 1 < n) matrix[i * n + i + 1] = matrix[(i + 1) * n + i] = beside[i];
    }
    return eigen_of(std::move(matrix), n);
  }
};

/// The weight of the nodes for which f is true, times n, of each probe.
template <class Function>
Estimate count_where(const Density& density, std::size_t n, const Function& f) {
  std::vector<double> counts(density.probes());
  for (std::size_t i = 0; i < density.nodes.size(); ++i) {
    if (f(density.nodes[i])) counts[i / density.steps] += static_cast<double>(n) * density.weights[i];
  }
  return estimate_of(counts);
}

}  // namespace

void add_probes(const SymmetricOperator& matrix, std::size_t count, std::uint64_t seed, Density& density) {
  constexpr std::uint64_t kApart = std::uint64_t{1} << 32;  // from the first vectors of lanczos()
  std::vector<Process> processes;
  for (std::size_t k = 0; k < count; ++k) {
    processes.emplace_back(gaussian(matrix.size, seed, kApart + density.probes() + k));
  }
  for (std::size_t step = 0; step < density.steps; ++step) {
    std::vector<Process*> going_on;
    std::vector<Vector> in, out;
    for (Process& process : processes) {
      if (process.is_over) continue;
      going_on.push_back(&process);
      in.push_back(process.basis.back());
      out.emplace_back(matrix.size);
    }
    if (going_on.empty()) break;
    matrix.apply(in, out);
    for (std::size_t k = 0; k < going_on.size(); ++k) going_on[k]->add(std::move(out[k]));
  }
  for (const Process& process : processes) {
    const SymmetricEigen quadrature = process.quadrature();
    const std::size_t begin = density.nodes.size();
    for (std::size_t k = 0; k < quadrature.values.size(); ++k) {
      density.nodes.push_back(quadrature.values[k]);
      density.weights.push_back(quadrature.vectors[k].front() * quadrature.vectors[k].front());
    }
    density.nodes.resize(begin + density.steps);
    density.weights.resize(begin + density.steps);
  }
}

Estimate count_above(const Density& density, std::size_t n, double threshold) {
  return count_where(density, n, [&](double node) { return node > threshold; });
}

Estimate count_below(const Density& density, std::size_t n, double threshold) {
  return count_where(density, n, [&](double node) { return node < threshold; });
}

}  // namespace lossatlas
