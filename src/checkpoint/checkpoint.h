#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "models/spec.h"
#include "models/state.h"

namespace lossatlas {

/// Named dictionaries of tensors that are stored next to the state_dict, e.g. "optimizer": the momentum of each
/// parameter.
using TensorGroups = std::map<std::string, std::vector<NamedTensor>>;

/// Checkpoint::format of a TorchScript file, which holds the network itself beside its parameters.
inline constexpr std::string_view kScriptFormat = "TorchScript";
/// The same of what torch.export.save wrote.
inline constexpr std::string_view kExportedFormat = "torch.export";

/// An entry of a checkpoint that holds tensors: "model", or one inside another, "model.ema".
struct CheckpointEntry {
  std::string name;
  std::size_t tensors;
  std::int64_t numbers;  // in all of them
};

/// A checkpoint as read from a file: tensors by name, in file order, and the plain values beside them.
/// Tensors are on the CPU, contiguous, of the type they have in the file, and share no memory with one another.
struct Checkpoint {
  std::string format;                // "PyTorch zip", "PyTorch legacy", "safetensors", "TorchScript", "torch.export"
  std::vector<NamedTensor> tensors;  // the state_dict, without `prefix`
  TensorGroups groups;               // every other dictionary that holds only tensors, by its name; none is empty
  nlohmann::json metadata;           // an object: numbers, strings, None, and lists and dictionaries of them that stood
                                     // beside the state_dict: epoch, acc, and what `train` writes (arch, classes,
                                     // width, data, …). Tensors of one element become numbers; what holds larger ones
                                     // is left out.
  std::string sha256;                // of the bytes that were read
  std::shared_ptr<const std::string> script;             // these bytes, of a TorchScript file; null for others
  std::shared_ptr<const ExportedProgram> exported = {};  // of a file of torch.export; null for others
  std::vector<Alias> aliases = {};                       // of either: further names of its tensors
  std::string prefix = {};                               // removed from each name: "module.", if every name has it
  std::string key = {};                                  // the entry that is the state_dict; "" for the whole
  std::vector<CheckpointEntry> entries = {};             // all that hold tensors
  std::vector<std::string> notes = {};                   // for people, on what was chosen, without the file's name
};

/// Reads a checkpoint, which is recognised by its content: what torch.save wrote (zip or the format before PyTorch 1.6;
/// a state_dict, or a dictionary that holds one under "state_dict"; further names are in contents.cpp), safetensors,
/// TorchScript (see ScriptNetwork), or torch.export (see ExportedProgram). `key`: the entry to take, "" for the usual
/// ones. Runs no code: objects of a pickle that are not tensors, dictionaries, lists, numbers or text are passed over.
/// If there is one in place of the state_dict or of a tensor in it, the file is refused. The file is read once, whole:
/// what becomes of it later does not matter. Memory taken is bounded by a small multiple of its size. Every entry of a
/// zip must have the CRC-32 that the zip's directory gives it (0: none). Throws Error naming the file.
Checkpoint read_checkpoint(const std::filesystem::path& file, std::string_view key = {});

/// What read_checkpoint reads: the file, and if it is the index of a checkpoint in several files, those that it lists.
/// Only the file if it cannot be read.
std::vector<std::filesystem::path> files_of_checkpoint(const std::filesystem::path& file);

/// Writes {"state_dict": …, each group, and each entry of metadata} as torch.load(weights_only=True) reads it: the same
/// input gives the same bytes. `metadata` is an object or null. An empty group is not written. Metadata and groups
/// share the top level with "state_dict": a name used twice is our own mistake (std::logic_error).
/// Written beside the file, then renamed over it: an interrupted or failed write leaves the old file whole.
/// Throws Error naming the file and the reason.
void write_checkpoint(const std::filesystem::path& file, const std::vector<NamedTensor>& state,
                      const nlohmann::json& metadata, const TensorGroups& groups = {});

/// Writes the tensors as safetensors, those of wider elements first, and `metadata` (an object or null), of which what
/// is no text becomes JSON's. The file is replaced as write_checkpoint does. Throws Error naming the file, and the
/// tensor whose type the format lacks.
void write_safetensors(const std::filesystem::path& file, std::vector<NamedTensor> tensors,
                       const nlohmann::json& metadata);

/// Copies the checkpoint's state_dict into the tensors of a network's state, converting to their types and devices.
/// Throws Error naming the first few tensors that are missing, left over or of another shape, with both shapes; the
/// state is then unchanged. num_batches_tracked may be missing (PyTorch before 0.4.1 did not write it). A tensor that
/// the network knows by several names may have any of them; under several, its numbers must be the same.
/// Prefixes of all names are adapted, and two tensors that are one of the network's (adapt.h) put together: the notes
/// that it returns say so, without the file's name.
std::vector<std::string> load_into(const Checkpoint& checkpoint, const NetworkTensors& state,
                                   const std::string& architecture, const std::filesystem::path& file);

/// The architectures that the checkpoint fits, for the classes, width and images of a spec whose own name does not
/// count. Makes many networks: some seconds.
std::vector<std::string> fitting_architectures(const Checkpoint& checkpoint, NetworkSpec spec);

/// Throws Error naming the file and the tensor if a parameter or a batch-norm statistic is not finite, or a variance
/// is negative.
void check_numbers(const NetworkTensors& state, const std::filesystem::path& file);

}  // namespace lossatlas
