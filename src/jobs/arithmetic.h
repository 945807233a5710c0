#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "evaluation/evaluator.h"
#include "jobs/request.h"

namespace lossatlas {

/// The arithmetic of the fused engine.
struct Arithmetic {
  InstructionSet instruction_set;
  Precision precision;
};

/// Names of an instruction set, or "auto" for the best, of a precision and of a device. Throws UsageError for unknown
/// names and for those of another device, Error if this processor has no such instructions.
Arithmetic arithmetic_of(const std::string& instruction_set, const std::string& dtype,
                         const std::string& device = "cpu");

/// A LandscapeRequest, as far as it is checked without a file.
struct LandscapeOptions {
  Split split;
  std::optional<Split> second;  // with --split both
  LossFunction loss;
  EngineChoice engine;
  Arithmetic arithmetic;
  std::int64_t batch_size;
  bool is_between_networks = false;  // through several checkpoints; not checked here
};

/// Throws UsageError for names that there are not.
LandscapeOptions check(const LandscapeRequest& request);

}  // namespace lossatlas
