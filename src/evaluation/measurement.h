#pragma once

#include <cstddef>
#include <vector>

namespace lossatlas {

/// The sum of one measure's values x, each with a weight w. Sums of parts add up to that of the whole, except for
/// rounding.
struct Sum {
  double count = 0;                               // values
  double weights = 0;                             // Σ w
  double total = 0;                               // Σ w x
  double squares = 0;                             // Σ w² x²
  double weight_squares = 0, weighted_total = 0;  // Σ w², Σ w² x

  /// What has no weight does not matter, even if it is not finite.
  void add(double value, double weight = 1) {
    count += 1;
    if (weight == 0) return;
    const double share = weight * value;
    weights += weight;
    total += share;
    squares += share * share;
    weight_squares += weight * weight;
    weighted_total += weight * share;
  }
  Sum& operator+=(const Sum& other);

  double mean() const { return total / weights; }  // NaN of nothing
  /// Of the mean, as an estimate of that over `population` values (at least count), drawn without replacement: 0 if
  /// all of them were added. NaN of a single value of several, or if the mean is not finite. Of unequal weights that of
  /// the ratio Σ w x / Σ w, by linearization (Cochran 1977, section 6.3).
  double standard_error(double population) const;
  /// The same of values that are 0 or 1.
  double standard_error_of_share(double population) const;
};

/// The sums of several measures, in a criterion's order. What threads, batches, subsets of the samples or machines
/// measured is added up by +=.
class Measurement {
 public:
  explicit Measurement(std::size_t measures = 0) : sums_(measures) {}

  std::size_t size() const { return sums_.size(); }
  Sum& operator[](std::size_t measure) { return sums_[measure]; }
  const Sum& operator[](std::size_t measure) const { return sums_[measure]; }
  /// Of the same measures, or of none yet.
  Measurement& operator+=(const Measurement& other);

 private:
  std::vector<Sum> sums_;
};

/// What single samples gave, in their order: [measure][sample], of the measures over samples, and after them the
/// weights.
using SampleValues = std::vector<std::vector<double>>;

}  // namespace lossatlas
