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
  return {.instruction_set = set,
          .filtering_pays_below = filtering_pays_below,
          .most_filtered = most_filtered,
          .rows = rows,
          .in_place = in_place,
          .packed_size = packed_size,
          .pack = pack,
          .multiply_scratch = multiply_scratch,
          .multiply = multiply,
          .rows_size = rows_size,
          .gather = gather,
          .winograd_weights = winograd_weights,
          .winograd_input = winograd_input,
          .winograd_output = winograd_output,
          .pool = pool,
          .transform = transform,
          .add = add,
          .moments = moments,
          .gram_rows = kGramRows,
          .gram_in_float = {subtract, add_gram},
          .gram_in_double = {subtract, add_gram},
          .add_combinations = add_combinations,
          .add_projections = add_projections,
          .multiply_add = multiply_add};
}

}  // namespace
}  // namespace lossatlas
