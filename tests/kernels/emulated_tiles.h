#pragma once

// The matrix unit's instructions, one number after another: with the option LOSSATLAS_EMULATED_TILES the kernels of AMX
// are tested on processors that have AVX-512 alone. Included before anything else of such a file.

#include <immintrin.h>

#include <cstdint>
#include <cstring>

namespace lossatlas {
namespace {

struct EmulatedTile {
  std::int8_t bytes[16][64];

  float bfloat16(int row, int i) const {
    std::uint32_t bits = 0;
    std::memcpy(reinterpret_cast<char*>(&bits) + 2, bytes[row] + 2 * i, 2);
    float number = 0;
    std::memcpy(&number, &bits, 4);
    return number;
  }
};

thread_local EmulatedTile emulated_tiles[8];

inline void emulated_load(int tile, const void* from, std::int64_t stride) {
  for (int row = 0; row < 16; ++row) {
    std::memcpy(emulated_tiles[tile].bytes[row], static_cast<const char*>(from) + row * stride, 64);
  }
}

inline void emulated_store(int tile, void* to, std::int64_t stride) {
  for (int row = 0; row < 16; ++row) {
    std::memcpy(static_cast<char*>(to) + row * stride, emulated_tiles[tile].bytes[row], 64);
  }
}

/// sums[m][n] += Σ_k term(m, n, k), of 16 rows m, columns n and steps k.
template <class Number, class Term>
void emulated_multiply(int sums, const Term& term) {
  for (int m = 0; m < 16; ++m) {
    Number row[16];
    std::memcpy(row, emulated_tiles[sums].bytes[m], 64);
    for (int n = 0; n < 16; ++n) {
      for (int k = 0; k < 16; ++k) row[n] += term(m, n, k);
    }
    std::memcpy(emulated_tiles[sums].bytes[m], row, 64);
  }
}

inline void emulated_dpbssd(int sums, int a, int b) {
  emulated_multiply<std::int32_t>(sums, [&](int m, int n, int k) {
    std::int32_t sum = 0;
    for (int i = 0; i < 4; ++i) sum += emulated_tiles[a].bytes[m][4 * k + i] * emulated_tiles[b].bytes[k][4 * n + i];
    return sum;
  });
}

inline void emulated_dpbf16ps(int sums, int a, int b) {
  emulated_multiply<float>(sums, [&](int m, int n, int k) {
    float sum = 0;
    for (int i = 0; i < 2; ++i)
      sum += emulated_tiles[a].bfloat16(m, 2 * k + i) * emulated_tiles[b].bfloat16(k, 2 * n + i);
    return sum;
  });
}

}  // namespace
}  // namespace lossatlas

#undef _tile_zero
#undef _tile_loadd
#undef _tile_stored
#undef _tile_dpbssd
#undef _tile_dpbf16ps
#undef _tile_release
#define _tile_loadconfig(configuration) static_cast<void>(configuration)
#define _tile_release() static_cast<void>(0)
#define _tile_zero(tile) std::memset(lossatlas::emulated_tiles[tile].bytes, 0, sizeof(lossatlas::EmulatedTile))
#define _tile_loadd(tile, from, stride) lossatlas::emulated_load(tile, from, stride)
#define _tile_stored(tile, to, stride) lossatlas::emulated_store(tile, to, stride)
#define _tile_dpbssd(sums, a, b) lossatlas::emulated_dpbssd(sums, a, b)
#define _tile_dpbf16ps(sums, a, b) lossatlas::emulated_dpbf16ps(sums, a, b)
