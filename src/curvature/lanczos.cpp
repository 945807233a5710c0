#include "curvature/lanczos.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "curvature/symmetric_eigen.h"

namespace lossatlas {
namespace {

constexpr double kBreakdown = 1e-6;  // of ‖A‖: what is left of a product beside the basis is rounding
constexpr double kSmallShare = 0.01;

class Lanczos {
 public:
  Lanczos(const SymmetricOperator& matrix, const LanczosOptions& options)
      : matrix_(matrix),
        options_(options),
        largest_(std::min(options.largest, matrix.size)),
        smallest_(std::min(options.smallest, matrix.size - largest_)),
        most_(basis_of(options, matrix.size)),
        projected_(most_ * most_) {
    basis_.reserve(most_ + 1);
    basis_.push_back(options.first ? *options.first : gaussian(matrix.size, options.seed, 0));
    ++starts_;
    scale(basis_.front(), 1 / norm(basis_.front()));
  }

  LanczosResult run(const std::function<void(const LanczosProgress&)>& on_product) {
    bool has_converged = false;
    while (true) {
      expand();
      ritz_ = eigen_of(projected(), held_);
      const std::size_t converged = count_converged();
      if (on_product) on_product({products_, converged, ritz_.values.back()});
      has_converged = converged == wanted() && held_ >= std::min(matrix_.size, wanted() + 1);
      if (has_converged || products_ >= options_.most_products || held_ == matrix_.size) break;
      if (held_ == most_) restart();
    }
    LanczosResult result{{}, products_, has_converged || held_ == matrix_.size};
    take_pairs(result.pairs);
    return result;
  }

 private:
  std::size_t wanted() const { return largest_ + smallest_; }

  /// One product: the last vector of the basis is held from now on, and the next is what it leaves beside the basis.
  void expand() {
    std::vector<Vector> next(1, Vector(matrix_.size));
    matrix_.apply(std::span(basis_).last(1), next);
    ++products_;
    const std::size_t last = held_++;
    const std::vector<double> along = orthogonalize(next.front(), basis_);
    for (std::size_t i = 0; i < held_; ++i) {
      projected_[i * most_ + last] = projected_[last * most_ + i] = along[i];
      norm_ = std::max(norm_, std::abs(along[i]));
    }
    beyond_ = norm(next.front());
    norm_ = std::max(norm_, beyond_);
    if (held_ == matrix_.size) {
      beyond_ = 0;
      return;
    }
    ++since_start_;
    if (beyond_ <= kBreakdown * norm_) {  // the basis holds all that the first vector leads to: begin another
      next.front() = gaussian(matrix_.size, options_.seed, starts_++);
      orthogonalize(next.front(), basis_);
      beyond_ = 0;
      is_multiple_ = since_start_ == 1;
      since_start_ = 0;
    }
    scale(next.front(), 1 / norm(next.front()));
    basis_.push_back(std::move(next.front()));
  }

  std::vector<double> projected() const {
    std::vector<double> matrix(held_ * held_);
    for (std::size_t i = 0; i < held_; ++i) {
      std::copy_n(projected_.begin() + static_cast<std::ptrdiff_t>(i * most_), held_,
                  matrix.begin() + static_cast<std::ptrdiff_t>(i * held_));
    }
    return matrix;
  }

  double residual(std::size_t ritz) const { return beyond_ * std::abs(ritz_.vectors[ritz].back()); }

  /// Places among the Ritz values, which ascend: of the largest, descending, then of the smallest.
  std::vector<std::size_t> places(std::size_t largest, std::size_t smallest) const {
    std::vector<std::size_t> places;
    for (std::size_t k = 0; k < std::min(largest, held_); ++k) places.push_back(held_ - 1 - k);
    for (std::size_t k = std::min(smallest, held_ - places.size()); k-- > 0;) places.push_back(k);
    return places;
  }

