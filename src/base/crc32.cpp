#include "base/crc32.h"

#include <zlib.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace lossatlas {
namespace {

#if defined(__x86_64__)
constexpr std::size_t kLane = sizeof(__m128i), kLanes = 4;

/// x multiplied by two powers of the polynomial's variable, one for each half, and brought together with `next`.
__attribute__((target("pclmul"))) __m128i fold(__m128i x, __m128i powers, __m128i next) {
  const __m128i low = _mm_clmulepi64_si128(x, powers, 0x00), high = _mm_clmulepi64_si128(x, powers, 0x11);
  return _mm_xor_si128(_mm_xor_si128(low, high), next);
}

/// Gopal et al. 2009, "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ Instruction", without their last
/// step: folds the bytes into 16 that have the same CRC-32. `length`: a multiple of 16, and 64 at least.
__attribute__((target("pclmul"))) void fold_all(const std::byte* bytes, std::size_t length, std::uint32_t before,
                                                unsigned char (&folded)[kLane]) {
  // x^(4·128+32), x^(4·128-32), x^(128+32), x^(128-32), bits reflected
  const __m128i far = _mm_set_epi64x(0x01c6e41596, 0x0154442bd4), near = _mm_set_epi64x(0x00ccaa009e, 0x01751997d0);
  const auto load = [&](std::size_t lane) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes) + lane);
  };
  __m128i x[kLanes] = {load(0), load(1), load(2), load(3)};
  x[0] = _mm_xor_si128(x[0], _mm_cvtsi32_si128(static_cast<int>(~before)));
  bytes += kLanes * kLane;
  length -= kLanes * kLane;
  for (; length >= kLanes * kLane; bytes += kLanes * kLane, length -= kLanes * kLane) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) x[lane] = fold(x[lane], far, load(lane));
  }
  for (std::size_t lane = 1; lane < kLanes; ++lane) x[0] = fold(x[0], near, x[lane]);
  for (; length >= kLane; bytes += kLane, length -= kLane) x[0] = fold(x[0], near, load(0));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(folded), x[0]);
}
#endif

std::uint32_t crc32_by_zlib(const std::byte* bytes, std::size_t length, std::uint32_t before) {
  return static_cast<std::uint32_t>(::crc32_z(before, reinterpret_cast<const unsigned char*>(bytes), length));
}

}  // namespace

std::uint32_t crc32(std::span<const std::byte> bytes, std::uint32_t before) {
#if defined(__x86_64__)
  static const bool has_product = __builtin_cpu_supports("pclmul");
  if (const std::size_t length = bytes.size() / kLane * kLane; has_product && length >= kLanes * kLane) {
    unsigned char folded[kLane];
    fold_all(bytes.data(), length, before, folded);
    // The register is in the folded bytes: zlib's must begin as 0, which it inverts.
    before = static_cast<std::uint32_t>(::crc32_z(0xffffffff, folded, kLane));
    bytes = bytes.subspan(length);
  }
#endif
  return bytes.empty() ? before : crc32_by_zlib(bytes.data(), bytes.size(), before);
}

std::uint32_t crc32_share(std::uint32_t part, std::uint64_t bytes_after) {
  return static_cast<std::uint32_t>(::crc32_combine(part, 0, static_cast<z_off_t>(bytes_after)));
}

}  // namespace lossatlas
