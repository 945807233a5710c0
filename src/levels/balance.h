#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace lossatlas {

/// What is known of every image before subsets are drawn: numbers whose mean a good subset shares. [features][images],
/// each with mean 0.
using Features = std::vector<std::vector<double>>;

/// The pilot's losses, [points][images], each over its mean, those first that vary most; then the class of each image
/// (if there are labels), which decides most of its loss where the network says the same of all. Points with losses
/// that are not finite, or all 0, carry no information.
Features features_of(const std::vector<std::span<const double>>& losses, std::span<const std::int64_t> labels);

/// An order of the images in which the first sizes[0], sizes[1], … (ascending, fewer than all) have the means of all,
/// as nearly as exchanges of single images reach it: balanced sampling (Deville and Tillé 2004, "Efficient balanced
/// sampling: the cube method", Biometrika 91). Exchanged are images that are alike in the first feature: free
/// exchanges gather odd images that make up for each other at the pilot's points, and not elsewhere. Starts from the
/// order of `features`, which should be random: what the features do not determine is left to chance.
std::vector<std::int64_t> balanced_order(const Features& features, std::span<const std::int64_t> sizes);

/// The error of means over balanced subsets: what features explain does not add to it (Deville and Tillé 2005,
/// "Variance approximation under balanced sampling", Journal of Statistical Planning and Inference 128).
class BalancedError {
 public:
  /// `features`: in an order from balanced_order for these sizes.
  BalancedError(const Features& features, std::vector<std::int64_t> sizes);

  /// The standard error of the mean over the first sizes[k] images as an estimate of the mean over all, from their
  /// losses in that order: that of what a regression on the features leaves, and what the subset lacks in balance by
  /// that regression. NaN where a loss is not finite.
  double standard_error(std::size_t k, std::span<const double> losses) const;

 private:
  struct Part {
    std::vector<std::vector<double>> basis;  // of features (size / 3 at most) and 1: orthonormal, [·][size]
    std::vector<double> constant;            // its product with losses: the constant of their regression
    std::vector<double> leverages;           // of each image
  };
  static Part part_of(const Features& features, std::size_t size);

  std::vector<std::int64_t> sizes_;
  std::int64_t images_;
  std::vector<Part> parts_;
};

}  // namespace lossatlas
