#include "levels/balance.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

namespace lossatlas {
namespace {

constexpr double kClassWeight = 3;  // of an image's class, beside losses whose mean is 1
constexpr std::size_t kTaken = 8;   // images of a stratum in a subset: of 1, 4, 8, 16 and 32 the best on CIFAR-10
constexpr int kRounds = 6;
constexpr std::int64_t kImagesAFeature = 3;  // of a subset: a regression on more features would explain what is chance
constexpr double kMostLeverage = 0.95;

double dot(std::span<const double> a, std::span<const double> b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

/// The features of each image beside one another: [images][features].
std::vector<std::vector<double>> by_image(const Features& features) {
  std::vector<std::vector<double>> rows(features.front().size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    for (const auto& feature : features) rows[i].push_back(feature[i]);
  }
  return rows;
}

/// Images of a pool that are alike, and how many of them, the first ones, a subset holds.
struct Stratum {
  std::vector<std::int64_t> images;
  std::size_t taken;
};

/// The images of a pool sorted by their numbers and cut into parts of which a subset holds kTaken or a few more each;
/// in a part they stand as in the pool.
std::vector<Stratum> strata_of(const std::vector<std::int64_t>& pool, const std::vector<double>& numbers,
                               std::size_t size) {
  std::vector<std::size_t> places(pool.size());
  std::iota(places.begin(), places.end(), 0);
  const auto number_at = [&](std::size_t place) { return numbers[static_cast<std::size_t>(pool[place])]; };
  std::stable_sort(places.begin(), places.end(), [&](auto a, auto b) { return number_at(a) < number_at(b); });
  const std::size_t parts = std::max<std::size_t>(1, size / kTaken);
  std::vector<Stratum> strata;
  for (std::size_t part = 0; part < parts; ++part) {
    const std::size_t taken = part * size / parts, then = (part + 1) * size / parts;
    const std::size_t first = taken * pool.size() / size, end = then * pool.size() / size;
    std::sort(places.begin() + static_cast<std::ptrdiff_t>(first), places.begin() + static_cast<std::ptrdiff_t>(end));
    Stratum& stratum = strata.emplace_back(Stratum{{}, then - taken});
    for (std::size_t i = first; i < end; ++i) stratum.images.push_back(pool[places[i]]);
  }
  return strata;
}

/// The images that a subset holds: exchanges within the strata, each with the best of the others, until the sum of
/// their rows is as near to 0 as they bring it. Features have mean 0 over all images, so a sum of 0 means that the
/// subset has the means of all. Every exchange makes |sum|² smaller, so the search ends.
std::vector<std::int64_t> balanced(std::vector<Stratum> strata, const std::vector<std::vector<double>>& rows) {
  const auto row_of = [&](std::int64_t image) -> const std::vector<double>& {
    return rows[static_cast<std::size_t>(image)];
  };
  std::vector<double> sum(rows.front().size(), 0);
  const auto add = [&](std::int64_t image, double sign) {
    for (std::size_t f = 0; f < sum.size(); ++f) sum[f] += sign * row_of(image)[f];
  };
  // |sum + row|² - |sum|² = 2 sum·row + |row|².
  const auto length = [&](const std::vector<double>& row) {
    double twice = 0, square = 0;
    for (std::size_t f = 0; f < row.size(); ++f) {
      twice += sum[f] * row[f];
      square += row[f] * row[f];
    }
    return 2 * twice + square;
  };
  for (const auto& [images, taken] : strata) {
    for (std::size_t i = 0; i < taken; ++i) add(images[i], 1);
  }
  bool has_changed = true;
  for (int round = 0; round < kRounds && has_changed; ++round) {
    has_changed = false;
    for (auto& [images, taken] : strata) {
      for (std::size_t i = 0; i < taken; ++i) {
        add(images[i], -1);
        const double own = length(row_of(images[i]));
        double least = own - 1e-9 * (1 + std::abs(own));  // less than this is rounding: images would swap for ever
        std::size_t best = i;
        for (std::size_t j = taken; j < images.size(); ++j) {
          const double found = length(row_of(images[j]));
          if (found >= least) continue;
          least = found;
          best = j;
        }
        has_changed |= best != i;
        std::swap(images[i], images[best]);
        add(images[i], 1);
      }
    }
  }
  std::vector<std::int64_t> chosen;
  for (const auto& [images, taken] : strata) {
    chosen.insert(chosen.end(), images.begin(), images.begin() + static_cast<std::ptrdiff_t>(taken));
  }
  return chosen;
}

void take_off(std::vector<double>& from, double part, const std::vector<double>& of) {
  for (std::size_t i = 0; i < from.size(); ++i) from[i] -= part * of[i];
}

/// An orthonormal basis of the first `size` numbers of `features`: those first that the vectors before them leave most
/// of, `most` at most. Gram and Schmidt with pivots: features that depend on others come last, and are left out before
/// rounding is all that remains of them.
std::vector<std::vector<double>> basis_of(const Features& features, std::size_t size, std::size_t most) {
  constexpr double kLeast = 1e-10;  // of a vector: below, the others already tell it
  std::vector<std::vector<double>> rest, basis;
  std::vector<double> least;
  for (const auto& feature : features) {
    const auto& part = rest.emplace_back(feature.begin(), feature.begin() + static_cast<std::ptrdiff_t>(size));
    least.push_back(kLeast * dot(part, part));
  }
  while (basis.size() < most) {
    double largest = 0;
    const std::vector<double>* next = nullptr;
    for (std::size_t k = 0; k < rest.size(); ++k) {
      const double left = dot(rest[k], rest[k]);
      if (left <= std::max(largest, least[k])) continue;
      largest = left;
      next = &rest[k];
    }
    if (next == nullptr) break;
    auto vector = *next;
    for (double& number : vector) number /= std::sqrt(largest);
    for (auto& other : rest) take_off(other, dot(other, vector), vector);
    basis.push_back(std::move(vector));
  }
  return basis;
}

}  // namespace

Features features_of(const std::vector<std::span<const double>>& losses, std::span<const std::int64_t> labels) {
  const auto images = static_cast<double>(losses.empty() ? labels.size() : losses.front().size());
  Features features;
  for (const auto& row : losses) {
    const double mean = std::accumulate(row.begin(), row.end(), 0.0) / images;
    if (!std::isfinite(mean) || mean <= 0) continue;
    auto& feature = features.emplace_back();
    // Over its mean, as levels add up log loss: a subset's mean of these is the relative error of its loss there, which
    // is the error of its logarithm.
    for (const double loss : row) feature.push_back(loss / mean - 1);
  }
  const auto varies_more = [](const auto& a, const auto& b) { return dot(a, a) > dot(b, b); };
  std::stable_sort(features.begin(), features.end(), varies_more);
  if (labels.empty() && features.empty()) features.emplace_back(static_cast<std::size_t>(images), 0.0);
  const std::int64_t classes = labels.empty() ? 0 : *std::max_element(labels.begin(), labels.end()) + 1;
  for (std::int64_t c = 0; c < classes; ++c) {
    const double share = static_cast<double>(std::count(labels.begin(), labels.end(), c)) / images;
    auto& feature = features.emplace_back();
    for (const std::int64_t label : labels) feature.push_back(kClassWeight * ((label == c ? 1 : 0) - share));
  }
  return features;
}

std::vector<std::int64_t> balanced_order(const Features& features, std::span<const std::int64_t> sizes) {
  const auto rows = by_image(features);
  std::vector<std::int64_t> order(rows.size());
  std::iota(order.begin(), order.end(), 0);
  auto pool = order;
  for (std::size_t k = sizes.size(); k-- > 0;) {  // the largest first: each next one is a part of it
    const auto size = static_cast<std::size_t>(sizes[k]);
    std::vector<bool> is_chosen(rows.size(), false);
    for (const std::int64_t image : balanced(strata_of(pool, features.front(), size), rows)) {
      is_chosen[static_cast<std::size_t>(image)] = true;
    }
    const auto is_in = [&](std::int64_t image) { return is_chosen[static_cast<std::size_t>(image)]; };
    std::stable_partition(pool.begin(), pool.end(), is_in);
    std::copy(pool.begin(), pool.end(), order.begin());
    pool.resize(size);
  }
  return order;
}

BalancedError::BalancedError(const Features& features, std::vector<std::int64_t> sizes)
    : sizes_(std::move(sizes)), images_(static_cast<std::int64_t>(features.front().size())) {
  for (const std::int64_t size : sizes_) parts_.push_back(part_of(features, static_cast<std::size_t>(size)));
}

BalancedError::Part BalancedError::part_of(const Features& features, std::size_t size) {
  Part part{basis_of(features, size, size / kImagesAFeature), std::vector<double>(size, 1),
            std::vector<double>(size, 0)};
  // What the features leave of 1, u: u·losses / u·u is the constant of the regression on the features (Frisch and Waugh
  // 1933), the mean at features 0: what it would be if the subset were balanced perfectly.
  for (const auto& vector : part.basis) {
    take_off(part.constant, std::accumulate(vector.begin(), vector.end(), 0.0), vector);
  }
  const double square = dot(part.constant, part.constant);
  auto& last = part.basis.emplace_back(part.constant);
  for (double& number : last) number /= std::sqrt(square);
  for (double& number : part.constant) number /= square;
  for (const auto& vector : part.basis) {
    for (std::size_t i = 0; i < size; ++i) part.leverages[i] += vector[i] * vector[i];
  }
  return part;
}

double BalancedError::standard_error(std::size_t k, std::span<const double> losses) const {
  const Part& part = parts_[k];
  const auto size = static_cast<std::size_t>(sizes_[k]);
  const auto n = static_cast<double>(size);
  std::vector<double> rest(losses.begin(), losses.begin() + static_cast<std::ptrdiff_t>(size));
  const double mean = std::accumulate(rest.begin(), rest.end(), 0.0) / n, imbalance = mean - dot(part.constant, rest);
  for (const auto& vector : part.basis) take_off(rest, dot(rest, vector), vector);
  // A regression pulls its line to each image: residual i has the variance σ² (1 - leverage i), so that sum / n
  // estimates σ² (HC2 of MacKinnon and White 1985). The mean of n of N images then has the variance σ² (1/n - 1/N), and
  // what the subset lacks in balance is a bias beside it.
  double sum = 0;
  for (std::size_t i = 0; i < size; ++i) sum += rest[i] * rest[i] / (1 - std::min(part.leverages[i], kMostLeverage));
  return std::sqrt(sum / n * (1 / n - 1 / static_cast<double>(images_)) + imbalance * imbalance);
}

}  // namespace lossatlas