  /// After a new start the old part of the basis has converged, but the new one may hold further copies of its
  /// eigenvalues: it gets some products, unless the first showed that nothing but a multiple of the identity is left.
  std::size_t count_converged() const {
    constexpr std::size_t kProducts = 10;
    const bool knows_new_part = starts_ == 1 || is_multiple_ || since_start_ >= kProducts;
    if (held_ < matrix_.size && !knows_new_part) return 0;
    const double least = kSmallShare * std::max(std::abs(ritz_.values.front()), std::abs(ritz_.values.back()));
    const auto all = places(largest_, smallest_);
    return static_cast<std::size_t>(std::count_if(all.begin(), all.end(), [&](std::size_t k) {
      return residual(k) <= options_.tolerance * std::max(std::abs(ritz_.values[k]), least);
    }));
  }

  /// Keeps the wanted Ritz vectors and as many again of those next to them as leave half of the rest free.
  void restart() {
    const std::size_t more = (most_ - wanted()) / 2;
    const std::size_t above = smallest_ == 0 ? more : largest_ == 0 ? 0 : more / 2;
    const auto kept = places(largest_ + above, smallest_ + (more - above));
    std::vector<std::vector<double>> factors;
    std::fill(projected_.begin(), projected_.end(), 0.0);
    for (std::size_t k = 0; k < kept.size(); ++k) {
      factors.push_back(ritz_.vectors[kept[k]]);
      projected_[k * most_ + k] = ritz_.values[kept[k]];
    }
    combine(std::span(basis_).first(held_), factors);
    basis_[kept.size()] = std::move(basis_.back());
    held_ = kept.size();
    basis_.resize(held_ + 1);
    // What float32 left of the kept vectors' angles would come back with the next product.
    orthogonalize(basis_.back(), std::span(basis_).first(held_));
    scale(basis_.back(), 1 / norm(basis_.back()));
  }

  void take_pairs(Eigenpairs& pairs) {
    const auto chosen = places(largest_, smallest_);
    std::vector<std::vector<double>> factors;
    for (const std::size_t k : chosen) {
      pairs.values.push_back(ritz_.values[k]);
      pairs.residuals.push_back(residual(k));
      factors.push_back(ritz_.vectors[k]);
    }
    combine(std::span(basis_).first(held_), factors);
    basis_.resize(chosen.size());
    pairs.vectors = std::move(basis_);
  }

  const SymmetricOperator& matrix_;
  const LanczosOptions& options_;
  const std::size_t largest_, smallest_, most_;
  std::vector<Vector> basis_;      // the vectors held, and the next
  std::vector<double> projected_;  // [most_, most_], of which the first held_ rows and columns are known
  SymmetricEigen ritz_;
  std::size_t held_ = 0, products_ = 0;
  std::uint64_t starts_ = 0;
  std::size_t since_start_ = 0;  // products
  bool is_multiple_ = false;     // the last start led nowhere: A is a multiple of the identity there
  double beyond_ = 0;            // what the last product had beside the basis
  double norm_ = 0;              // of A, at least
};

}  // namespace

std::size_t basis_of(const LanczosOptions& options, std::size_t size) {
  constexpr std::size_t kUsual = 40;
  return std::min(size, std::max(kUsual, 2 * (options.largest + options.smallest) + 10));
}

LanczosResult lanczos(const SymmetricOperator& matrix, const LanczosOptions& options,
                      const std::function<void(const LanczosProgress&)>& on_product) {
  return Lanczos(matrix, options).run(on_product);
}

std::vector<Vector> measure(const SymmetricOperator& matrix, Eigenpairs& pairs) {
  std::vector<Vector> images(pairs.size(), Vector(matrix.size));
  if (images.empty()) return images;
  matrix.apply(pairs.vectors, images);
  for (std::size_t k = 0; k < pairs.size(); ++k) {
    const Vector& vector = pairs.vectors[k];
    const double square = dot(vector, vector);
    pairs.values[k] = dot(vector, images[k]) / square;
    Vector rest = images[k];
    add_multiples(rest, std::array{-pairs.values[k]}, std::span(&vector, 1));
    pairs.residuals[k] = norm(rest) / std::sqrt(square);
  }
  return images;
}

}  // namespace lossatlas
