#include <caffe2/serialize/inline_container.h>

#include "base/error.h"
#include "checkpoint/contents.h"
#include "checkpoint/formats.h"
#include "checkpoint/globals.h"
#include "checkpoint/input_file.h"
#include "checkpoint/tensors.h"
#include "checkpoint/unpickler.h"
#include "models/script.h"

namespace lossatlas {
namespace {

constexpr auto kZipFormat = "PyTorch zip";

/// The records of the archive. torch.save never compresses, so a record that is larger than the file is damaged or
/// was compressed afterwards; sizes are checked before memory is taken.
class Archive : public pickle::StorageBytes {
 public:
  explicit Archive(const std::filesystem::path& file)
      : file_(file), file_size_(std::filesystem::file_size(file)), reader_(file.string()) {}

  std::uint64_t file_size() const { return file_size_; }
  bool has(const std::string& record) { return reader_.hasRecord(record); }

  std::string text(const std::string& record) {
    std::string text(size_of(record), '\0');
    if (!text.empty()) {
      reader_.getRecord(record, text.data(), text.size());
    }
    return text;
  }

  std::uint64_t size(const std::string& key) override { return size_of("data/" + key); }

  void read(const std::string& key, std::span<std::byte> bytes) override {
    if (!bytes.empty()) {
      reader_.getRecord("data/" + key, bytes.data(), bytes.size());
    }
  }

  /// Nothing for a record that was compressed afterwards, as its own header says.
  std::optional<std::uint64_t> offset(const std::string& key) override {
    const std::string record = "data/" + key;
    std::uint16_t method = 0;
    InputFile(file_).read(reader_.getRecordHeaderOffset(record) + 8, std::as_writable_bytes(std::span(&method, 1)));
    if (method != 0) {
      return std::nullopt;
    }
    return reader_.getRecordOffset(record);
  }

 private:
  std::uint64_t size_of(const std::string& record) {
    if (!has(record)) {
      throw Error("has no record '{}': it is damaged or incomplete", record);
    }
    const std::uint64_t size = reader_.getRecordSize(record);
    if (size > file_size_) {
      throw Error("has a record '{}' of {} bytes, more than the file's: it is damaged, or was compressed", record,
                  size);
    }
    return size;
  }

  std::filesystem::path file_;
  std::uint64_t file_size_;
  caffe2::serialize::PyTorchStreamReader reader_;
};

void check_kind(Archive& archive) {
  if (archive.has("model.json")) {
    throw Error("is a TorchScript archive of PyTorch 1.3 or before; load it in a newer PyTorch and save it again");
  }
  if (!archive.has("data.pkl")) {
    throw Error("is a ZIP archive, but not one that torch.save wrote (it has no data.pkl)");
  }
  if (archive.has("byteorder") && archive.text("byteorder") != "little") {
    throw Error("was written on a big-endian machine ('{}' byte order), which is not read; save it again on another",
                pickle::printable(archive.text("byteorder")));
  }
}

/// What torch.jit.save wrote: the tensors of the module.
Checkpoint read_script(const std::filesystem::path& file) {
  const ScriptNetwork network(file);
  NetworkState state = state_of(network);
  Checkpoint checkpoint;
  checkpoint.format = std::string(kScriptFormat);
  checkpoint.tensors = std::move(state.parameters);
  checkpoint.tensors.insert(checkpoint.tensors.end(), state.buffers.begin(), state.buffers.end());
  for (NamedTensor& named : checkpoint.tensors) named.tensor = named.tensor.detach().clone();
  checkpoint.metadata = nlohmann::json::object();
  return checkpoint;
}

CheckpointIndex index_script(const std::filesystem::path& file) {
  Checkpoint checkpoint = read_script(file);
  CheckpointIndex index{{}, checkpoint.format, {}, std::move(checkpoint.metadata)};
  for (const auto& [name, tensor] : checkpoint.tensors) {
    index.tensors.push_back({name, tensor.sizes().vec(), tensor.scalar_type(), std::nullopt, tensor});
  }
  return index;
}

/// What `take` makes of the archive's pickle and its tensors: checkpoint_of or index_of.
template <class Found>
Found unpickle_archive(Archive& archive, Found (*take)(const pickle::Value&, pickle::TensorLoader&)) {
  check_kind(archive);
  pickle::Arena arena;
  const pickle::Loaded loaded = pickle::unpickle(archive.text("data.pkl"), arena);
  pickle::TensorLoader loader(archive, archive.file_size());
  Found found = take(*loaded.root, loader);
  found.format = kZipFormat;
  return found;
}

}  // namespace

Checkpoint read_zip(const std::filesystem::path& file) {
  Archive archive(file);
  return archive.has("constants.pkl") ? read_script(file) : unpickle_archive(archive, pickle::checkpoint_of);
}

CheckpointIndex index_zip(const std::filesystem::path& file) {
  Archive archive(file);
  return archive.has("constants.pkl") ? index_script(file) : unpickle_archive(archive, pickle::index_of);
}

}  // namespace lossatlas
