#ifdef __x86_64__
#define LOSSATLAS_LANES 16
#define LOSSATLAS_PARTS 1
#include "kernels/amx_multiply.h"
#include "kernels/gram.h"
#include "kernels/pack.h"
#include "kernels/passes.h"
#include "kernels/peak.h"
#include "kernels/winograd.h"

namespace lossatlas {

extern const Kernels kAmxBf16Kernels;
// With tiles of 2x2 outputs losses are as exact as without minimal filtering; with 4x4 they would be twice as far off.
const Kernels kAmxBf16Kernels{
    InstructionSet::amx, 0.5, 2,       kRowUnit, true, packed_size,    pack,            multiply_scratch, multiply,
    rows_size,           gather_split, winograd_weights, winograd_input, winograd_output, pool,             transform,
    add, moments, kGramRows, {subtract, add_gram}, {subtract, add_gram}, add_combinations, add_projections, multiply_add};

}  // namespace lossatlas

#endif  // __x86_64__
