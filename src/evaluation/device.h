#pragma once

#include <torch/types.h>

#include <string>

namespace lossatlas {

/// "cpu", "cuda" or "cuda:i". CUDA's part of LibTorch is loaded here, on demand.
/// Throws UsageError for other words, Error where that device is not there.
torch::Device open_device(const std::string& words);

/// What the arithmetic runs on, as far as it may change the last bits: "AVX512", "AVX2", "DEFAULT" or "CUDA".
std::string instruction_set(const torch::Device& device);

}  // namespace lossatlas
