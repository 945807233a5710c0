#pragma once

#include <algorithm>
#include <string_view>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "checkpoint/index.h"
#include "checkpoint/input_file.h"
#include "checkpoint/tensors.h"

/// One reader a format, each in a file of its own. A checkpoint's file is loaded before. They throw Error without the
/// file's name, or c10::Error; read_checkpoint adds the name.
namespace lossatlas {

struct ExportedProgram;

/// What torch.save writes since PyTorch 1.6: a ZIP archive of data.pkl and a record for each storage. Such archives of
/// TorchScript and torch.export too.
Checkpoint read_zip(InputFile& file);

/// What torch.save wrote before: five pickles, then the storages. Protocol 1001.
Checkpoint read_legacy(InputFile& file);

/// https://huggingface.co/docs/safetensors: a length, a JSON header, the tensors.
Checkpoint read_safetensors(InputFile& file);

/// A network of torch.export. `records`: of its archive, by their names, of which all together may have `most` bytes.
/// Reads no pickle.
std::shared_ptr<const ExportedProgram> read_exported(pickle::StorageBytes& records, std::uint64_t most);

/// The same of each format, but for the tensors' numbers. `file` of the index is left empty.
CheckpointIndex index_zip(InputFile& file);
CheckpointIndex index_legacy(InputFile& file);
CheckpointIndex index_safetensors(InputFile& file);

/// The magic number that a legacy file starts with, as a pickle after the two bytes of its protocol.
inline constexpr std::string_view kLegacyMagic{"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", 13};

/// Removes "module.", which torch.nn.DataParallel puts before every name, if every name has it.
template <class Named>
void remove_module_prefix(std::vector<Named>& tensors) {
  static constexpr std::string_view prefix = "module.";
  const bool everywhere =
      std::all_of(tensors.begin(), tensors.end(), [](const Named& named) { return named.name.starts_with(prefix); });
  for (Named& named : tensors) {
    named.name.erase(0, everywhere ? prefix.size() : 0);
  }
}

}  // namespace lossatlas
