#include "data/resample.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/error.h"
#include "base/names.h"

namespace lossatlas {
namespace {

constexpr NameTable<Interpolation, 3> kInterpolations{
    {{Interpolation::bilinear, "bilinear"}, {Interpolation::bicubic, "bicubic"}, {Interpolation::nearest, "nearest"}}};

/// Weights are whole multiples of 2^-22: sums of 8-bit values times weights, negative ones too, stay within 32 bits.
constexpr int kWeightBits = 22;
constexpr std::int32_t kHalf = 1 << (kWeightBits - 1);

std::uint8_t rounded(std::int32_t sum) { return static_cast<std::uint8_t>(std::clamp(sum >> kWeightBits, 0, 255)); }

/// Each pixel of an axis as a weighted sum of consecutive pixels of the picture.
struct Taps {
  struct Pixel {
    std::int64_t first, count;  // pixels of the picture
    std::size_t weights;        // where the first one's is
  };
  std::vector<Pixel> pixels;
  std::vector<std::int32_t> weights;
};

double triangle(double x) { return x < 1 ? 1 - x : 0; }

/// Keys, "Cubic convolution interpolation for digital image processing" (1981), with a = -1/2.
double cubic(double x) {
  constexpr double a = -0.5;
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

/// The pixels `begin` to `end` of the resized axis, each the mean of what a filter as wide as the reduction sees.
Taps filter_taps(const CroppedAxis& axis, std::int64_t begin, std::int64_t end, Interpolation interpolation) {
  const bool is_cubic = interpolation == Interpolation::bicubic;
  const double scale = static_cast<double>(axis.from) / static_cast<double>(axis.resized);
  const double width = std::max(scale, 1.0), support = (is_cubic ? 2.0 : 1.0) * width;
  Taps taps;
  std::vector<double> weights;
  for (std::int64_t i = begin; i < end; ++i) {
    const double center = (static_cast<double>(i) + 0.5) * scale;
    const auto first = std::max<std::int64_t>(static_cast<std::int64_t>(center - support + 0.5), 0);
    const auto last = std::min(static_cast<std::int64_t>(center + support + 0.5), axis.from);
    weights.clear();
    double sum = 0;
    for (std::int64_t k = first; k < last; ++k) {
      const double distance = std::abs((static_cast<double>(k) - center + 0.5) * (1 / width));
      weights.push_back(is_cubic ? cubic(distance) : triangle(distance));
      sum += weights.back();
    }
    taps.pixels.push_back({first, last - first, taps.weights.size()});
    for (const double weight : weights) {
      taps.weights.push_back(static_cast<std::int32_t>(std::lround(weight / sum * (1 << kWeightBits))));
    }
  }
  return taps;
}

/// Pillow adds up the steps, rounding each sum.
Taps nearest_taps(const CroppedAxis& axis, std::int64_t begin, std::int64_t end) {
  const double scale = static_cast<double>(axis.from) / static_cast<double>(axis.resized);
  Taps taps{.pixels = {}, .weights = {1 << kWeightBits}};
  double place = scale * 0.5;
  for (std::int64_t i = 0; i < end; ++i, place += scale) {
    const auto nearest = std::min(static_cast<std::int64_t>(place), axis.from - 1);
    if (i >= begin) taps.pixels.push_back({nearest, 1, 0});
  }
  return taps;
}

/// What of an axis the image shows.
struct Visible {
  Taps taps;
  std::size_t place = 0;  // of the first in the image
};

Visible visible_of(const CroppedAxis& axis, Interpolation interpolation) {
  const std::int64_t begin = std::max<std::int64_t>(axis.start, 0),
                     end = std::min(axis.start + axis.size, axis.resized);
  return {interpolation == Interpolation::nearest ? nearest_taps(axis, begin, end)
                                                  : filter_taps(axis, begin, end, interpolation),
          static_cast<std::size_t>(begin - axis.start)};
}

/// A row of the picture, [width][3], along x: to [3][pixels].
void filter_row(const std::uint8_t* row, const Taps& taps, std::uint8_t* out) {
  const std::size_t width = taps.pixels.size();
  for (std::size_t x = 0; x < width; ++x) {
    const auto& [first, count, place] = taps.pixels[x];
    const std::uint8_t* pixel = row + 3 * first;
    const std::int32_t* weights = taps.weights.data() + place;
    std::int32_t red = kHalf, green = kHalf, blue = kHalf;
    for (std::int64_t k = 0; k < count; ++k, pixel += 3) {
      red += weights[k] * pixel[0];
      green += weights[k] * pixel[1];
      blue += weights[k] * pixel[2];
    }
    out[x] = rounded(red);
    out[width + x] = rounded(green);
    out[2 * width + x] = rounded(blue);
  }
}

void add_row(const std::uint8_t* row, std::int32_t weight, std::int32_t* sums, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) sums[i] += weight * row[i];
}

std::int64_t resized_side(std::int64_t shorter, std::int64_t longer, std::int64_t size) {
  return static_cast<std::int64_t>(static_cast<double>(size * longer) / static_cast<double>(shorter));
}

/// torchvision rounds halves to even, and pads what is missing evenly.
void crop(CroppedAxis& axis, std::int64_t size) {
  const std::int64_t more = axis.resized - size;
  axis.size = size;
  axis.start = more < 0 ? -(-more / 2) : more / 2 + (more % 4 == 3 ? 1 : 0);
}

}  // namespace

Interpolation interpolation_of(const std::string& name) { return kInterpolations.parse("`interpolation`", name); }

Cropping cropping_of(std::int64_t width, std::int64_t height, const ImageOptions& options) {
  Cropping cropping{.x = {.from = width, .resized = width}, .y = {.from = height, .resized = height}};
  auto& [x, y] = cropping;
  if (options.resize.size() == 1) {
    const std::int64_t size = options.resize[0];
    x.resized = width <= height ? size : resized_side(height, width, size);
    y.resized = width <= height ? resized_side(width, height, size) : size;
  } else if (!options.resize.empty()) {
    y.resized = options.resize[0];
    x.resized = options.resize[1];
  }
  if (x.resized * y.resized > kMostPixels) {
    throw Error("would be resized to {}x{} pixels, more than the {} allowed", x.resized, y.resized, kMostPixels);
  }
  crop(y, options.crop.empty() ? y.resized : options.crop.front());
  crop(x, options.crop.empty() ? x.resized : options.crop.back());
  return cropping;
}

void resample(Picture& picture, const Cropping& cropping, Interpolation interpolation, std::span<std::uint8_t> image) {
  const auto [across, left] = visible_of(cropping.x, interpolation);
  const auto [down, top] = visible_of(cropping.y, interpolation);
  const std::size_t width = across.pixels.size(), height = down.pixels.size();
  std::vector<std::uint8_t> row(3 * width);
  std::vector<std::int32_t> sums(height * row.size(), kHalf);
  std::size_t open = 0;  // the first row of the image that is not complete
  for (std::int64_t y = 0; y < picture.height(); ++y) {
    const std::uint8_t* pixels = picture.next_row();
    while (open < height && down.pixels[open].first + down.pixels[open].count <= y) ++open;
    if (open == height || down.pixels[open].first > y) continue;
    filter_row(pixels, across, row.data());
    for (std::size_t k = open; k < height && down.pixels[k].first <= y; ++k) {
      const auto& [first, count, place] = down.pixels[k];
      if (y >= first + count) continue;
      add_row(row.data(), down.weights[place + static_cast<std::size_t>(y - first)], sums.data() + k * row.size(),
              row.size());
    }
  }
  const auto wide = static_cast<std::size_t>(cropping.x.size), high = static_cast<std::size_t>(cropping.y.size);
  std::fill(image.begin(), image.end(), std::uint8_t{0});
  for (std::size_t k = 0; k < height; ++k) {
    for (std::size_t c = 0; c < 3; ++c) {
      const std::int32_t* from = sums.data() + (3 * k + c) * width;
      std::transform(from, from + width, image.data() + (c * high + top + k) * wide + left, rounded);
    }
  }
}

}  // namespace lossatlas
