#include "base/instruction_set.h"

#ifdef __x86_64__
#include <cpuid.h>
#endif
#ifdef __linux__
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace lossatlas {

#ifdef __x86_64__
namespace {

/// Whether the processor has a matrix unit for bfloat16 and whole numbers, and the kernel lets this process use it.
bool has_amx() {
#ifdef LOSSATLAS_EMULATED_TILES
  return __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512bf16");
#endif
  constexpr unsigned kAmxBf16 = 1U << 22, kAmxTile = 1U << 24, kAmxInt8 = 1U << 25,
                     kAll = kAmxBf16 | kAmxTile | kAmxInt8;
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0 || (d & kAll) != kAll) return false;
  if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw")) return false;
#ifdef __linux__
  constexpr long kRequestPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM of arch_prctl(2)
  constexpr unsigned kAvx512Bf16 = 1U << 5;
  if (__get_cpuid_count(7, 1, &a, &b, &c, &d) == 0 || (a & kAvx512Bf16) == 0) return false;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}

}  // namespace
#endif

bool is_available(InstructionSet set) {
#ifdef __x86_64__
  static const bool amx = has_amx();
  if (set == InstructionSet::amx) return amx;
  if (set == InstructionSet::avx512) return __builtin_cpu_supports("avx512f");
  if (set == InstructionSet::avx2) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
  return set == InstructionSet::portable;
}

bool is_available(InstructionSet set, Precision precision) {
  if (precision == Precision::tf32) return false;
  return is_available(set) && (precision == Precision::fp32 || set == InstructionSet::amx);
}

InstructionSet best_instruction_set() {
  for (const auto set : {InstructionSet::amx, InstructionSet::avx512, InstructionSet::avx2}) {
    if (is_available(set)) return set;
  }
  return InstructionSet::portable;
}

std::string_view name_of(Precision precision) {
  if (precision == Precision::fp32) return "fp32";
  return precision == Precision::tf32 ? "tf32" : "bf16";
}

std::string_view name_of(InstructionSet set) {
  if (set == InstructionSet::amx) return "amx";
  if (set == InstructionSet::avx512) return "avx512";
  return set == InstructionSet::avx2 ? "avx2" : "portable";
}

}  // namespace lossatlas
