#include "curvature/vectors.h"

#include <algorithm>
#include <cmath>

#include "base/philox.h"

namespace lossatlas {
namespace {

constexpr std::size_t kBlock = 4096;  // numbers: of a float32 vector 16 kB, which the first cache holds

std::size_t blocks_of(std::size_t size) { return (size + kBlock - 1) / kBlock; }

/// f(block, first, count) for each block, on all threads.
template <class Function>
void for_blocks(std::size_t size, const Function& function) {
  const auto blocks = static_cast<std::ptrdiff_t>(blocks_of(size));
#pragma omp parallel for schedule(static) if (blocks > 8)
  for (std::ptrdiff_t b = 0; b < blocks; ++b) {
    const std::size_t block = static_cast<std::size_t>(b), first = block * kBlock;
    function(block, first, std::min(kBlock, size - first));
  }
}

double dot_of_block(const float* a, const float* b, std::size_t count) {
  double sum = 0;
#pragma omp simd reduction(+ : sum)
  for (std::size_t i = 0; i < count; ++i) sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  return sum;
}

}  // namespace

double dot(std::span<const float> a, std::span<const float> b) {
  std::vector<double> parts(blocks_of(a.size()));
  for_blocks(a.size(), [&](std::size_t block, std::size_t first, std::size_t count) {
    parts[block] = dot_of_block(a.data() + first, b.data() + first, count);
  });
  double sum = 0;
  for (const double part : parts) sum += part;
  return sum;
}

double norm(std::span<const float> a) { return std::sqrt(dot(a, a)); }

void scale(std::span<float> to, double factor) {
  for_blocks(to.size(), [&](std::size_t, std::size_t first, std::size_t count) {
    for (std::size_t i = first; i < first + count; ++i) to[i] = static_cast<float>(factor * static_cast<double>(to[i]));
  });
}

std::vector<double> products_with(std::span<const Vector> basis, std::span<const float> w) {
  const std::size_t rows = basis.size();
  std::vector<double> parts(blocks_of(w.size()) * rows), sums(rows);
  for_blocks(w.size(), [&](std::size_t block, std::size_t first, std::size_t count) {
    for (std::size_t k = 0; k < rows; ++k) {
      parts[block * rows + k] = dot_of_block(basis[k].data() + first, w.data() + first, count);
    }
  });
  for (std::size_t i = 0; i < parts.size(); ++i) sums[i % rows] += parts[i];
  return sums;
}

void add_multiples(std::span<float> to, std::span<const double> factors, std::span<const Vector> of) {
  for_blocks(to.size(), [&](std::size_t, std::size_t first, std::size_t count) {
    double sums[kBlock];
    for (std::size_t i = 0; i < count; ++i) sums[i] = static_cast<double>(to[first + i]);
    for (std::size_t k = 0; k < factors.size(); ++k) {
      const float* numbers = of[k].data() + first;
      for (std::size_t i = 0; i < count; ++i) sums[i] += factors[k] * static_cast<double>(numbers[i]);
    }
    for (std::size_t i = 0; i < count; ++i) to[first + i] = static_cast<float>(sums[i]);
  });
}

std::vector<double> orthogonalize(std::span<float> w, std::span<const Vector> basis) {
  std::vector<double> taken(basis.size());
  for (int time = 0; time < 2; ++time) {
    std::vector<double> along = products_with(basis, w);
    for (std::size_t k = 0; k < along.size(); ++k) {
      taken[k] += along[k];
      along[k] = -along[k];
    }
    add_multiples(w, along, basis);
  }
  return taken;
}

void combine(std::span<Vector> basis, const std::vector<std::vector<double>>& factors) {
  if (basis.empty()) return;
  for_blocks(basis.front().size(), [&](std::size_t, std::size_t first, std::size_t count) {
    std::vector<double> sums(factors.size() * count);
    for (std::size_t k = 0; k < factors.size(); ++k) {
      double* to = sums.data() + k * count;
      for (std::size_t v = 0; v < basis.size(); ++v) {
        const double factor = factors[k][v];
        const float* numbers = basis[v].data() + first;
        for (std::size_t i = 0; i < count; ++i) to[i] += factor * static_cast<double>(numbers[i]);
      }
    }
    for (std::size_t k = 0; k < factors.size(); ++k) {
      for (std::size_t i = 0; i < count; ++i) basis[k][first + i] = static_cast<float>(sums[k * count + i]);
    }
  });
}

Vector rademacher(std::size_t size, std::uint64_t seed, std::uint64_t number) {
  constexpr std::uint64_t kAnother = std::uint64_t{1} << 63;  // streams apart from those of gaussian()
  RandomStream stream(seed, Purpose::probe, number | kAnother);
  Vector signs(size);
  std::uint32_t bits = 0;
  for (std::size_t i = 0; i < size; ++i) {
    if (i % 32 == 0) bits = stream.next();
    signs[i] = (bits >> (i % 32) & 1) == 0 ? 1.0f : -1.0f;
  }
  return signs;
}

Vector gaussian(std::size_t size, std::uint64_t seed, std::uint64_t number) {
  Vector numbers(size);
  fill_normal(numbers, seed, Purpose::probe, number, 0);
  return numbers;
}

}  // namespace lossatlas
