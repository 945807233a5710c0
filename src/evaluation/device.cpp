#include "evaluation/device.h"

#include <ATen/Version.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <dlfcn.h>
#include <torch/cuda.h>

#include <array>
#include <regex>

#include "base/error.h"

namespace lossatlas {
namespace {

/// As the driver has it: "NVIDIA H100 80GB HBM3". LibTorch tells it only to programs built with a CUDA toolkit.
std::string name_of_gpu(int index) {
  using GetDevice = int(int* device, int ordinal);
  using GetName = int(char* name, int length, int device);
  void* driver = dlopen("libcuda.so.1", RTLD_NOW);
  auto* get_device = driver ? reinterpret_cast<GetDevice*>(dlsym(driver, "cuDeviceGet")) : nullptr;
  auto* get_name = driver ? reinterpret_cast<GetName*>(dlsym(driver, "cuDeviceGetName")) : nullptr;
  int device = 0;
  std::array<char, 256> name{};
  if (!get_device || !get_name || get_device(&device, index) != 0 ||
      get_name(name.data(), static_cast<int>(name.size()), device) != 0) {
    return "CUDA";
  }
  return name.data();
}

}  // namespace

at::Device open_device(const std::string& words) {
  if (words == "cpu") return at::kCPU;
  std::smatch match;
  if (!std::regex_match(words, match, std::regex("cuda(:([0-9]{1,3}))?"))) {
    throw UsageError("`device` {}: requires cpu, cuda or cuda:N", words);
  }
  if (!dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_GLOBAL)) {
    throw Error("`device` {}: this LibTorch has no CUDA part ({})", words, dlerror());
  }
  const int count = static_cast<int>(torch::cuda::device_count());
  if (count == 0) throw Error("`device` {}: no CUDA device is here, or its driver is missing; use `device` cpu", words);
  const int index = match[2].matched ? std::stoi(match[2]) : 0;
  if (index >= count) throw Error("`device` {}: there is no such device; the last one is cuda:{}", words, count - 1);
  // Full float32 and the same bits each time, before speed.
  allow_tf32(false);
  at::globalContext().setDeterministicCuDNN(true);
  return at::Device(at::kCUDA, static_cast<at::DeviceIndex>(index));
}

std::string cuda_device_of(int local_rank) {
  if (!dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_GLOBAL)) return "cuda";
  const int count = static_cast<int>(torch::cuda::device_count());
  return count == 0 ? "cuda" : fmt::format("cuda:{}", local_rank % count);
}

void allow_tf32(bool allowed) {
  at::globalContext().setAllowTF32CuDNN(allowed);
  at::globalContext().setAllowTF32CuBLAS(allowed);
}

std::string instruction_set(const at::Device& device) {
  return device.is_cuda() ? name_of_gpu(device.index()) : at::get_cpu_capability();
}

OwnStream::OwnStream(const at::Device& device) {
  if (device.is_cuda()) guard_.emplace(c10::impl::VirtualGuardImpl(device.type()).getStreamFromGlobalPool(device));
}

}  // namespace lossatlas
