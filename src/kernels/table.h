#pragma once

// The table of one instruction set's kernels. Included after the products of that set: multiply.h with gather.h, or
// amx_multiply.h.

#include "kernels/gram.h"
#include "kernels/pack.h"
#include "kernels/passes.h"
#include "kernels/peak.h"
#include "kernels/winograd.h"

namespace lossatlas {
namespace {

/// Kernels, from what differs by instruction set; made by the compiler, since no code of a set may run where it is missing.
consteval Kernels table_of(InstructionSet set, double filtering_pays_below, std::int64_t most_filtered, std::int64_t rows,
                           bool in_place) {
  return {set, filtering_pays_below, most_filtered, rows, in_place, packed_size, pack, multiply_scratch, multiply,
          rows_size, gather, winograd_weights, winograd_input, winograd_output, pool, transform, add, moments,
          kGramRows, {subtract, add_gram}, {subtract, add_gram}, add_combinations, add_projections, multiply_add};
}

}  // namespace
}  // namespace lossatlas
