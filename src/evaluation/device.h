#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/StreamGuard.h>

#include <optional>
#include <string>

namespace lossatlas {

/// "cpu", "cuda" or "cuda:i". CUDA's part of LibTorch is loaded here, on demand.
/// Throws UsageError for other words, Error if that device is not there.
at::Device open_device(const std::string& words);

/// The words for the CUDA device of a process that is number `local_rank` on its machine: "cuda:1". If there are fewer
/// devices than processes they share them in turn; "cuda" if there is none.
std::string cuda_device_of(int local_rank);

/// Whether products of float32 numbers on CUDA may round their factors to TF32; not at first. For the whole process:
/// not while another thread computes.
void allow_tf32(bool allowed);

/// What the arithmetic runs on, as far as it may change the last bits: "AVX512", "AVX2", "DEFAULT", or the name of the
/// GPU.
std::string instruction_set(const at::Device& device);

/// While it lives, what its thread gives to a CUDA device goes into a queue of its own, beside those of other threads.
class OwnStream {
 public:
  explicit OwnStream(const at::Device& device);

 private:
  std::optional<c10::StreamGuard> guard_;
};

}  // namespace lossatlas
