#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <vector>

namespace lossatlas {

/// Interpolation of values known at some places of a fixed list, with an error (ordinary kriging; Rasmussen and
/// Williams 2006, "Gaussian Processes for Machine Learning", chapter 2): a Gaussian process with an unknown constant
/// mean and the covariance s² ((1 - ν) (1 + r + r²/3) exp(-r) + ν [same place]), r = √5 distance / ℓ: Matérn 5/2, and a
/// part that no neighbour predicts. ℓ and ν are those of the greatest restricted likelihood, under a wide prior around
/// ℓ = 0.3. The same additions in the same order give the same bits.
class Kriging {
 public:
  /// Coordinates, one an axis.
  using Place = std::vector<double>;

  /// What is known of the values beforehand.
  enum class Prior {
    none,      // its mean and s² are estimated
    standard,  // mean 0, and an s² near 1: as much as twenty values say so
  };

  /// `places`: of all points, each coordinate scaled to -1 … 1; as many coordinates each.
  explicit Kriging(const std::vector<Place>& places, Prior prior = Prior::none);

  /// Takes note of the value at a place, which is finite. Once a place.
  void add(std::size_t place, double value);
  /// Decides ℓ and ν again. To be called when there are several values.
  void fit() { fit(std::array{this}); }
  /// Decides one ℓ and ν for several, taken to be equally smooth: by their likelihoods together.
  static void fit(std::span<Kriging* const> together);
  /// Takes ℓ and ν from elsewhere.
  void assume_smoothness(double length, double nugget);
  /// Lets the variances differ from place to place: larger than s² says where the values nearby are badly predicted by
  /// all others (each left out in turn), smaller where they are predicted well. Lasts until it is called again.
  void localize();
  /// Takes s² from elsewhere, if the values are too few to estimate it.
  void assume_scale(double scale) { assumed_scale_ = scale; }

  bool knows(std::size_t place) const { return is_known_[place]; }
  std::size_t size() const { return known_.size(); }
  double length() const { return length_; }
  double nugget() const { return nugget_; }
  /// s², as assumed or else estimated from the values; two values or more must be known if there is no prior.
  double scale() const;
  /// What the squares of independent values would sum to, over s², were the mean 0 and s² 1.
  double squares() const;

  /// The estimates at all places, and their variances, under the last ℓ. Two values or more must be known where
  /// there is no prior.
  std::vector<double> means() const;
  std::vector<double> variances() const;

  /// Counts a place as known whose value is not, until forget(): variances are then as they will be if its value
  /// changes nothing else.
  void imagine(std::size_t place);
  void forget();

 private:
  void append(std::size_t place);
  void solve(std::size_t place);
  void reset();
  double likelihood(double length, double nugget) const;
  double covariance(std::size_t a, std::size_t b, double length) const;  // of the part that neighbours predict
  double constant() const;

  std::size_t count_, dimensions_;
  std::vector<double> coordinates_;  // [place][dimension]
  Prior prior_;
  double length_, nugget_;          // ℓ, ν
  std::vector<std::size_t> known_;  // in the order of their addition
  std::vector<double> values_;      // z, of each
  std::vector<bool> is_known_;
  // With the Cholesky factor L of the covariances of the known places: rows_[k] is row k of L⁻¹ times their covariances
  // with all places, ones_ = L⁻¹ 1, solved_ = L⁻¹ z, pivots_ the diagonal of L. Imagined places come last.
  std::vector<std::vector<double>> rows_;
  std::vector<double> ones_, pivots_, solved_;
  std::vector<double> explained_, mean_part_, values_part_;  // of each place: Σ rows_[k]², Σ rows_[k] ones_[k],
                                                             // Σ rows_[k] solved_[k]
  std::vector<double> local_;  // of each place: what localize() multiplies its variance with
  std::size_t imagined_ = 0;
  std::optional<double> assumed_scale_;
  std::vector<double> kept_explained_, kept_mean_part_;  // as they were without imagined places
};

}  // namespace lossatlas
