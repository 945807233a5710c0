#include "jobs/convert.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "base/error.h"
#include "checkpoint/checkpoint.h"
#include "jobs/outputs.h"

namespace lossatlas {
namespace {

constexpr std::array<std::string_view, 4> kPickled{".pt", ".pth", ".ckpt", ".bin"};

bool is_safetensors(const std::filesystem::path& out) {
  const std::string ending = out.extension().string();
  if (ending == ".safetensors") return true;
  if (std::find(kPickled.begin(), kPickled.end(), ending) != kPickled.end()) return false;
  throw UsageError("{}: requires a name that ends in .safetensors, or in {}", out.string(), fmt::join(kPickled, ", "));
}

/// Everything but the tensors, as far as a checkpoint written by us can hold it.
nlohmann::json rest_of(const Checkpoint& checkpoint) {
  nlohmann::json metadata = checkpoint.metadata;
  metadata.erase("state_dict");
  for (const auto& [name, tensors] : checkpoint.groups) metadata.erase(name);
  return metadata;
}

}  // namespace

std::vector<std::string> convert(const ConvertRequest& request) {
  const bool to_safetensors = is_safetensors(request.out);
  check_output("OUT", request.out, request.force);
  check_apart({{"OUT", request.out}}, {request.in});
  Checkpoint checkpoint = read_checkpoint(request.in, request.key);
  if (checkpoint.format == kScriptFormat) {
    throw Error("{}: TorchScript holds a network, which neither format does; save its state_dict() in PyTorch",
                request.in.string());
  }
  for (NamedTensor& tensor : checkpoint.tensors) tensor.name.insert(0, checkpoint.prefix);
  std::vector<std::string> notes;
  for (const std::string& note : checkpoint.notes) notes.push_back(fmt::format("{}: {}", request.in.string(), note));
  check_writable(request.out);
  if (to_safetensors) {
    write_safetensors(request.out, checkpoint.tensors, checkpoint.metadata);
    std::vector<std::string> names;
    for (const auto& [name, tensors] : checkpoint.groups) names.push_back(name);
    if (!names.empty()) {
      notes.push_back(fmt::format("{}: left out, as the format holds one group of tensors: {}", request.out.string(),
                                  fmt::join(names, ", ")));
    }
  } else {
    checkpoint.groups.erase("state_dict");
    write_checkpoint(request.out, checkpoint.tensors, rest_of(checkpoint), checkpoint.groups);
  }
  return notes;
}

}  // namespace lossatlas
