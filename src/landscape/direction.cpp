#include "landscape/direction.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <set>
#include <utility>

#include "base/error.h"
#include "base/philox.h"

namespace lossatlas {
namespace {

constexpr std::array<std::pair<Normalization, std::string_view>, 6> kNames{{{Normalization::filter, "filter"},
                                                                            {Normalization::layer, "layer"},
                                                                            {Normalization::weight, "weight"},
                                                                            {Normalization::dfilter, "dfilter"},
                                                                            {Normalization::dlayer, "dlayer"},
                                                                            {Normalization::none, "none"}}};

std::span<float> numbers(const torch::Tensor& tensor) {
  return {tensor.data_ptr<float>(), static_cast<std::size_t>(tensor.numel())};
}

double norm_of(std::span<const float> values) {
  double sum = 0;
  for (const float value : values) sum += static_cast<double>(value) * static_cast<double>(value);
  return std::sqrt(sum);
}

/// Scales one filter (or one layer) to the given length; a filter of zeros stays zero.
void scale_to(std::span<float> direction, double length) {
  const double own = norm_of(direction);
  const double factor = own > 0 ? length / own : 0;
  for (float& value : direction) value = static_cast<float>(value * factor);
}

void draw(std::span<float> out, std::uint64_t seed, std::uint64_t number) {
  constexpr std::size_t kChunk = 8192;
#pragma omp parallel for schedule(static)
  for (std::size_t first = 0; first < out.size(); first += kChunk) {
    const auto part = out.subspan(first, std::min(kChunk, out.size() - first));
    fill_normal(part, seed, Purpose::direction, number, first);
  }
}

void normalize(std::span<float> direction, std::span<const float> theta, std::size_t filters, Normalization how) {
  if (how == Normalization::none) return;
  if (how == Normalization::weight) {
    for (std::size_t i = 0; i < direction.size(); ++i) direction[i] *= theta[i];
    return;
  }
  const bool whole = how == Normalization::layer || how == Normalization::dlayer;
  const bool unit = how == Normalization::dfilter || how == Normalization::dlayer;
  const std::size_t parts = whole ? 1 : filters;
  const std::size_t size = direction.size() / parts;
#pragma omp parallel for schedule(static)
  for (std::size_t part = 0; part < parts; ++part) {
    const double length = unit ? 1.0 : norm_of(theta.subspan(part * size, size));
    scale_to(direction.subspan(part * size, size), length);
  }
}

/// Names of the one-dimensional parameters that belong to a batch norm: those beside a one-dimensional NAME.weight.
std::set<std::string> batch_norm_parameters(const std::vector<NamedTensor>& parameters) {
  constexpr std::string_view kWeight = "weight";
  std::set<std::string> names;
  for (const auto& [name, tensor] : parameters) {
    if (tensor.dim() != 1 || !name.ends_with(kWeight)) continue;
    names.insert(name);
    names.insert(name.substr(0, name.size() - kWeight.size()) + "bias");
  }
  return names;
}

}  // namespace

std::string_view name_of(Normalization normalization) {
  const auto* found = std::find_if(kNames.begin(), kNames.end(), [&](auto& p) { return p.first == normalization; });
  return found->second;
}

Normalization normalization_of(const std::string& name) {
  for (const auto& [value, text] : kNames) {
    if (text == name) return value;
  }
  throw UsageError("--norm {}: wants filter, layer, weight, dfilter, dlayer or none", name);
}

Ignore ignore_of(const std::string& words) {
  if (words == "none") return {false, false};
  if (words == "bias") return {true, false};
  if (words == "bn") return {false, true};
  if (words == "bias,bn" || words == "bn,bias") return {true, true};
  throw UsageError("--ignore {}: wants bias, bn, both as bias,bn, or none", words);
}

std::string name_of(Ignore ignore) {
  if (ignore.bias && ignore.bn) return "bias,bn";
  return ignore.bias ? "bias" : ignore.bn ? "bn" : "none";
}

Direction random_direction(const std::vector<NamedTensor>& parameters, std::uint32_t number,
                           const DirectionOptions& options) {
  const auto batch_norm = batch_norm_parameters(parameters);
  Direction direction;
  direction.reserve(parameters.size());
  for (std::size_t p = 0; p < parameters.size(); ++p) {
    const auto& [name, given] = parameters[p];
    const auto theta = given.detach().to(torch::kCPU, torch::kFloat32).contiguous();
    const auto values = torch::empty_like(theta);
    const bool is_batch_norm = batch_norm.contains(name);
    const bool ignored = theta.dim() <= 1 && (is_batch_norm ? options.ignore.bn : options.ignore.bias);
    if (ignored) {
      values.zero_();
    } else {
      draw(numbers(values), options.seed, static_cast<std::uint64_t>(number) << 32 | p);
      const std::size_t filters = theta.dim() > 1 ? static_cast<std::size_t>(theta.size(0)) : 1;
      normalize(numbers(values), numbers(theta), filters, options.normalization);
    }
    direction.push_back({name, values});
  }
  return direction;
}

double dot(const Direction& a, const Direction& b) {
  double sum = 0;
  for (std::size_t p = 0; p < a.size(); ++p) {
    const auto left = numbers(a[p].tensor), right = numbers(b[p].tensor);
    for (std::size_t i = 0; i < left.size(); ++i) sum += static_cast<double>(left[i]) * static_cast<double>(right[i]);
  }
  return sum;
}

double norm(const Direction& a) { return std::sqrt(dot(a, a)); }

double cosine(const Direction& a, const Direction& b) {
  const double lengths = norm(a) * norm(b);
  return lengths > 0 ? dot(a, b) / lengths : 0;
}

}  // namespace lossatlas
