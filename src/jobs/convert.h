#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace lossatlas {

struct ConvertRequest {
  std::filesystem::path in;   // a checkpoint of any format but TorchScript
  std::filesystem::path out;  // .safetensors, or .pt, .pth, .ckpt, .bin
  std::string key;            // the entry to take; "" for the usual ones
  bool force = false;         // replaces `out`
};

/// Writes the state_dict, each tensor bit for bit under its own name, and what the format of `out` holds of the rest.
/// Returns notes for people. Throws UsageError for another ending, or if `out` is `in`; Error naming the file
/// otherwise.
std::vector<std::string> convert(const ConvertRequest& request);

}  // namespace lossatlas
