#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>

#include <algorithm>
#include <optional>
#include <stdexcept>
#include <utility>

#include "base/crc32.h"
#include "base/error.h"
#include "base/sha256.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/formats.h"
#include "checkpoint/globals.h"
#include "checkpoint/input_file.h"
#include "checkpoint/tensors.h"

namespace lossatlas {
namespace {

/// How one format is read: whole, and without the tensors' numbers.
struct Reader {
  Checkpoint (*checkpoint)(InputFile&, std::string_view key);
  CheckpointIndex (*index)(InputFile&, std::string_view key);
};

bool is_text(std::string_view start) {
  return std::all_of(start.begin(), start.end(), [](char letter) {
    return (letter >= ' ' && letter != 0x7f) || letter == '\n' || letter == '\r' || letter == '\t';
  });
}

/// What a file that is no checkpoint seems to be, from its first bytes.
std::string_view guess(std::string_view start) {
  if (start.starts_with("\x89HDF\r\n\x1a\n")) {
    return "is an HDF5 file (a surface, or weights of Keras?), not a checkpoint";
  }
  if (start.starts_with("version https://git-lfs")) {
    return "is a Git LFS pointer, not the file itself; fetch it with git lfs pull";
  }
  if (start.starts_with("<!DOCTYPE") || start.starts_with("<!doctype") || start.starts_with("<html")) {
    return "is a web page, not a checkpoint: the download went wrong";
  }
  if (start.starts_with("\x1f\x8b")) {
    return "is compressed with gzip; unpack it first";
  }
  if (start.starts_with("\x93NUMPY")) {
    return "is a NumPy array, not a checkpoint";
  }
  if (start.starts_with("GGUF")) {
    return "is a GGUF file (llama.cpp), not a checkpoint; take the weights that it was made of";
  }
  if (start.size() > 1 && start[0] > '\x80' && start[0] <= '\x8f' && start[1] > '\xa0' && start[1] <= '\xbf') {
    return "is not a checkpoint; it seems to be msgpack, as Flax writes it: convert the weights to PyTorch first";
  }
  if (start.substr(std::min<std::size_t>(257, start.size())).starts_with("ustar")) {
    return "is a tar archive; if PyTorch 0.1 wrote it, load it and save it again with a newer PyTorch";
  }
  if (start.starts_with("\x80") && start.size() > 1 && start[1] <= 5) {
    return "is a pickle, but not one that torch.save wrote; save the weights with torch.save(model.state_dict(), ...)";
  }
  return is_text(start) ? "is a text file, not a checkpoint"
                        : "is not a checkpoint of a kind known here (torch.save, safetensors)";
}

/// A JSON object after a length of 8 bytes, the highest of which no header needs.
bool looks_like_safetensors(std::string_view start) {
  return start.size() > 8 && start[8] == '{' && start.substr(5, 3) == std::string_view("\0\0\0", 3);
}

/// The name of a zip's first entry, as far as `start` goes.
std::string_view first_entry(std::string_view start) {
  constexpr std::size_t kLength = 26, kName = 30;  // places in a local header
  if (start.size() < kName) return {};
  const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(start[at]); };
  return start.substr(kName, byte(kLength) + 256U * byte(kLength + 1));
}

Reader reader_for(const InputFile& file, const std::filesystem::path& name) {
  if (name.extension() == ".distcp") {
    throw Error(
        "is one part of what torch.distributed.checkpoint saved; put the folder's parts together: "
        "python -m torch.distributed.checkpoint.format_utils dcp_to_torch FOLDER FILE");
  }
  const std::string start = file.text(0, 512);
  if (start.empty()) {
    throw Error("is empty");
  }
  if (start.starts_with("PK\x03\x04")) {
    const auto entry = first_entry(start);
    const bool is_old_export = entry.starts_with("serialized_") || entry == "version";  // known to read_zip
    if (!entry.empty() && entry.find('/') == entry.npos && !is_old_export) {
      throw Error("is a zip archive that torch.save did not write: '{}' is not in a folder", pickle::printable(entry));
    }
    return {read_zip, index_zip};
  }
  // Two bytes for the protocol; from protocol 4 on, nine more may announce a frame.
  if (start.starts_with('\x80') && start.substr(0, 32).find(kLegacyMagic) != std::string::npos) {
    return {read_legacy, index_legacy};
  }
  if (looks_like_safetensors(start)) {
    return {read_safetensors, index_safetensors};
  }
  throw Error("{}", guess(start));
}

std::uint64_t width_of(const StoredTensor& tensor) { return c10::elementSize(tensor.type); }

std::uint64_t bytes_of(const StoredTensor& tensor) {
  return static_cast<std::uint64_t>(tensor.numel()) * width_of(tensor);
}

/// Of a file that gives no checksums: SHA-256 of its bytes and CRC-32 of each tensor's, from one reading.
void add_checksums(const InputFile& file, CheckpointIndex& index) {
  for (StoredTensor& tensor : index.tensors) tensor.checksum.reset();
  Sha256 digest;
  std::vector<std::byte> memory(1 << 20);
  for (std::uint64_t offset = 0; offset < file.size(); offset += memory.size()) {
    const auto block = std::span(memory).first(std::min<std::uint64_t>(memory.size(), file.size() - offset));
    file.read(offset, block);
    digest.add(block);
    for (StoredTensor& tensor : index.tensors) {
      if (!tensor.offset) continue;
      const std::uint64_t begin = std::max(*tensor.offset, offset);
      const std::uint64_t end = std::min(*tensor.offset + bytes_of(tensor), offset + block.size());
      if (begin < end) tensor.checksum = crc32(block.subspan(begin - offset, end - begin), tensor.checksum.value_or(0));
    }
  }
  index.sha256 = digest.finish();
}

}  // namespace

