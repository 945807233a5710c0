#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>

#include <algorithm>
#include <new>
#include <stdexcept>

#include "base/error.h"
#include "base/sha256.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/formats.h"
#include "checkpoint/input_file.h"
#include "checkpoint/tensors.h"

namespace lossatlas {
namespace {

/// How one format is read: whole, and without the tensors' numbers.
struct Reader {
  Checkpoint (*checkpoint)(const std::filesystem::path&);
  CheckpointIndex (*index)(const std::filesystem::path&);
};

bool is_text(std::string_view start) {
  return std::all_of(start.begin(), start.end(), [](char letter) {
    return (letter >= ' ' && letter != 0x7f) || letter == '\n' || letter == '\r' || letter == '\t';
  });
}

/// What a file that is no checkpoint seems to be, from its first bytes.
std::string_view guess(std::string_view start) {
  if (start.starts_with("\x89HDF\r\n\x1a\n")) {
    return "is an HDF5 file (a surface?), not a checkpoint";
  }
  if (start.starts_with("version https://git-lfs")) {
    return "is a Git LFS pointer, not the file itself; fetch it with git lfs pull";
  }
  if (start.starts_with("<!DOCTYPE") || start.starts_with("<!doctype") || start.starts_with("<html")) {
    return "is a web page, not a checkpoint: the download went wrong";
  }
  if (start.starts_with('{') && start.find("weight_map") != start.npos) {
    return "is the index of a checkpoint in several files, which is not read; save it in one file";
  }
  if (start.starts_with("\x1f\x8b")) {
    return "is compressed with gzip; unpack it first";
  }
  if (start.starts_with("\x93NUMPY")) {
    return "is a NumPy array, not a checkpoint";
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

Reader reader_for(InputFile& file) {
  const std::string start = file.text(0, 512);
  if (start.empty()) {
    throw Error("is empty");
  }
  if (start.starts_with("PK\x03\x04")) {
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

/// The first sentence of LibTorch's message, without the place in its source.
std::string_view reason(std::string_view message) {
  constexpr std::string_view place_ends = "] . ";
  if (const std::size_t place = message.find(place_ends); message.starts_with('[') && place != message.npos) {
    message.remove_prefix(place + place_ends.size());
  }
  message = message.substr(0, message.find('\n'));
  return message.substr(0, message.find(". "));
}

/// What `read` returns, with the file's name in whatever error it throws.
template <class Read>
auto with_name(const std::filesystem::path& file, const Read& read) {
  try {
    return read();
  } catch (const Error& error) {
    const std::string name = file.string() + ": ";
    throw Error("{}{}", std::string_view(error.what()).starts_with(name) ? "" : name, error.what());
  } catch (const c10::Error& error) {
    throw Error("{}: is damaged or incomplete, or not a checkpoint ({})", file.string(),
                reason(error.what_without_backtrace()));
  } catch (const std::bad_alloc&) {
    throw Error("{}: does not fit into memory", file.string());
  } catch (const std::filesystem::filesystem_error& error) {
    throw Error("{}: {}", file.string(), error.code().message());
  }
}

std::int64_t width_of(const StoredTensor& tensor) { return static_cast<std::int64_t>(c10::elementSize(tensor.type)); }

Reader find_reader(const std::filesystem::path& file) {
  InputFile input(file);
  return reader_for(input);
}

}  // namespace

Checkpoint read_checkpoint(const std::filesystem::path& file) {
  return with_name(file, [&] { return find_reader(file).checkpoint(file); });
}

CheckpointIndex index_checkpoint(const std::filesystem::path& file) {
  CheckpointIndex index = with_name(file, [&] { return find_reader(file).index(file); });
  index.file = file;
  return index;
}

std::string digest_of(const CheckpointIndex& index) {
  return index.checksums.empty() ? sha256_of_file(index.file) : sha256_of_text(index.checksums);
}

std::int64_t StoredTensor::numel() const { return c10::multiply_integers(sizes); }

TensorReader::TensorReader(const CheckpointIndex& index) : index_(index) {
  const auto lies_in_file = [](const StoredTensor& tensor) { return tensor.offset.has_value(); };
  if (!std::any_of(index.tensors.begin(), index.tensors.end(), lies_in_file)) return;
  with_name(index.file, [&] { file_.emplace(index.file); });
}

void TensorReader::read_bytes(const StoredTensor& tensor, std::int64_t first, std::span<std::byte> bytes) const {
  with_name(index_.file, [&] {
    file_.value().read(*tensor.offset + static_cast<std::uint64_t>(first * width_of(tensor)), bytes);
  });
}

void TensorReader::read(const StoredTensor& tensor, std::int64_t first, std::span<float> out) const {
  const auto count = static_cast<std::int64_t>(out.size());
  at::Tensor numbers;
  if (!tensor.offset) {
    numbers = tensor.tensor.reshape({-1}).slice(0, first, first + count);
  } else if (tensor.type == at::kFloat) {
    return read_bytes(tensor, first, std::as_writable_bytes(out));
  } else {
    const at::Tensor bytes = at::empty({count * width_of(tensor)}, at::kByte);
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

void read_state(const CheckpointIndex& index, NetworkState& state) {
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
