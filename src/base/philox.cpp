#include "base/philox.h"

#include <algorithm>
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

// --- normal numbers: the same operations in each lane of a vector and on every processor, so the same bits ----------

constexpr std::uint64_t kLow = 0xFFFFFFFF;
constexpr std::size_t kBlock = 128;  // pairs of numbers that are drawn at a time

/// An integer below 2^52, without the conversion that vectors lack.
[[gnu::always_inline]] inline double to_double(std::uint64_t value) {
  return std::bit_cast<double>(value | 0x4330000000000000) - 0x1p52;
}

/// Uniform in (0, 1], a multiple of 2^-53.
[[gnu::always_inline]] inline double unit(std::uint64_t low, std::uint64_t high) {
  const std::uint64_t bits = (high << 32 | low) >> 11;
  return (to_double(bits >> 32) * 0x1p32 + to_double(bits & kLow) + 1) * 0x1p-53;
}

/// Natural logarithm of x in (0, 1], relative error below 1e-15: log m = 2 artanh((m - 1) / (m + 1)), m in [0.7, 1.5).
[[gnu::always_inline]] inline double log_unit(double x) {
  const auto bits = std::bit_cast<std::uint64_t>(x);
  const double significand = std::bit_cast<double>((bits & 0xFFFFFFFFFFFFF) | 0x3FF0000000000000);
  const bool upper = significand > std::numbers::sqrt2;
  const double m = upper ? significand * 0.5 : significand;
  const double exponent = to_double(bits >> 52) - 1023 + (upper ? 1.0 : 0.0);
  const double s = (m - 1.0) / (m + 1.0);
  const double q = s * s;
  double sum = 1.0 / 23;
  for (int odd = 21; odd >= 1; odd -= 2) sum = sum * q + 1.0 / odd;
  return exponent * std::numbers::ln2 + 2.0 * s * sum;
}

struct Pair {
  double cosine, sine;
};

/// Of 2 pi x for x in (0, 1], absolute error below 1e-15: Taylor series on an eighth of a turn.
[[gnu::always_inline]] inline Pair cos_sin_turn(double x) {
  const double quarters = x * 4.0;
  const double nearest = std::floor(quarters + 0.5);
  const double angle = (quarters - nearest) * (std::numbers::pi / 2);
  const double q = angle * angle;
  double cosine = 1.0;
#pragma GCC unroll 9
  for (int n = 18; n >= 2; n -= 2) cosine = 1.0 - cosine * q / (n * (n - 1));
  double sine = 1.0;
#pragma GCC unroll 9
  for (int n = 19; n >= 3; n -= 2) sine = 1.0 - sine * q / (n * (n - 1));
  sine *= angle;
  // In odd quarters the two change places; the cosine is negative in quarters 1 and 2, the sine in 2 and 3.
  const auto quarter = std::bit_cast<std::uint64_t>(nearest + 0x1p52);
  const auto cosine_bits = std::bit_cast<std::uint64_t>(cosine), sine_bits = std::bit_cast<std::uint64_t>(sine);
  const std::uint64_t change = (cosine_bits ^ sine_bits) & (0 - (quarter & 1));
  const std::uint64_t half = quarter >> 1;
  return {std::bit_cast<double>(cosine_bits ^ change ^ ((quarter ^ half) & 1) << 63),
          std::bit_cast<double>(sine_bits ^ change ^ (half & 1) << 63)};
}

/// `count` pairs of normal numbers, at most kBlock, from the blocks of the stream from `first` on.
#ifndef __SANITIZE_THREAD__  // which cannot start a program that chooses among clones
[[gnu::target_clones("default", "avx2", "avx512f")]]
#endif
void draw_pairs(float* out, std::size_t count, std::uint64_t first, std::array<std::uint32_t, 4> counter,
                std::array<std::uint32_t, 2> key) {
  std::uint64_t words[4][kBlock];
  double numbers[2][kBlock];
  for (std::size_t i = 0; i < count; ++i) {
    std::uint64_t a = (first + i) & kLow, b = (first + i) >> 32, c = counter[2], d = counter[3];
    std::uint64_t k = key[0], l = key[1];
    // philox() with a word in each 64-bit lane.
#pragma GCC unroll 10
    for (int round = 0; round < 10; ++round) {
      const std::uint64_t x = kMultiplier[0] * a, y = kMultiplier[1] * c;
      a = y >> 32 ^ b ^ k, b = y & kLow, c = x >> 32 ^ d ^ l, d = x & kLow;
      k = (k + kWeyl[0]) & kLow, l = (l + kWeyl[1]) & kLow;
    }
    words[0][i] = a, words[1][i] = b, words[2][i] = c, words[3][i] = d;
  }
  for (std::size_t i = 0; i < count; ++i) {
    const double radius = std::sqrt(-2.0 * log_unit(unit(words[0][i], words[1][i])));
    const auto [cosine, sine] = cos_sin_turn(unit(words[2][i], words[3][i]));
    numbers[0][i] = radius * cosine;
    numbers[1][i] = radius * sine;
  }
  for (std::size_t i = 0; i < count; ++i) {
    out[2 * i] = static_cast<float>(numbers[0][i]);
    out[2 * i + 1] = static_cast<float>(numbers[1][i]);
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
  const auto counter = counter_of(purpose, number, 0);
  const auto key = key_of(seed);
  for (std::size_t i = 0; i + 1 < out.size(); i += 2 * kBlock) {
    draw_pairs(&out[i], std::min(kBlock, (out.size() - i) / 2), (first + i) / 2, counter, key);
  }
  if (out.size() % 2 == 0) return;
  std::array<float, 2> last;
  draw_pairs(last.data(), 1, (first + out.size() - 1) / 2, counter, key);
  out.back() = last[0];
}

}  // namespace lossatlas
