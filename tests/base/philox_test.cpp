#include "base/philox.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/crc32.h"
#include "catch.h"

using namespace lossatlas;
using FourWords = std::array<std::uint32_t, 4>;

TEST_CASE("Philox gives the known answers of Random123") {
  CHECK(philox({0, 0, 0, 0}, {0, 0}) == FourWords{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  CHECK(philox({~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}) == FourWords{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
        FourWords{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("normal numbers equal Box-Muller computed with the C library") {
  std::vector<float> normal(20000);
  fill_normal(normal, 42, Purpose::direction, 7, 0);
  double worst = 0;
  for (std::uint32_t pair = 0; pair < 10000; ++pair) {
    const auto w = philox({pair, 0, 7, 1u << 24}, {42, 0});
    const auto uniform = [&](std::size_t i) {
      return static_cast<double>(((static_cast<std::uint64_t>(w[i + 1]) << 32 | w[i]) >> 11) + 1) * 0x1p-53;
    };
    const double radius = std::sqrt(-2 * std::log(uniform(0)));
    const double turn = 2 * std::numbers::pi * uniform(2);
    worst = std::max(worst, std::abs(radius * std::cos(turn) - static_cast<double>(normal[2 * pair])));
    worst = std::max(worst, std::abs(radius * std::sin(turn) - static_cast<double>(normal[2 * pair + 1])));
  }
  CHECK(worst < 3e-7);  // half a unit in the last place of a float near 4
}

TEST_CASE("normal numbers have the moments of a standard normal") {
  constexpr std::size_t count = 1'000'000;
  std::vector<float> normal(count);
  fill_normal(normal, 1, Purpose::direction, 0, 0);
  double sum = 0, squares = 0, fourth = 0;
  for (const double x : normal) {
    sum += x;
    squares += x * x;
    fourth += x * x * x * x;
  }
  CHECK(std::abs(sum / count) < 5e-3);
  CHECK(std::abs(squares / count - 1) < 7e-3);
  CHECK(std::abs(fourth / count - 3) < 5e-2);
}

TEST_CASE("normal numbers keep their bits on every processor and in every release") {
  std::vector<float> normal(100'001);
  fill_normal(normal, 0x123456789ABCDEF, Purpose::direction, std::uint64_t{5} << 32 | 3,
              2 * ((std::uint64_t{1} << 32) - 9));
  CHECK(crc32(std::as_bytes(std::span(normal))) == 0x485CA311);
}

TEST_CASE("a part of a stream equals the same part of the whole") {
  std::vector<float> whole(1001), part(301);
  fill_normal(whole, 5, Purpose::direction, 3, 0);
  fill_normal(part, 5, Purpose::direction, 3, 700);
  CHECK(std::equal(part.begin(), part.end(), whole.begin() + 700));
}

TEST_CASE("a random order holds each index once and is the seed's own") {
  auto order = random_order(1000, RandomStream(9, Purpose::shuffle, 2));
  CHECK(order == random_order(1000, RandomStream(9, Purpose::shuffle, 2)));
  CHECK(order != random_order(1000, RandomStream(9, Purpose::shuffle, 3)));
  CHECK(order != random_order(1000, RandomStream(10, Purpose::shuffle, 2)));
  std::sort(order.begin(), order.end());
  for (std::uint32_t i = 0; i < 1000; ++i) REQUIRE(order[i] == i);
}

TEST_CASE("numbers below a bound are uniform") {
  RandomStream stream(3, Purpose::sample, 0);
  std::array<int, 7> seen{};
  for (int draw = 0; draw < 70000; ++draw) ++seen[stream.below(7)];
  for (const int count : seen) CHECK(std::abs(count - 10000) < 500);
}
