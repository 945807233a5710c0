#include "landscape/direction.h"

#include <fnmatch.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>

#include "base/error.h"
#include "base/names.h"
#include "base/philox.h"
#include "landscape/parameter_choice.h"

namespace lossatlas {
namespace {

constexpr NameTable<DirectionType, 2> kTypeNames{
    {{DirectionType::weights, "weights"}, {DirectionType::states, "states"}}};
constexpr NameTable<Normalization, 8> kNormalizationNames{{{Normalization::filter, "filter"},
                                                           {Normalization::column, "column"},
                                                           {Normalization::head, "head"},
                                                           {Normalization::layer, "layer"},
                                                           {Normalization::weight, "weight"},
                                                           {Normalization::dfilter, "dfilter"},
                                                           {Normalization::dlayer, "dlayer"},
                                                           {Normalization::none, "none"}}};
constexpr NameTable<Distribution, 2> kDistributionNames{
    {{Distribution::gaussian, "gaussian"}, {Distribution::uniform, "uniform"}}};

/// Parts of a contiguous tensor, of which part k holds the indices k · size, … of an axis: runs of numbers.
struct Parts {
  std::size_t count = 1;   // parts
  std::size_t runs = 1;    // of each
  std::size_t length = 1;  // of a run
  std::size_t begin_of(std::size_t part, std::size_t run) const { return (run * count + part) * length; }
};

Parts whole_of(const at::Tensor& tensor) { return {.length = static_cast<std::size_t>(tensor.numel())}; }

Parts parts_along(const at::Tensor& tensor, std::int64_t axis, std::int64_t size = 1) {
  if (tensor.dim() < 2 || tensor.numel() == 0) return whole_of(tensor);
  Parts parts{.count = static_cast<std::size_t>(tensor.size(axis) / size)};
  for (std::int64_t k = 0; k < axis; ++k) parts.runs *= static_cast<std::size_t>(tensor.size(k));
  parts.length = static_cast<std::size_t>(tensor.numel()) / parts.runs / parts.count;
  return parts;
}

/// Of one parameter under this normalization; nothing of those that go by single numbers.
std::optional<Parts> parts_of(const at::Tensor& theta, const Slices& slices, Normalization how) {
  switch (how) {
    case Normalization::filter:
    case Normalization::dfilter: return parts_along(theta, slices.axis);
    case Normalization::column: return parts_along(theta, 1);
    case Normalization::head:
      return slices.head ? parts_along(theta, slices.head->axis, slices.head->size) : parts_along(theta, slices.axis);
    case Normalization::layer:
    case Normalization::dlayer: return whole_of(theta);
    case Normalization::weight:
    case Normalization::none: break;
  }
  return std::nullopt;
}

double norm_of(std::span<const float> values, const Parts& parts, std::size_t part) {
  double sum = 0;
  for (std::size_t run = 0; run < parts.runs; ++run) {
    for (const float value : values.subspan(parts.begin_of(part, run), parts.length)) {
      sum += static_cast<double>(value) * static_cast<double>(value);
    }
  }
  return std::sqrt(sum);
}

/// Scales one part to the given length; one of zeros stays zero.
void scale_to(std::span<float> direction, const Parts& parts, std::size_t part, double length) {
  const double own = norm_of(direction, parts, part);
  const double factor = own > 0 ? length / own : 0;
  for (std::size_t run = 0; run < parts.runs; ++run) {
    for (float& value : direction.subspan(parts.begin_of(part, run), parts.length)) {
      value = static_cast<float>(value * factor);
    }
  }
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

void normalize(const at::Tensor& direction, const at::Tensor& theta, const Slices& slices, Normalization how) {
  const auto d = numbers_of(direction);
  const std::span<const float> t = numbers_of(theta);
  if (how == Normalization::weight) {
    for (std::size_t i = 0; i < d.size(); ++i) d[i] *= t[i];
  }
  const auto parts = parts_of(theta, slices, how);
  if (!parts) return;
  const bool unit = how == Normalization::dfilter || how == Normalization::dlayer;
#pragma omp parallel for schedule(static)
  for (std::size_t part = 0; part < parts->count; ++part) {
    scale_to(d, *parts, part, unit ? 1.0 : norm_of(t, *parts, part));
  }
}

/// float32 on the CPU, contiguous.
at::Tensor plain(const at::Tensor& tensor) { return tensor.detach().to(at::kCPU, at::kFloat).contiguous(); }

Slices slices_of(const DirectionOptions& options, std::size_t parameter) {
  return parameter < options.slices.size() ? options.slices[parameter] : Slices();
}

bool is_zero(std::span<const float> values) {
  return std::all_of(values.begin(), values.end(), [](float value) { return value == 0; });
}

bool matches(const std::string& pattern, const std::string& name) {
  return fnmatch(pattern.c_str(), name.c_str(), 0) == 0;
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
      throw UsageError("`ignore` {}: no parameter has such a name; requires bias, bn, patterns as in fc.*, or none",
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
    if (word.empty())
      throw UsageError("`ignore` '{}': requires bias, bn, patterns of names as in fc.*, or none", words);
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
  parameters_of(options.parameters, origin);  // refuses patterns that fit nothing
  const auto moves_at_all = [&](const NamedTensor& entry) {
    const auto fits = [&](const std::string& pattern) { return matches(pattern, entry.name); };
    const auto& patterns = options.parameters;
    return !ignored.holds(entry) && (patterns.empty() || std::any_of(patterns.begin(), patterns.end(), fits));
  };
  const auto stream = [&](std::size_t entry) { return static_cast<std::uint64_t>(number) << 32 | entry; };
  bool moves = false, has_heads = false;
  const auto draw_entry = [&](const NamedTensor& entry, std::size_t index, const at::Tensor& values) {
    if (!moves_at_all(entry) || !entry.tensor.is_floating_point()) return;
    const auto theta = plain(entry.tensor);
    draw(numbers_of(values), stream(index), options);
    const Slices slices = slices_of(options, index);
    if (options.normalization == Normalization::head && slices.lacks_heads) {
      throw UsageError("`norm` head: {} belongs to attention, and its module does not give the number of heads",
                       entry.name);
    }
    has_heads = has_heads || slices.head.has_value();
    normalize(values, theta, slices, options.normalization);
    moves = true;
  };
  Direction direction = zeros_like(origin, part_of(options.type));
  const std::size_t count = direction.parameters.size();
  for (std::size_t p = 0; p < count; ++p) draw_entry(origin.parameters[p], p, direction.parameters[p].tensor);
  if (!moves) {
    const std::string of =
        options.parameters.empty() ? "" : fmt::format(" of `parameters` {}", fmt::join(options.parameters, ","));
    throw UsageError("`ignore` {}: leaves nothing{} to move", name_of(options.ignore), of);
  }
  if (options.normalization == Normalization::head && !has_heads) {
    throw UsageError("`norm` head: no parameter that moves belongs to attention of a known number of heads");
  }
  for (std::size_t b = 0; b < direction.buffers.size(); ++b) {
    draw_entry(origin.buffers[b], count + b, direction.buffers[b].tensor);
  }
  return direction;
}

/// Takes from `moved` what it has in common with one direction, and keeps its normalization.
void separate(const Direction& fixed, Direction& moved, const NetworkTensors& origin, const DirectionOptions& options) {
  const auto normalization = options.normalization;
  const bool once = normalization == Normalization::weight || normalization == Normalization::none;
  const double share = dot(fixed, moved) / dot(fixed, fixed);
  for (std::size_t p = 0; p < moved.parameters.size(); ++p) {
    const auto from = numbers_of(fixed.parameters[p].tensor), to = numbers_of(moved.parameters[p].tensor);
#pragma omp parallel for schedule(static)
    for (std::size_t i = 0; i < to.size(); ++i) {
      to[i] = static_cast<float>(static_cast<double>(to[i]) - share * static_cast<double>(from[i]));
    }
    const auto theta = plain(origin.parameters[p].tensor);
    if (!once && !is_zero(from)) normalize(moved.parameters[p].tensor, theta, slices_of(options, p), normalization);
  }
}

void make_orthogonal(std::span<const Direction> fixed, Direction& moved, const NetworkTensors& origin,
                     const DirectionOptions& options) {
  constexpr double kNearZero = 1e-7;
  constexpr int kMost = 100;
  for (int turn = 0; turn < kMost && norm(moved) > 0; ++turn) {
    bool is_orthogonal = true;
    for (const Direction& other : fixed) {
      if (std::abs(cosine(other, moved)) < kNearZero) continue;
      separate(other, moved, origin, options);
      is_orthogonal = false;
    }
    if (is_orthogonal) return;
  }
  throw Error("direction {} cannot be made orthogonal to those before it: there are too few filters for {}",
              fixed.size() + 1, name_of(options.normalization));
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
