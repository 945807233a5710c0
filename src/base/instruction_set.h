#pragma once

#include <string_view>

/// What the fused engine and Gram matrices compute with. The kernels themselves are in kernels/.
namespace lossatlas {

/// amx: AVX-512, and products on the processor's matrix unit.
enum class InstructionSet { portable, avx2, avx512, amx };

/// What is multiplied. tf32, of CUDA's matrix units: factors are rounded to 11 bits. bf16: to bfloat16, 8 bits; on CUDA
/// activations too. Sums stay float32.
enum class Precision { fp32, tf32, bf16 };

/// The best that this processor has.
InstructionSet best_instruction_set();
bool is_available(InstructionSet set);
/// Only amx multiplies bfloat16.
bool is_available(InstructionSet set, Precision precision);
std::string_view name_of(InstructionSet set);
std::string_view name_of(Precision precision);
inline constexpr InstructionSet kInstructionSets[] = {InstructionSet::portable, InstructionSet::avx2,
                                                      InstructionSet::avx512, InstructionSet::amx};

}  // namespace lossatlas
