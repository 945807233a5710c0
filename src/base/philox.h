#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace lossatlas {

/// Philox 4x32-10: a counter-based generator (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
/// Equal key and counter give equal words on every processor; no state, so any thread may draw any block.
std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter, std::array<std::uint32_t, 2> key);

/// What a stream of random numbers is for. Streams of one seed with other purposes are independent.
/// The numbers are part of every file made from a seed: never change one.
enum class Purpose : std::uint32_t {
  direction = 1,
  sample = 2,
  shuffle = 3,
  augment = 4,
  synthetic_train = 5,
  synthetic_test = 6,
  curve = 7,
  probe = 8,
  terms = 16,
};

/// Streams of random numbers from one seed. A stream is named by its purpose and one number of the caller's
/// (a parameter, an epoch, an image).
class RandomStream {
 public:
  RandomStream(std::uint64_t seed, Purpose purpose, std::uint64_t number);

  /// The next 32 bits.
  std::uint32_t next();

  /// Uniform in [0, 1), a multiple of 2^-32.
  double uniform() { return next() * 0x1p-32; }

  /// Uniform in {0, …, count - 1}, 1 <= count <= 2^32, without bias (Lemire, "Fast random integer generation", 2019).
  std::uint32_t below(std::uint64_t count);

 private:
  std::array<std::uint32_t, 2> key_;
  std::array<std::uint32_t, 4> counter_;
  std::array<std::uint32_t, 4> words_{};
  int used_ = 4;
};

/// A random order of 0, …, count - 1 (Fisher and Yates).
std::vector<std::uint32_t> random_order(std::uint32_t count, RandomStream stream);

/// Fills out with standard normal numbers: out[i] is number first + i of stream (seed, purpose, number).
/// Box and Muller's transform in double, rounded once to float; logarithm, sine and cosine are polynomials of our own,
/// so that the bits do not depend on the processor or the C library. `first` must be even.
void fill_normal(std::span<float> out, std::uint64_t seed, Purpose purpose, std::uint64_t number, std::uint64_t first);

}  // namespace lossatlas
