#include "data/synthetic.h"

#include <algorithm>
#include <cmath>

#include "base/philox.h"

namespace lossatlas {
namespace {

constexpr int kSide = 32;
constexpr std::uint64_t kSeed = 20181203;
constexpr int kShapes = 10;

bool odd(double x) { return (static_cast<int>(std::floor(x)) & 1) != 0; }

/// Whether (u, v) lies in the shape, which fills about the unit disc.
bool inside(int shape, double u, double v) {
  const double r2 = u * u + v * v;
  const double side = std::max(std::abs(u), std::abs(v));
  switch (shape) {
    case 0:  // disc
      return r2 < 0.8;
    case 1:  // ring
      return r2 < 1.0 && r2 > 0.36;
    case 2:  // square
      return side < 0.78;
    case 3:  // triangle
      return v > -0.6 && v + 1.732 * std::abs(u) < 1.0;
    case 4:  // cross
      return side < 1.0 && std::min(std::abs(u), std::abs(v)) < 0.26;
    case 5:  // stripes
      return r2 < 1.0 && odd(u * 2.5 + 0.5);
    case 6:  // checks
      return side < 0.9 && (odd(u / 0.45) != odd(v / 0.45));
    case 7: {  // dumbbell
      const double du = std::abs(u) - 0.6;
      return du * du + v * v < 0.16 || (std::abs(u) < 0.6 && std::abs(v) < 0.12);
    }
    case 8: {  // crescent
      const double du = u - 0.42;
      return r2 < 1.0 && du * du + v * v > 0.64;
    }
    default: {  // dots, 3 x 3
      const double du = u - 0.66 * std::floor(u / 0.66 + 0.5), dv = v - 0.66 * std::floor(v / 0.66 + 0.5);
      return side < 0.99 && du * du + dv * dv < 0.05;
    }
  }
}

struct Colour {
  double channel[3];
};

Colour random_colour(RandomStream& random) { return {{random.uniform(), random.uniform(), random.uniform()}}; }

/// A colour whose largest difference from another is at least `contrast`.
Colour colour_apart_from(const Colour& other, double contrast, RandomStream& random) {
  for (;;) {
    const Colour colour = random_colour(random);
    double apart = 0;
    for (int c = 0; c < 3; ++c) apart = std::max(apart, std::abs(colour.channel[c] - other.channel[c]));
    if (apart >= contrast) return colour;
  }
}

/// Where a shape lies: a turn, a size and a centre.
struct Pose {
  double cosine, sine, size, x, y;

  static Pose random(RandomStream& random, double smallest, double largest, double reach) {
    const double t = 0.3 * (2 * random.uniform() - 1);  // tan(angle / 2): turns up to 33 degrees each way
    Pose pose{};
    pose.cosine = (1 - t * t) / (1 + t * t);
    pose.sine = 2 * t / (1 + t * t);
    pose.size = smallest + (largest - smallest) * random.uniform();
    pose.x = kSide / 2.0 + reach * (2 * random.uniform() - 1);
    pose.y = kSide / 2.0 + reach * (2 * random.uniform() - 1);
    return pose;
  }

  /// Part of pixel (x, y) that the shape covers, from four points.
  double coverage(int shape, int column, int row) const {
    int hits = 0;
    for (int sub = 0; sub < 4; ++sub) {
      const double dx = (column + 0.25 + 0.5 * (sub & 1) - x) / size;
      const double dy = (row + 0.25 + 0.5 * (sub >> 1) - y) / size;
      hits += inside(shape, cosine * dx + sine * dy, cosine * dy - sine * dx) ? 1 : 0;
    }
    return hits / 4.0;
  }
};

void draw(int label, RandomStream random, std::uint8_t* pixels) {
  const Colour background = random_colour(random);
  const Colour shape_colour = colour_apart_from(background, 0.45, random);
  const Colour clutter_colour = random_colour(random);
  const Pose pose = Pose::random(random, 9.0, 13.0, 3.0);
  const Pose clutter_pose = Pose::random(random, 5.0, 12.0, 14.0);
  const int clutter = static_cast<int>(random.below(kShapes));
  const double slope_x = 0.4 * (random.uniform() - 0.5), slope_y = 0.4 * (random.uniform() - 0.5);
  for (int row = 0; row < kSide; ++row) {
    for (int column = 0; column < kSide; ++column) {
      const double light = slope_x * (column - 16) / 16.0 + slope_y * (row - 16) / 16.0;
      const double cover = pose.coverage(label, column, row);
      const double faint = 0.3 * clutter_pose.coverage(clutter, column, row);
      for (int c = 0; c < 3; ++c) {
        double value = background.channel[c] + light;
        value += faint * (clutter_colour.channel[c] - value);
        value += cover * (shape_colour.channel[c] - value);
        value += 0.12 * (random.uniform() + random.uniform() - 1);
        const double scaled = std::floor(std::clamp(value, 0.0, 1.0) * 255 + 0.5);
        pixels[(c * kSide + row) * kSide + column] = static_cast<std::uint8_t>(scaled);
      }
    }
  }
}

}  // namespace

DataSet make_synthetic(std::uint32_t count, Split split) {
  DataSet data;
  data.name = "synthetic";
  data.shape = {3, kSide, kSide};
  data.classes = kShapes;
  data.normalization = {{0.5, 0.5, 0.5}, {0.25, 0.25, 0.25}};
  const std::uint32_t images = split == Split::train ? count : count / 4;
  const Purpose purpose = split == Split::train ? Purpose::synthetic_train : Purpose::synthetic_test;
  data.labels.resize(images);
  std::vector<std::uint8_t> pixels(images * data.image_size());
  for (std::uint32_t i = 0; i < images; ++i) {
    const int label = static_cast<int>(i % kShapes);
    data.labels[i] = static_cast<std::int64_t>(label);
    draw(label, RandomStream(kSeed, purpose, i), pixels.data() + i * data.image_size());
  }
  data.pixels = Array({images, 3, kSide, kSide}, std::move(pixels));
  return data;
}

}  // namespace lossatlas
