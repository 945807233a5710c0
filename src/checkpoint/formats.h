#pragma once

#include <algorithm>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "checkpoint/index.h"
#include "checkpoint/input_file.h"
#include "checkpoint/tensors.h"

/// One reader a format, each in a file of its own. `key`: as of read_checkpoint. A checkpoint's file is loaded before.
/// They throw Error without the file's name, or c10::Error; read_checkpoint adds the name.
namespace lossatlas {

struct ExportedProgram;

/// What torch.save writes since PyTorch 1.6: a ZIP archive of data.pkl and a record for each storage. Such archives of
/// TorchScript and torch.export too.
Checkpoint read_zip(InputFile& file, std::string_view key);

/// What torch.save wrote before: five pickles, then the storages. Protocol 1001.
Checkpoint read_legacy(InputFile& file, std::string_view key);

/// https://huggingface.co/docs/safetensors: a length, a JSON header, the tensors.
Checkpoint read_safetensors(InputFile& file, std::string_view key);

/// A network of torch.export. `records`: of its archive, by their names, of which all together may have `most` bytes.
/// Reads no pickle.
std::shared_ptr<const ExportedProgram> read_exported(pickle::StorageBytes& records, std::uint64_t most);

/// The same of each format, except for the tensors' numbers. `file` of the index is left empty.
CheckpointIndex index_zip(InputFile& file, std::string_view key);
CheckpointIndex index_legacy(InputFile& file, std::string_view key);
CheckpointIndex index_safetensors(InputFile& file, std::string_view key);

/// The magic number that a legacy file starts with, as a pickle after the two bytes of its protocol.
inline constexpr std::string_view kLegacyMagic{"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", 13};

/// The index of a checkpoint in several files, as Hugging Face writes them: JSON with the file of each tensor.
bool is_index_of_shards(const InputFile& file);
/// All of them: the files are in `folder`. `file` is loaded.
Checkpoint read_shards(const InputFile& file, const std::filesystem::path& folder);
/// read_checkpoint of anything but such an index.
Checkpoint read_one_file(const std::filesystem::path& file, std::string_view key);

/// A checkpoint as an index whose tensors are in memory. `file` and checksums are left empty.
CheckpointIndex in_memory(Checkpoint checkpoint);

/// Throws Error if there is a key: this format has no entries.
void refuse_key(std::string_view key);

/// Removes "module.", which torch.nn.DataParallel puts before every name, if every name has it, and returns it; else
/// "". The count that torch.optim.swa_utils.AveragedModel keeps beside them is removed too.
template <class Named>
std::string remove_module_prefix(std::vector<Named>& tensors) {
  static constexpr std::string_view prefix = "module.";
  const auto is_prefixed = [](const Named& named) { return named.name.starts_with(prefix); };
  const auto is_count = [](const Named& named) { return named.name == "n_averaged"; };
  const auto is_fine = [&](const Named& named) { return is_prefixed(named) || is_count(named); };
  if (!std::any_of(tensors.begin(), tensors.end(), is_prefixed) ||
      !std::all_of(tensors.begin(), tensors.end(), is_fine)) {
    return "";
  }
  std::erase_if(tensors, is_count);
  for (Named& named : tensors) named.name.erase(0, prefix.size());
  return std::string(prefix);
}

}  // namespace lossatlas