void refuse_key(std::string_view key) {
  if (!key.empty()) throw Error("has no entries to choose from: leave out `key` {}", key);
}

CheckpointIndex in_memory(Checkpoint checkpoint) {
  CheckpointIndex index;
  index.format = std::move(checkpoint.format);
  index.metadata = std::move(checkpoint.metadata);
  index.sha256 = std::move(checkpoint.sha256);
  index.aliases = std::move(checkpoint.aliases);
  index.prefix = std::move(checkpoint.prefix);
  index.notes = std::move(checkpoint.notes);
  for (const auto& [name, tensor] : checkpoint.tensors) {
    index.tensors.push_back(
        {.name = name, .sizes = tensor.sizes().vec(), .type = tensor.scalar_type(), .tensor = tensor});
  }
  return index;
}

Checkpoint read_one_file(const std::filesystem::path& file, std::string_view key) {
  return with_name(file, [&] {
    InputFile input(file);
    const Reader reader = reader_for(input, file);
    input.load();
    Checkpoint checkpoint = reader.checkpoint(input, key);
    checkpoint.sha256 = sha256_of_text(*input.content());
    return checkpoint;
  });
}

namespace {

/// All files of an index; nothing for any other file.
std::optional<Checkpoint> read_if_shards(const std::filesystem::path& file, std::string_view key) {
  return with_name(file, [&]() -> std::optional<Checkpoint> {
    InputFile input(file);
    if (!is_index_of_shards(input)) return std::nullopt;
    refuse_key(key);
    input.load();
    return read_shards(input, file.parent_path());
  });
}

}  // namespace

Checkpoint read_checkpoint(const std::filesystem::path& file, std::string_view key) {
  auto shards = read_if_shards(file, key);
  return shards ? std::move(*shards) : read_one_file(file, key);
}

CheckpointIndex index_checkpoint(const std::filesystem::path& file, std::string_view key) {
  return with_name(file, [&] {
    if (auto shards = read_if_shards(file, key)) {
      CheckpointIndex index = in_memory(std::move(*shards));
      index.file = file;
      return index;
    }
    InputFile input(file);
    CheckpointIndex index = reader_for(input, file).index(input, key);
    if (index.checksums.empty()) add_checksums(input, index);
    index.file = file;
    return index;
  });
}

