#pragma once

#include <torch/types.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "base/error.h"
#include "checkpoint/checkpoint.h"

/// What the tests of checkpoints share. The files are made by tools/reference/checkpoints.py.
namespace lossatlas::testing {

inline std::filesystem::path reference(const std::string& name) {
  return std::filesystem::path(LOSSATLAS_TEST_FILES) / "checkpoints" / name;
}

inline std::string content_of(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

inline void write_file(const std::filesystem::path& file, const std::string& content) {
  std::ofstream(file, std::ios::binary) << content;
}

inline std::vector<std::string> names_of(const std::vector<NamedTensor>& tensors) {
  std::vector<std::string> names;
  for (const NamedTensor& tensor : tensors) {
    names.push_back(tensor.name);
  }
  return names;
}

inline torch::Tensor find(const std::vector<NamedTensor>& tensors, const std::string& name) {
  for (const NamedTensor& tensor : tensors) {
    if (tensor.name == name) {
      return tensor.tensor;
    }
  }
  throw Error("no tensor {}", name);
}

/// 0, 1, 2, … in this shape.
inline torch::Tensor ramp(torch::IntArrayRef sizes) {
  return torch::arange(c10::multiply_integers(sizes), torch::kFloat).view(sizes);
}

/// Of the same type, shape and values, and contiguous.
inline bool same(const torch::Tensor& a, const torch::Tensor& b) {
  return a.scalar_type() == b.scalar_type() && a.is_contiguous() && a.sizes() == b.sizes() && a.equal(b);
}

/// The text of the Error that reading this file throws; "" if it can be read.
inline std::string refusal(const std::filesystem::path& file) {
  try {
    read_checkpoint(file);
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

}  // namespace lossatlas::testing
