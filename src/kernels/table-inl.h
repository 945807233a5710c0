#pragma once

// The table of one instruction set's kernels. Included after the products of that set: multiply-inl.h with
// gather-inl.h, or amx_multiply-inl.h.

#include "kernels/gram-inl.h"
#include "kernels/pack-inl.h"
#include "kernels/passes-inl.h"
#include "kernels/peak-inl.h"
#include "kernels/winograd-inl.h"

namespace lossatlas {
namespace {

/// Kernels, from what differs by instruction set; made by the compiler, since no code of a set may run where it is
/// missing.
consteval Kernels table_of(InstructionSet set, double filtering_pays_below, std::int64_t most_filtered,
                           std::int64_t rows, bool in_place) {
  return {set,
          filtering_pays_below,
          most_filtered,
          rows,
          in_place,
          packed_size,
          pack,
          multiply_scratch,
          multiply,
          rows_size,
          gather,
          winograd_weights,
          winograd_input,
          winograd_output,
          pool,
          transform,
          add,
          moments,
          kGramRows,
          {subtract, add_gram},
          {subtract, add_gram},
          add_combinations,
          add_projections,
          multiply_add};
}

}  // namespace
}  // namespace lossatlas
