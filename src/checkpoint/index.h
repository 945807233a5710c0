#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/ScalarType.h>

#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/input_file.h"
#include "models/state.h"

namespace lossatlas {

/// A tensor of a checkpoint that stays in its file until numbers of it are asked for.
struct StoredTensor {
  std::string name;
  std::vector<std::int64_t> sizes;
  c10::ScalarType type;
  std::optional<std::uint64_t> offset = {};  // in bytes, where the file holds all its elements in order
  at::Tensor tensor = {};                    // in memory where it does not: a TorchScript file's, a transposed one, …
  std::optional<std::uint32_t> checksum = {};  // CRC-32 of its bytes in the file, where they lie in it
  std::string entry = {};                      // of the zip, that they are in; "" in other files

  std::int64_t numel() const;
};

/// What read_checkpoint reads, except for the tensors' numbers: a checkpoint of any size takes little memory.
struct CheckpointIndex {
  std::filesystem::path file;
  std::string format;                 // as in Checkpoint
  std::vector<StoredTensor> tensors;  // the state_dict, names as in Checkpoint
  nlohmann::json metadata;            // as in Checkpoint
  std::string checksums;              // of all that is in it, as the file itself gives them; "" if it does not
  std::string sha256;                 // of all its bytes, where it gives no checksums
  std::vector<Alias> aliases = {};    // as in Checkpoint, and so are these
  std::string prefix = {};
  std::vector<std::string> notes = {};
};

/// Throws Error naming the file, as read_checkpoint does.
CheckpointIndex index_checkpoint(const std::filesystem::path& file, std::string_view key = {});

/// True for a checkpoint whose metadata has all these entries; false for any other file.
bool has_entries(const std::filesystem::path& file, std::initializer_list<const char*> entries);

/// What identifies a checkpoint, as 64 hexadecimal digits: SHA-256 of the checksums that its file gives, so that
/// the numbers need not be read, or of all its bytes, as they were when it was indexed.
std::string digest_of(const CheckpointIndex& index);

/// Reads numbers of a checkpoint's tensors, from its file. Any thread may use it.
/// A tensor of which all is read, in parts of any order, each once, must have its checksum: so no other file's numbers
/// are taken for those of the index. It may then be read again.
class TensorReader {
 public:
  /// The index outlives the reader. Throws Error naming the file, if it cannot be opened. `stays_open`: else it is
  /// opened for each part.
  explicit TensorReader(const CheckpointIndex& index, bool stays_open = true);

  /// Elements first, …, first + out.size() - 1 of a tensor of the index, in row-major order, each rounded to float.
  /// Throws Error naming the file, if it has become shorter, and its entry, if a checksum differs.
  void read(const StoredTensor& tensor, std::int64_t first, std::span<float> out) const;

 private:
  /// What is known of a tensor that is being read.
  struct Sum {
    std::uint64_t bytes = 0;
    std::uint32_t checksum = 0;
  };

  void read_bytes(const StoredTensor& tensor, std::int64_t first, std::span<std::byte> bytes) const;
  void check(const StoredTensor& tensor, std::uint64_t begin, std::span<const std::byte> bytes) const;

  const CheckpointIndex& index_;
  std::optional<InputFile> file_;  // where tensors lie in it, and it stays open
  mutable std::mutex mutex_;
  mutable std::vector<Sum> sums_;  // of each tensor
};

/// Reads all parameters and statistics of a state: float32, contiguous, on the CPU, names and sizes as in the index
/// (check_fit). What is not floating-point is not changed.
void read_state(const CheckpointIndex& index, const NetworkTensors& state);

/// The tensor of that name; null if there is none.
const StoredTensor* find_tensor(const CheckpointIndex& index, std::string_view name);

/// Throws the Error that load_into would, of a network with such a state, and returns its notes; leaves each tensor
/// under the name that the network lists, whole: one of two is in memory.
std::vector<std::string> check_fit(CheckpointIndex& index, const NetworkTensors& state,
                                   const std::string& architecture);

/// Throws the Error that check_numbers would for the batch-norm statistics of such a state. Reads only these.
void check_statistics(const CheckpointIndex& index, const NetworkTensors& state);

}  // namespace lossatlas
