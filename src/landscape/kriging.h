#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <vector>

namespace lossatlas {

/// Interpolation of values known at some places of a fixed list, with an error (ordinary kriging; Rasmussen and
/// Williams 2006, "Gaussian Processes for Machine Learning", chapter 2): a Gaussian process with an unknown constant
/// mean and the Matérn 5/2 covariance s² (1 + r + r²/3) exp(-r), r = √5 distance / ℓ. Several columns of values share
/// the places and ℓ, which the first column decides: the ℓ of the greatest restricted likelihood, under a wide prior
/// around 0.6. The same additions in the same order give the same bits.
class Kriging {
 public:
  using Place = std::array<double, 2>;

  /// `places`: of all points, each coordinate scaled to -1 … 1.
  Kriging(std::vector<Place> places, std::size_t columns);

  /// Takes note of the values at a place: one for each column, finite. Once a place.
  void add(std::size_t place, std::span<const double> values);
  /// Decides ℓ anew. To be called when there are several values.
  void fit() { fit(std::array{this}); }
  /// Decides one ℓ for several, taken to be equally smooth: by their likelihoods together.
  static void fit(std::span<Kriging* const> together);
  /// Takes ℓ from elsewhere.
  void assume_length(double length);
  /// Lets the variances differ from place to place: larger than s² says where the values nearby are badly foretold by
  /// all others (each left out in turn), smaller where they are foretold well. Lasts until it is called again.
  void localize();
  /// Takes s² from elsewhere, where the values are too few to tell it.
  void assume_scale(double scale) { assumed_scale_ = scale; }

  bool knows(std::size_t place) const { return is_known_[place]; }
  std::size_t size() const { return known_.size(); }
  double length() const { return length_; }
  /// s², as assumed or else estimated from the values; two values or more must be known.
  double scale(std::size_t column = 0) const;
  double own_scale(std::size_t column = 0) const;  // always estimated

  /// The estimates at all places, and their variances, under the last ℓ. Two values or more must be known.
  std::vector<double> means(std::size_t column = 0) const;
  std::vector<double> variances(std::size_t column = 0) const;

  /// Counts a place as known whose value is not, until forget(): variances are then as they will be if its value
  /// changes nothing else.
  void imagine(std::size_t place);
  void forget();

 private:
  void append(std::size_t place);
  void solve(std::size_t place);
  void reset();
  double likelihood(double length) const;
  double covariance(std::size_t a, std::size_t b, double length) const;
  double constant(std::size_t column) const;

  std::vector<Place> places_;
  std::size_t columns_;
  double length_;                            // ℓ
  std::vector<std::size_t> known_;           // in the order of their addition
  std::vector<std::vector<double>> values_;  // z, [column][known]
  std::vector<bool> is_known_;
  // With the Cholesky factor L of the covariances of the known places: rows_[k] is row k of L⁻¹ times their covariances
  // with all places, ones_ = L⁻¹ 1, solved_[c] = L⁻¹ z_c, pivots_ the diagonal of L. Imagined places come last.
  std::vector<std::vector<double>> rows_;
  std::vector<double> ones_, pivots_;
  std::vector<std::vector<double>> solved_;
  std::vector<double> explained_, mean_part_;     // of each place: Σ rows_[k]², Σ rows_[k] ones_[k]
  std::vector<std::vector<double>> values_part_;  // [column], of each place: Σ rows_[k] solved_[column][k]
  std::vector<double> local_;                     // of each place: what localize() multiplies its variance with
  std::size_t imagined_ = 0;
  std::optional<double> assumed_scale_;  // of the first column
  std::vector<double> kept_explained_, kept_mean_part_;  // as they were without imagined places
};

}  // namespace lossatlas
