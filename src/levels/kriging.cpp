#include "levels/kriging.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <utility>

namespace lossatlas {
namespace {

// ν; the least keeps the factor well conditioned.
constexpr std::array kNuggets{1e-6, 0.003, 0.01, 0.03, 0.1, 0.25, 0.5, 0.8};
constexpr double kUsualLength = 0.3;      // of the differences between subsets of images, as measured
constexpr double kPriorWidth = 0.4;       // of log ℓ
constexpr double kPriorValues = 20;       // that a standard prior counts for
constexpr std::size_t kMostFitted = 300;  // values that decide ℓ and ν: their likelihood takes the cube of that
constexpr double kShortest = 0.1, kLongest = 4;
constexpr int kLengths = 22;
constexpr double kLeastLocal = 0.5, kMostLocal = 25;

double length_at(int step) {
  return kShortest * std::pow(kLongest / kShortest, static_cast<double>(step) / (kLengths - 1));
}

double dot(const std::vector<double>& a, const std::vector<double>& b, std::size_t count) {
  double sum = 0;
  for (std::size_t i = 0; i < count; ++i) sum += a[i] * b[i];
  return sum;
}

}  // namespace

Kriging::Kriging(const std::vector<Place>& places, Prior prior)
    : count_(places.size()),
      dimensions_(places.empty() ? 0 : places.front().size()),
      prior_(prior),
      length_(kUsualLength),
      nugget_(kNuggets.front()),
      is_known_(count_, false) {
  coordinates_.reserve(count_ * dimensions_);
  for (const Place& place : places) coordinates_.insert(coordinates_.end(), place.begin(), place.end());
  reset();
}

void Kriging::reset() {
  rows_.clear();
  ones_.clear();
  pivots_.clear();
  solved_.clear();
  explained_.assign(count_, 0);
  mean_part_.assign(count_, 0);
  values_part_.assign(count_, 0);
}

/// Matérn 5/2 (Rasmussen and Williams 2006, equation 4.17): its functions have two derivatives and no more. A smoother
/// covariance would promise more than a loss keeps, and report errors that are too small.
double Kriging::covariance(std::size_t a, std::size_t b, double length) const {
  const double* first = coordinates_.data() + a * dimensions_;
  const double* second = coordinates_.data() + b * dimensions_;
  double distance = std::abs(first[0] - second[0]);
  for (std::size_t k = 1; k < dimensions_; ++k) distance = std::hypot(distance, first[k] - second[k]);
  const double r = std::sqrt(5.0) * distance / length;
  return (1 + r + r * r / 3) * std::exp(-r);
}

/// One more row of the factor, for a place: what all places share with those before is taken off. Forward substitution
/// over all places at once: row k of L⁻¹ C holds L's own entry for the new place (`factor`), so that a value costs
/// (known values) x (places), and nothing is factored again.
void Kriging::append(std::size_t place) {
  std::vector<double> row(count_);
  for (std::size_t p = 0; p < row.size(); ++p) row[p] = (1 - nugget_) * covariance(place, p, length_);
  double one = 1;
  for (std::size_t k = 0; k < rows_.size(); ++k) {
    const std::vector<double>& before = rows_[k];
    const double factor = before[place];
    for (std::size_t p = 0; p < row.size(); ++p) row[p] -= factor * before[p];
    one -= factor * ones_[k];
  }
  // What is left of the place's variance 1 - ν and its own part ν; below 0 by rounding alone.
  const double pivot = std::sqrt(std::max(row[place], 0.0) + nugget_);
  one /= pivot;
  for (std::size_t p = 0; p < row.size(); ++p) {
    row[p] /= pivot;
    explained_[p] += row[p] * row[p];
    mean_part_[p] += row[p] * one;
  }
  ones_.push_back(one);
  pivots_.push_back(pivot);
  rows_.push_back(std::move(row));
}

/// The value of the place that was appended last.
void Kriging::solve(std::size_t place) {
  const std::vector<double>& row = rows_.back();
  double rest = values_[rows_.size() - 1];
  for (std::size_t k = 0; k + 1 < rows_.size(); ++k) rest -= rows_[k][place] * solved_[k];
  rest /= pivots_.back();
  for (std::size_t p = 0; p < row.size(); ++p) values_part_[p] += row[p] * rest;
  solved_.push_back(rest);
}

void Kriging::add(std::size_t place, double value) {
  if (is_known_[place] || imagined_ > 0)
    throw std::logic_error("Kriging: a place is added once, and not while imagining");
  known_.push_back(place);
  is_known_[place] = true;
  values_.push_back(value);
  append(place);
  solve(place);
}

void Kriging::fit(std::span<Kriging* const> together) {
  double best = -std::numeric_limits<double>::infinity(), chosen = kUsualLength, chosen_nugget = kNuggets.front();
  for (int step = 0; step < kLengths; ++step) {
    const double length = length_at(step), prior = std::log(length / kUsualLength) / kPriorWidth;
    for (const double nugget : kNuggets) {
      double found = -0.5 * prior * prior;  // log ℓ is normal around the usual one
      for (const Kriging* kriging : together) found += kriging->likelihood(length, nugget);
      if (found <= best) continue;
      best = found;
      chosen = length;
      chosen_nugget = nugget;
    }
  }
  for (Kriging* kriging : together) kriging->assume_smoothness(chosen, chosen_nugget);
}

void Kriging::assume_smoothness(double length, double nugget) {
  if (length == length_ && nugget == nugget_) return;
  length_ = length;
  nugget_ = nugget;
  reset();
  for (const std::size_t place : known_) {
    append(place);
    solve(place);
  }
}

void Kriging::localize() {
  const std::size_t n = known_.size();
  const double beta = constant(), squared_scale = scale();
  // K⁻¹ = L⁻ᵀ L⁻¹: its diagonal, and its product with z - β (Rasmussen and Williams 2006, section 5.4.2).
  std::vector<double> diagonal(n, 0), product(n, 0);
  for (std::size_t i = 0; i < n; ++i) {
    std::vector<double> column;  // of L⁻¹, from its row i on
    for (std::size_t k = i; k < n; ++k) {
      double rest = k == i ? 1 : 0;
      for (std::size_t j = 0; j < column.size(); ++j) rest -= rows_[i + j][known_[k]] * column[j];
      column.push_back(rest / pivots_[k]);
      diagonal[i] += column.back() * column.back();
      product[i] += column.back() * (solved_[k] - beta * ones_[k]);
    }
  }
  // Left out, value i is missed by product[i] / diagonal[i], with the expected square s² / diagonal[i] (equation 5.12).
  // The ratio of the squares is 1 on average if one s² fits everywhere. Around each place it is averaged with the
  // weights of its covariances; s² itself counts as one value beside them.
  local_.assign(count_, 1);
  for (std::size_t p = 0; p < count_; ++p) {
    double weights = 1, sum = 1;
    for (std::size_t i = 0; i < n; ++i) {
      const double weight = covariance(p, known_[i], length_);
      weights += weight;
      sum += weight * product[i] * product[i] / (diagonal[i] * squared_scale);
    }
    local_[p] = std::clamp(sum / weights, kLeastLocal, kMostLocal);
  }
}

/// log of the restricted likelihood of ℓ and ν, up to constants (Rasmussen and Williams 2006, section 2.7).
double Kriging::likelihood(double length, double nugget) const {
  const std::size_t n = std::min(known_.size(), kMostFitted);
  std::vector<std::vector<double>> factor(n);
  std::vector<double> ones, solved;
  double log_determinant = 0;
  for (std::size_t i = 0; i < n; ++i) {
    factor[i].resize(i);
    double one = 1, value = values_[i], own = 1;
    for (std::size_t k = 0; k < i; ++k) {
      factor[i][k] =
          ((1 - nugget) * covariance(known_[i], known_[k], length) - dot(factor[i], factor[k], k)) / factor[k][k];
      one -= factor[i][k] * ones[k];
      value -= factor[i][k] * solved[k];
      own -= factor[i][k] * factor[i][k];
    }
    const double pivot = std::sqrt(std::max(own, nugget));  // exactly, own >= ν: no other value explains that part
    factor[i].push_back(pivot);
    ones.push_back(one / pivot);
    solved.push_back(value / pivot);
    log_determinant += 2 * std::log(pivot);
  }
  if (prior_ == Prior::standard) {
    // q = zᵀ K⁻¹ z. Under s² ~ scaled inverse χ² with ν₀ degrees of freedom around 1, the integral of N(z; 0, s² K)
    // over s² is proportional to |K|^(-1/2) (ν₀ + q)^(-(ν₀ + n) / 2).
    return -0.5 * ((static_cast<double>(n) + kPriorValues) * std::log(kPriorValues + dot(solved, solved, n)) +
                   log_determinant);
  }
  // The unknown mean is integrated out, which leaves n - 1 degrees of freedom and the factor (1ᵀ K⁻¹ 1)^(-1/2); s² is
  // at its maximum, rest / (n - 1).
  const double ones_squared = dot(ones, ones, n), mean = dot(ones, solved, n) / ones_squared;
  double rest = std::numeric_limits<double>::min();
  for (std::size_t i = 0; i < n; ++i) rest += (solved[i] - mean * ones[i]) * (solved[i] - mean * ones[i]);
  const auto freedom = static_cast<double>(n - 1);
  return -0.5 * (freedom * std::log(rest / freedom) + log_determinant + std::log(ones_squared));
}

/// The mean by generalized least squares: 1ᵀ K⁻¹ z / 1ᵀ K⁻¹ 1.
double Kriging::constant() const {
  if (prior_ == Prior::standard) return 0;
  const std::size_t n = known_.size();
  return dot(ones_, solved_, n) / dot(ones_, ones_, n);
}

/// β + cᵀ K⁻¹ (z - β 1), c the covariances of the place with the known ones.
std::vector<double> Kriging::means() const {
  const double beta = constant();
  std::vector<double> means(count_);
  for (std::size_t p = 0; p < means.size(); ++p) means[p] = beta + values_part_[p] - beta * mean_part_[p];
  return means;
}

double Kriging::squares() const { return dot(solved_, solved_, known_.size()); }

double Kriging::scale() const {
  if (assumed_scale_) return *assumed_scale_;
  const std::size_t n = known_.size();
  // As though kPriorValues values of mean square 1 had been seen before.
  if (prior_ == Prior::standard) return (kPriorValues + squares()) / (kPriorValues + static_cast<double>(n));
  const double beta = constant();
  const double rest = dot(solved_, solved_, n) - beta * beta * dot(ones_, ones_, n);
  return std::max(rest, 0.0) / static_cast<double>(n - 1);
}

/// s² (1 - cᵀ K⁻¹ c), and what the uncertain mean adds: s² (1 - cᵀ K⁻¹ 1)² / 1ᵀ K⁻¹ 1 (Rasmussen and Williams 2006,
/// equation 2.42).
std::vector<double> Kriging::variances() const {
  const double squared_scale = scale(), information = dot(ones_, ones_, ones_.size());
  std::vector<double> variances(count_);
  for (std::size_t p = 0; p < variances.size(); ++p) {
    const double of_mean = 1 - mean_part_[p];
    const double for_mean = prior_ == Prior::standard ? 0 : of_mean * of_mean / information;
    const double unexplained = std::max(0.0, 1 - explained_[p]) + for_mean;
    variances[p] = squared_scale * (local_.empty() ? 1 : local_[p]) * unexplained;
  }
  return variances;
}

void Kriging::imagine(std::size_t place) {
  if (imagined_++ == 0) {
    kept_explained_ = explained_;
    kept_mean_part_ = mean_part_;
  }
  append(place);
}

void Kriging::forget() {
  if (imagined_ == 0) return;
  explained_ = std::move(kept_explained_);
  mean_part_ = std::move(kept_mean_part_);
  rows_.resize(known_.size());
  ones_.resize(known_.size());
  pivots_.resize(known_.size());
  imagined_ = 0;
}

}  // namespace lossatlas
