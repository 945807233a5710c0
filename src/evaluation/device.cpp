#include "evaluation/device.h"

#include <ATen/Version.h>
#include <dlfcn.h>
#include <torch/cuda.h>

#include <regex>

#include "base/error.h"

namespace lossatlas {

torch::Device open_device(const std::string& words) {
  if (words == "cpu") return torch::kCPU;
  std::smatch match;
  if (!std::regex_match(words, match, std::regex("cuda(:([0-9]{1,3}))?"))) {
    throw UsageError("--device {}: wants cpu, cuda or cuda:N", words);
  }
  if (!dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_GLOBAL)) {
    throw Error("--device {}: this LibTorch has no CUDA part ({})", words, dlerror());
  }
  const int count = static_cast<int>(torch::cuda::device_count());
  if (count == 0) throw Error("--device {}: no CUDA device is here, or its driver is missing; use --device cpu", words);
  const int index = match[2].matched ? std::stoi(match[2]) : 0;
  if (index >= count) throw Error("--device {}: there is no such device; the last one is cuda:{}", words, count - 1);
  // Full float32 and the same bits each time, before speed.
  at::globalContext().setAllowTF32CuDNN(false);
  at::globalContext().setAllowTF32CuBLAS(false);
  at::globalContext().setDeterministicCuDNN(true);
  return torch::Device(torch::kCUDA, static_cast<torch::DeviceIndex>(index));
}

std::string instruction_set(const torch::Device& device) {
  return device.is_cuda() ? "CUDA" : at::get_cpu_capability();
}

}  // namespace lossatlas
