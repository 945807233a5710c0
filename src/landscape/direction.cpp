#include "landscape/direction.h"

#include <fnmatch.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "base/error.h"
#include "base/names.h"
#include "base/philox.h"

namespace lossatlas {
namespace {

constexpr NameTable<DirectionType, 2> kTypeNames{
    {{DirectionType::weights, "weights"}, {DirectionType::states, "states"}}};
constexpr NameTable<Normalization, 6> kNormalizationNames{{{Normalization::filter, "filter"},
                                                           {Normalization::layer, "layer"},
                                                           {Normalization::weight, "weight"},
                                                           {Normalization::dfilter, "dfilter"},
                                                           {Normalization::dlayer, "dlayer"},
                                                           {Normalization::none, "none"}}};
constexpr NameTable<Distribution, 2> kDistributionNames{
    {{Distribution::gaussian, "gaussian"}, {Distribution::uniform, "uniform"}}};

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

constexpr std::size_t kChunk = 8192;  // numbers that one thread draws or adds up at a time

void draw(std::span<float> out, std::uint64_t number, const DirectionOptions& options) {
  if (options.distribution == Distribution::uniform) {
    RandomStream stream(options.seed, Purpose::direction, number);
    for (float& value : out) value = static_cast<float>(2 * stream.uniform() - 1);
    return;
  }
#pragma omp parallel for schedule(static)
  for (std::size_t first = 0; first < out.size(); first += kChunk) {
    const auto part = out.subspan(first, std::min(kChunk, out.size() - first));
    fill_normal(part, options.seed, Purpose::direction, number, first);
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

/// float32 on the CPU, contiguous.
at::Tensor plain(const at::Tensor& tensor) { return tensor.detach().to(at::kCPU, at::kFloat).contiguous(); }

std::size_t filters_of(const at::Tensor& theta) {
  return theta.dim() > 1 ? static_cast<std::size_t>(theta.size(0)) : 1;
}

bool is_zero(std::span<const float> values) {
  return std::all_of(values.begin(), values.end(), [](float value) { return value == 0; });
}

/// The entries of a network that are zero in a direction.
class Ignored {
 public:
  Ignored(const NetworkTensors& network, const Ignore& ignore) : ignore_(ignore) {
    for (const auto& [name, tensor] : network.parameters) {
      if (tensor.dim() == 1 && name.ends_with(kWeight)) norms_.insert(name.substr(0, name.size() - kWeight.size()));
    }
    for (const std::string& pattern : ignore.patterns) {
      const auto fits = [&](const NamedTensor& entry) { return matches(pattern, entry.name); };
      if (std::any_of(network.parameters.begin(), network.parameters.end(), fits)) continue;
      if (std::any_of(network.buffers.begin(), network.buffers.end(), fits)) continue;
      throw UsageError("`ignore` {}: no parameter has such a name; wants bias, bn, patterns as in fc.*, or none",
                       pattern);
    }
  }

  bool holds(const NamedTensor& entry) const {
    const auto fits = [&](const std::string& pattern) { return matches(pattern, entry.name); };
    if (std::any_of(ignore_.patterns.begin(), ignore_.patterns.end(), fits)) return true;
    const bool is_norm = norms_.contains(entry.name.substr(0, entry.name.rfind('.') + 1));
    return entry.tensor.dim() <= 1 && (is_norm ? ignore_.bn : ignore_.bias);
  }

 private:
  static constexpr std::string_view kWeight = "weight";

  static bool matches(const std::string& pattern, const std::string& name) {
    return fnmatch(pattern.c_str(), name.c_str(), 0) == 0;
  }

  const Ignore& ignore_;
  std::set<std::string> norms_;  // "layer1.0.bn1.": modules with a one-dimensional weight
};

}  // namespace

std::string_view name_of(DirectionType type) { return kTypeNames.name_of(type); }

DirectionType direction_type_of(const std::string& name) { return kTypeNames.parse("`dir_type`", name); }

DirectionType type_of(const NetworkTensors& direction) {
  return direction.buffers.empty() ? DirectionType::weights : DirectionType::states;
}

StatePart part_of(DirectionType type) {
  return type == DirectionType::weights ? StatePart::parameters : StatePart::all;
}

std::string_view name_of(Normalization normalization) { return kNormalizationNames.name_of(normalization); }

Normalization normalization_of(const std::string& name) { return kNormalizationNames.parse("`norm`", name); }

std::string_view name_of(Distribution distribution) { return kDistributionNames.name_of(distribution); }

Distribution distribution_of(const std::string& name) { return kDistributionNames.parse("`distribution`", name); }

Ignore ignore_of(const std::string& words) {
  Ignore ignore{false, false, {}};
  if (words == "none") return ignore;
  for (std::size_t first = 0; first != std::string::npos;) {
    const std::size_t end = words.find(',', first);
    const std::string word = words.substr(first, end - first);
    first = end == std::string::npos ? end : end + 1;
    if (word.empty()) throw UsageError("`ignore` '{}': wants bias, bn, patterns of names as in fc.*, or none", words);
    if (word == "bias") {
      ignore.bias = true;
    } else if (word == "bn") {
      ignore.bn = true;
    } else {
      ignore.patterns.push_back(word);
    }
  }
  return ignore;
}

std::string name_of(const Ignore& ignore) {
  std::vector<std::string> words = ignore.patterns;
  if (ignore.bn) words.insert(words.begin(), "bn");
  if (ignore.bias) words.insert(words.begin(), "bias");
  return words.empty() ? "none" : fmt::format("{}", fmt::join(words, ","));
}

Direction random_direction(const NetworkTensors& origin, std::uint32_t number, const DirectionOptions& options) {
  const Ignored ignored(origin, options.ignore);
  const auto stream = [&](std::size_t entry) { return static_cast<std::uint64_t>(number) << 32 | entry; };
  bool moves = false;
  const auto draw_entry = [&](const NamedTensor& entry, std::size_t index, const at::Tensor& values) {
    if (ignored.holds(entry) || !entry.tensor.is_floating_point()) return;
    const auto theta = plain(entry.tensor);
    draw(numbers_of(values), stream(index), options);
    normalize(numbers_of(values), numbers_of(theta), filters_of(theta), options.normalization);
    moves = true;
  };
  Direction direction = zeros_like(origin, part_of(options.type));
  const std::size_t count = direction.parameters.size();
  for (std::size_t p = 0; p < count; ++p) draw_entry(origin.parameters[p], p, direction.parameters[p].tensor);
  if (!moves) throw UsageError("`ignore` {}: leaves nothing to move", name_of(options.ignore));
  for (std::size_t b = 0; b < direction.buffers.size(); ++b) {
    draw_entry(origin.buffers[b], count + b, direction.buffers[b].tensor);
  }
  return direction;
}

/// Takes from `moved` what it has in common with one direction, and keeps its normalization.
void separate(const Direction& fixed, Direction& moved, const NetworkTensors& origin, Normalization normalization) {
  const bool once = normalization == Normalization::weight || normalization == Normalization::none;
  const double share = dot(fixed, moved) / dot(fixed, fixed);
  for (std::size_t p = 0; p < moved.parameters.size(); ++p) {
    const auto from = numbers_of(fixed.parameters[p].tensor), to = numbers_of(moved.parameters[p].tensor);
#pragma omp parallel for schedule(static)
    for (std::size_t i = 0; i < to.size(); ++i) {
      to[i] = static_cast<float>(static_cast<double>(to[i]) - share * static_cast<double>(from[i]));
    }
    const auto theta = plain(origin.parameters[p].tensor);
    if (!once && !is_zero(from)) normalize(to, numbers_of(theta), filters_of(theta), normalization);
  }
}

void make_orthogonal(std::span<const Direction> fixed, Direction& moved, const NetworkTensors& origin,
                     Normalization normalization) {
  constexpr double kNearZero = 1e-7;
  constexpr int kMost = 100;
  for (int turn = 0; turn < kMost && norm(moved) > 0; ++turn) {
    bool is_orthogonal = true;
    for (const Direction& other : fixed) {
      if (std::abs(cosine(other, moved)) < kNearZero) continue;
      separate(other, moved, origin, normalization);
      is_orthogonal = false;
    }
    if (is_orthogonal) return;
  }
  throw Error("direction {} cannot be made orthogonal to those before it: there are too few filters for {}",
              fixed.size() + 1, name_of(normalization));
}

double dot(const NetworkTensors& a, const NetworkTensors& b) {
  double sum = 0;
  for (std::size_t p = 0; p < a.parameters.size(); ++p) {
    const at::Tensor first = a.parameters[p].tensor.cpu(), second = b.parameters[p].tensor.cpu();
    const auto left = numbers_of(first), right = numbers_of(second);
    std::vector<double> parts((left.size() + kChunk - 1) / kChunk);
#pragma omp parallel for schedule(static)
    for (std::size_t part = 0; part < parts.size(); ++part) {
      const std::size_t end = std::min(left.size(), (part + 1) * kChunk);
      double own = 0;
      for (std::size_t i = part * kChunk; i < end; ++i) {
        own += static_cast<double>(left[i]) * static_cast<double>(right[i]);
      }
      parts[part] = own;
    }
    for (const double part : parts) sum += part;
  }
  return sum;
}

double norm(const NetworkTensors& a) { return std::sqrt(dot(a, a)); }

double cosine(const NetworkTensors& a, const NetworkTensors& b) {
  const double lengths = norm(a) * norm(b);
  return lengths > 0 ? dot(a, b) / lengths : 0;
}

}  // namespace lossatlas
