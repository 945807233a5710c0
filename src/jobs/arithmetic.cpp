#include "jobs/arithmetic.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/error.h"

namespace lossatlas {

Arithmetic arithmetic_of(const std::string& instruction_set, const std::string& dtype, const std::string& device) {
  constexpr std::array kPrecisions{Precision::fp32, Precision::tf32, Precision::bf16};
  const auto* precision =
      std::find_if(kPrecisions.begin(), kPrecisions.end(), [&](Precision p) { return name_of(p) == dtype; });
  if (precision == kPrecisions.end()) throw UsageError("`dtype` {}: requires fp32, tf32 or bf16", dtype);
  Arithmetic result{best_instruction_set(), *precision};
  if (device != "cpu") {
    if (instruction_set != "auto") throw UsageError("`instruction_set` {}: requires `device` cpu", instruction_set);
    return result;
  }
  if (result.precision == Precision::tf32) throw UsageError("`dtype` tf32: requires `device` cuda");
  if (instruction_set != "auto") {
    const auto* found = std::find_if(std::begin(kInstructionSets), std::end(kInstructionSets),
                                     [&](InstructionSet set) { return name_of(set) == instruction_set; });
    if (found == std::end(kInstructionSets)) {
      throw UsageError("`instruction_set` {}: requires auto, amx, avx512, avx2 or portable", instruction_set);
    }
    if (!is_available(*found)) throw Error("`instruction_set` {}: this processor does not have it", instruction_set);
    result.instruction_set = *found;
  }
  if (!is_available(result.instruction_set, result.precision)) {
    throw Error(
        "`dtype` bf16: requires a processor with a matrix unit for bfloat16 (AMX), instruction set amx; use fp32 ({} "
        "here)",
        name_of(result.instruction_set));
  }
  return result;
}

namespace {

/// The matrix units of a CUDA device want more work at a time.
std::int64_t default_batch_size(const std::string& device, Precision precision) {
  return device == "cpu" || precision == Precision::fp32 ? kDefaultBatch : 1024;
}

/// A problem file answers what else is asked for by fields of the request.
void check_problem(const LandscapeRequest& request) {
  const auto refuse = [](const char* field, const char* why) { throw UsageError("`{}`: {}", field, why); };
  constexpr const char* kNetwork = "a problem file holds its network";
  constexpr const char* kLoss = "a problem file holds its loss and its measures";
  if (!request.network.arch.empty()) refuse("arch", kNetwork);
  if (request.network.classes > 0) refuse("classes", kNetwork);
  if (request.network.width > 0) refuse("width", kNetwork);
  if (request.data.data.empty() && request.data.test_data.empty()) {
    constexpr const char* kData = "requires `data`: a problem file's own samples are already as its network takes them";
    if (!request.data.mean.empty()) refuse("mean", kData);
    if (!request.data.std.empty()) refuse("std", kData);
  }
  if (!request.loss.empty()) refuse("loss", kLoss);
  if (request.extras.class_losses) refuse("class_loss", kLoss);
  if (request.extras.top5) refuse("top5", kLoss);
}

}  // namespace

LandscapeOptions check(const LandscapeRequest& request) {
  if (!request.problem.empty()) check_problem(request);
  if (!(request.step >= 0 && std::isfinite(request.step))) {
    throw UsageError("`step` {}: requires a finite number above 0", request.step);
  }
  const bool both = request.split == "both";
  const Arithmetic arithmetic = arithmetic_of(request.instruction_set, request.dtype, request.device);
  return {request.split == "test" ? Split::test : Split::train,
          both ? std::optional(Split::test) : std::nullopt,
          request.loss.empty() ? LossFunction::cross_entropy : loss_function_of(request.loss),
          engine_of(request.engine),
          arithmetic,
          request.batch_size > 0 ? request.batch_size : default_batch_size(request.device, arithmetic.precision)};
}

}  // namespace lossatlas
