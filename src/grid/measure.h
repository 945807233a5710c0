#pragma once

#include <cstdint>
#include <vector>

namespace lossatlas {

/// The loss of one parameter vector over a set of images.
struct Evaluation {
  double loss = 0;         // mean over the images
  double loss_se = 0;      // its standard error as an estimate of the mean over the whole split
  double accuracy = 0;     // percent
  double accuracy_se = 0;  // percent
  std::int64_t images = 0;
  std::vector<double> more = {};  // what else was asked for: names_of() says what
};

/// What single images give, in their order.
struct ImageResults {
  std::vector<double> losses;
  std::vector<std::uint8_t> is_correct;  // 1, or 0
};

}  // namespace lossatlas
