#ifdef __x86_64__
#define LOSSATLAS_LANES 16
#define LOSSATLAS_PARTS 1
#include "kernels/amx_multiply.h"
#include "kernels/gram.h"
#include "kernels/pack.h"
#include "kernels/passes.h"
#include "kernels/peak.h"

namespace lossatlas {

extern const Kernels kAmxBf16Kernels;
// No minimal filtering: its transforms would multiply the rounding of bfloat16.
const Kernels kAmxBf16Kernels{
    InstructionSet::amx, 0,            kRowUnit, true, packed_size, pack,    multiply_scratch, multiply,
    rows_size,           gather_split, nullptr,  nullptr,     nullptr, pool,             transform,
    add, moments, kGramRows, {subtract, add_gram}, {subtract, add_gram}, add_combinations, add_projections, multiply_add};

}  // namespace lossatlas

#endif  // __x86_64__
