#pragma once

#include <cstdint>

#include "kernels/vector-inl.h"

// The processor's matrix unit (AMX): eight registers, each a tile of 16 rows of 64 bytes.

namespace lossatlas {
namespace {

constexpr std::int64_t kTileSide = 16;      // rows of a tile of A and C, columns of one of B and C
constexpr std::int64_t kTileFloats = 256;   // 1 KB
constexpr int kLineBytes = 64;              // from one row of a tile to the next, in memory
constexpr std::int64_t kRowChunk = 128;     // so many rows of A stay in cache, converted before any of C is written
static_assert(kRowChunk >= kMostGathered);  // Kernels::in_place

/// Sets the registers up while it lives.
class TileRegisters {
 public:
  TileRegisters() {
    static constexpr Configuration configuration;
    _tile_loadconfig(&configuration);
  }
  ~TileRegisters() { _tile_release(); }
  TileRegisters(const TileRegisters&) = delete;
  TileRegisters& operator=(const TileRegisters&) = delete;

 private:
  struct [[gnu::packed]] Configuration {
    std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
    std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
  };
};

/// Calls `multiply_one` for each of the products that make up a Product.
template <class Function>
void multiply_each(const Product& product, Function multiply_one) {
  const TileRegisters registers;
  Product one = product;
  for (std::int64_t left = product.count; left > 0; --left) {
    multiply_one(one);
    one.a += product.a_step;
    one.b += product.b_step;
    one.c += product.c_step;
  }
}

}  // namespace
}  // namespace lossatlas