bool has_entries(const std::filesystem::path& file, std::initializer_list<const char*> entries) {
  try {
    const nlohmann::json metadata = index_checkpoint(file).metadata;
    return std::all_of(entries.begin(), entries.end(), [&](const char* entry) { return metadata.contains(entry); });
  } catch (const Error&) {
    return false;
  }
}

std::string digest_of(const CheckpointIndex& index) {
  return index.checksums.empty() ? index.sha256 : sha256_of_text(index.checksums);
}

std::int64_t StoredTensor::numel() const { return c10::multiply_integers(sizes); }

TensorReader::TensorReader(const CheckpointIndex& index, bool stays_open) : index_(index), sums_(index.tensors.size()) {
  const auto lies_in_file = [](const StoredTensor& tensor) { return tensor.offset.has_value(); };
  if (!stays_open || !std::any_of(index.tensors.begin(), index.tensors.end(), lies_in_file)) return;
  with_name(index.file, [&] { file_.emplace(index.file); });
}

void TensorReader::read_bytes(const StoredTensor& tensor, std::int64_t first, std::span<std::byte> bytes) const {
  with_name(index_.file, [&] {
    const std::uint64_t begin = static_cast<std::uint64_t>(first) * width_of(tensor);
    if (file_) {
      file_->read(*tensor.offset + begin, bytes);
    } else {
      InputFile(index_.file).read(*tensor.offset + begin, bytes);
    }
    check(tensor, begin, bytes);
  });
}

void TensorReader::check(const StoredTensor& tensor, std::uint64_t begin, std::span<const std::byte> bytes) const {
  if (!tensor.checksum) return;
  const std::uint64_t whole = bytes_of(tensor);
  const std::uint32_t share = crc32_share(crc32(bytes), whole - begin - bytes.size());
  const std::scoped_lock lock(mutex_);
  Sum& sum = sums_.at(static_cast<std::size_t>(&tensor - index_.tensors.data()));
  sum.bytes += bytes.size();
  sum.checksum ^= share;
  if (sum.bytes < whole) return;
  if (std::exchange(sum, {}).checksum == *tensor.checksum) return;
  throw Error("{} does not have its CRC-32: the file is damaged, or was replaced while it was read",
              tensor.entry.empty() ? "tensor " + tensor.name : tensor.entry);
}

void TensorReader::read(const StoredTensor& tensor, std::int64_t first, std::span<float> out) const {
  const auto count = static_cast<std::int64_t>(out.size());
  at::Tensor numbers;
  if (!tensor.offset) {
    numbers = tensor.tensor.reshape({-1}).slice(0, first, first + count);
  } else if (tensor.type == at::kFloat) {
    return read_bytes(tensor, first, std::as_writable_bytes(out));
  } else {
    const at::Tensor bytes = at::empty({count * static_cast<std::int64_t>(width_of(tensor))}, at::kByte);
    read_bytes(tensor, first,
               {reinterpret_cast<std::byte*>(bytes.data_ptr<std::uint8_t>()), static_cast<std::size_t>(bytes.numel())});
    numbers = pickle::typed(bytes, tensor.type);
  }
  at::from_blob(out.data(), {count}, at::kFloat).copy_(numbers);
}

const StoredTensor* find_tensor(const CheckpointIndex& index, std::string_view name) {
  const auto found = std::find_if(index.tensors.begin(), index.tensors.end(),
                                  [&](const StoredTensor& stored) { return stored.name == name; });
  return found == index.tensors.end() ? nullptr : &*found;
}

void read_state(const CheckpointIndex& index, const NetworkTensors& state) {
  const TensorReader reader(index);
  for (const auto* list : {&state.parameters, &state.buffers}) {
    for (const auto& [name, tensor] : *list) {
      if (!tensor.is_floating_point()) continue;
      const StoredTensor* stored = find_tensor(index, name);
      if (stored == nullptr || stored->numel() != tensor.numel()) {
        throw std::logic_error("read_state: another network's checkpoint");
      }
      reader.read(*stored, 0, {tensor.data_ptr<float>(), static_cast<std::size_t>(tensor.numel())});
    }
  }
}

}  // namespace lossatlas
