#include "evaluation/probed_point.h"

#include <cmath>
#include <numeric>
#include <utility>

#include "curvature/vectors.h"

namespace lossatlas {

ProbedPoint::ProbedPoint(const NetworkTensors& centre, std::vector<std::size_t> places)
    : centre_(copy_state(centre, at::kCPU)), moved_(copy_state(centre, at::kCPU)), places_(std::move(places)) {
  if (places_.empty()) {
    places_.resize(centre_.parameters.size());
    std::iota(places_.begin(), places_.end(), 0);
  }
  for (const std::size_t place : places_) size_ += numbers_of(centre_.parameters[place].tensor).size();
}

double ProbedPoint::step(double share) const {
  double squares = 0;
  for (const NamedTensor& parameter : centre_.parameters) {
    const double length = norm(numbers_of(parameter.tensor));
    squares += length * length;
  }
  return share * std::sqrt(squares / static_cast<double>(size_));
}

const NetworkState& ProbedPoint::at(std::uint64_t seed, std::size_t probe, double c) {
  const Vector signs = rademacher(size_, seed, probe);
  auto sign = signs.begin();
  for (const std::size_t place : places_) {
    const auto from = numbers_of(centre_.parameters[place].tensor), to = numbers_of(moved_.parameters[place].tensor);
    for (std::size_t i = 0; i < to.size(); ++i) to[i] = static_cast<float>(from[i] + c * *sign++);
  }
  return moved_;
}

}  // namespace lossatlas
