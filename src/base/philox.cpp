#include "base/philox.h"

#include <bit>
#include <cmath>
#include <numbers>
#include <numeric>
#include <utility>

namespace lossatlas {
namespace {

constexpr std::array<std::uint32_t, 2> kMultiplier{0xD2511F53, 0xCD9E8D57};
constexpr std::array<std::uint32_t, 2> kWeyl{0x9E3779B9, 0xBB67AE85};

std::array<std::uint32_t, 2> key_of(std::uint64_t seed) {
  return {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)};
}

/// Block `block` of a stream. The purpose stands in the counter's top byte beside the high bits of the number.
std::array<std::uint32_t, 4> counter_of(Purpose purpose, std::uint64_t number, std::uint64_t block) {
  return {static_cast<std::uint32_t>(block), static_cast<std::uint32_t>(block >> 32),
          static_cast<std::uint32_t>(number),
          static_cast<std::uint32_t>(purpose) << 24 | static_cast<std::uint32_t>(number >> 32)};
}

/// Uniform in (0, 1], a multiple of 2^-53.
double unit(std::uint32_t low, std::uint32_t high) {
  const std::uint64_t bits = (static_cast<std::uint64_t>(high) << 32 | low) >> 11;
  return static_cast<double>(static_cast<std::int64_t>(bits) + 1) * 0x1p-53;
}

/// Natural logarithm of x in (0, 1], relative error below 1e-15: log m = 2 artanh((m - 1) / (m + 1)), m in [0.7, 1.5).
double log_unit(double x) {
  const auto bits = std::bit_cast<std::uint64_t>(x);
  auto exponent = static_cast<std::int64_t>(bits >> 52) - 1023;
  double mantissa = std::bit_cast<double>((bits & 0xFFFFFFFFFFFFFull) | 0x3FF0000000000000ull);
  const bool upper = mantissa > std::numbers::sqrt2;
  mantissa = upper ? mantissa * 0.5 : mantissa;
  exponent += upper ? 1 : 0;
  const double s = (mantissa - 1.0) / (mantissa + 1.0);
  const double q = s * s;
  double sum = 1.0 / 23;
  for (int odd = 21; odd >= 1; odd -= 2) sum = sum * q + 1.0 / odd;
  return static_cast<double>(exponent) * std::numbers::ln2 + 2.0 * s * sum;
}

/// Cosine and sine of 2 pi x for x in (0, 1], absolute error below 1e-15: Taylor series on an eighth of a turn.
std::pair<double, double> cos_sin_turn(double x) {
  const double quarters = x * 4.0;
  const double nearest = std::floor(quarters + 0.5);
  const double angle = (quarters - nearest) * (std::numbers::pi / 2);
  const double q = angle * angle;
  double cosine = 1.0;
  for (int n = 18; n >= 2; n -= 2) cosine = 1.0 - cosine * q / (n * (n - 1));
  double sine = 1.0;
  for (int n = 19; n >= 3; n -= 2) sine = 1.0 - sine * q / (n * (n - 1));
  sine *= angle;
  switch (static_cast<int>(nearest) & 3) {
    case 0:
      return {cosine, sine};
    case 1:
      return {-sine, cosine};
    case 2:
      return {-cosine, -sine};
    default:
      return {sine, -cosine};
  }
}

}  // namespace

std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter, std::array<std::uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t first = static_cast<std::uint64_t>(kMultiplier[0]) * counter[0];
    const std::uint64_t second = static_cast<std::uint64_t>(kMultiplier[1]) * counter[2];
    counter = {static_cast<std::uint32_t>(second >> 32) ^ counter[1] ^ key[0], static_cast<std::uint32_t>(second),
               static_cast<std::uint32_t>(first >> 32) ^ counter[3] ^ key[1], static_cast<std::uint32_t>(first)};
    key[0] += kWeyl[0];
    key[1] += kWeyl[1];
  }
  return counter;
}

RandomStream::RandomStream(std::uint64_t seed, Purpose purpose, std::uint64_t number)
    : key_(key_of(seed)), counter_(counter_of(purpose, number, 0)) {}

std::uint32_t RandomStream::next() {
  if (used_ == 4) {
    words_ = philox(counter_, key_);
    if (++counter_[0] == 0) ++counter_[1];
    used_ = 0;
  }
  return words_[static_cast<std::size_t>(used_++)];
}

std::uint32_t RandomStream::below(std::uint64_t count) {
  const std::uint64_t threshold = (std::uint64_t{1} << 32) % count;
  std::uint64_t product = next() * count;
  while (static_cast<std::uint32_t>(product) < threshold) product = next() * count;
  return static_cast<std::uint32_t>(product >> 32);
}

std::vector<std::uint32_t> random_order(std::uint32_t count, RandomStream stream) {
  std::vector<std::uint32_t> order(count);
  std::iota(order.begin(), order.end(), 0u);
  for (std::uint32_t left = count; left > 1; --left) std::swap(order[left - 1], order[stream.below(left)]);
  return order;
}

void fill_normal(std::span<float> out, std::uint64_t seed, Purpose purpose, std::uint64_t number, std::uint64_t first) {
  const auto key = key_of(seed);
  for (std::size_t i = 0; i < out.size(); i += 2) {
    const auto words = philox(counter_of(purpose, number, (first + i) / 2), key);
    const double radius = std::sqrt(-2.0 * log_unit(unit(words[0], words[1])));
    const auto [cosine, sine] = cos_sin_turn(unit(words[2], words[3]));
    out[i] = static_cast<float>(radius * cosine);
    if (i + 1 < out.size()) out[i + 1] = static_cast<float>(radius * sine);
  }
}

}  // namespace lossatlas
