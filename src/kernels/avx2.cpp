#ifdef __x86_64__
#define LOSSATLAS_LANES 8
#include "kernels/gather.h"
#include "kernels/gram.h"
#include "kernels/multiply.h"
#include "kernels/pack.h"
#include "kernels/passes.h"
#include "kernels/peak.h"
#include "kernels/winograd.h"

namespace lossatlas {

extern const Kernels kAvx2Kernels;
const Kernels kAvx2Kernels{
    InstructionSet::avx2, 1, 4, kTileRows, false, packed_size,    pack,            multiply_scratch, multiply,
    rows_size,            gather, winograd_weights, winograd_input, winograd_output, pool,             transform,
    add, moments, kGramRows, {subtract, add_gram}, {subtract, add_gram}, add_combinations, add_projections, multiply_add};

}  // namespace lossatlas

#endif  // __x86_64__
