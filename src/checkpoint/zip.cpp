#include <caffe2/serialize/inline_container.h>

#include <set>

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

// What a file compressed afterwards may unpack to: weights shrink little.
constexpr std::uint64_t kUnpackedPerByte = 4;
constexpr std::uint64_t kUnpackedAtLeast = 256U << 20U;

/// The records of the archive. torch.save never compresses, so records larger than the file are damaged unless they
/// were compressed afterwards; sizes are checked before memory is taken.
class Archive : public pickle::StorageBytes {
 public:
  /// `storages`: the folder of the records that hold storages.
  explicit Archive(const std::filesystem::path& file, std::string storages = "data/")
      : file_(file), storages_(std::move(storages)), reader_(file.string()), most_(file_.size()) {
    std::set<std::string> names;
    for (const std::string& record : reader_.getAllRecords()) {
      if (!names.insert(record).second) {
        throw Error("holds the entry '{}' twice: it is damaged", pickle::printable(record));
      }
      if (is_compressed(record)) most_ = kUnpackedPerByte * file_.size() + kUnpackedAtLeast;
    }
  }

  /// Bytes that all records together may have.
  std::uint64_t most() const { return most_; }
  bool has(const std::string& record) { return reader_.hasRecord(record); }

  std::string text(const std::string& record) {
    std::string text(size_of(record), '\0');
    if (!text.empty()) {
      reader_.getRecord(record, text.data(), text.size());
    }
    return text;
  }

  std::uint64_t size(const std::string& key) override { return size_of(storages_ + key); }

  void read(const std::string& key, std::span<std::byte> bytes) override {
    if (!bytes.empty()) {
      reader_.getRecord(storages_ + key, bytes.data(), bytes.size());
    }
  }

  /// Nothing for a record that was compressed afterwards.
  std::optional<std::uint64_t> offset(const std::string& key) override {
    const std::string record = storages_ + key;
    if (is_compressed(record)) {
      return std::nullopt;
    }
    return reader_.getRecordOffset(record);
  }

  /// "name size CRC-32", a line for each record; "" where PyTorch was told to leave the CRC out: it is 0 then.
  std::string checksums() {
    std::string lines;
    for (const std::string& record : reader_.getAllRecords()) {
      const std::uint64_t size = size_of(record);
      const auto checksum = is_compressed(record) ? 0 : checksum_of(record, size);
      if (checksum == 0 && size > 0) {
        return "";
      }
      lines += fmt::format("{} {} {:08x}\n", record, size, checksum);
    }
    return lines;
  }

 private:
  /// What a record's own header says (APPNOTE.TXT 4.3.7).
  bool is_compressed(const std::string& record) { return header<std::uint16_t>(record, 8) != 0; }

  /// From the header, or from the descriptor behind the data (4.3.9) where bit 3 of the flags says so.
  std::uint32_t checksum_of(const std::string& record, std::uint64_t size) {
    constexpr unsigned kDescriptorFollows = 1U << 3U;
    constexpr std::uint32_t kDescriptor = 0x08074b50;
    if ((header<std::uint16_t>(record, 6) & kDescriptorFollows) == 0) {
      return header<std::uint32_t>(record, 14);
    }
    const std::uint64_t end = reader_.getRecordOffset(record) + size;
    return number<std::uint32_t>(end) == kDescriptor ? number<std::uint32_t>(end + 4) : 0;
  }

  template <class Number>
  Number header(const std::string& record, std::uint64_t offset) {
    return number<Number>(reader_.getRecordHeaderOffset(record) + offset);
  }

  template <class Number>
  Number number(std::uint64_t offset) {
    Number number = 0;
    file_.read(offset, std::as_writable_bytes(std::span(&number, 1)));
    return number;
  }

  std::uint64_t size_of(const std::string& record) {
    if (!has(record)) {
      throw Error("has no record '{}': it is damaged or incomplete", record);
    }
    const std::uint64_t size = reader_.getRecordSize(record);
    if (size > most_) {
      throw Error(
          "has a record '{}' of {} bytes, far more than the file's: it is damaged, or compressed; "
          "load it with torch.load and save it again",
          record, size);
    }
    return size;
  }

  InputFile file_;
  std::string storages_;
  caffe2::serialize::PyTorchStreamReader reader_;
  std::uint64_t most_;
};

void check_kind(Archive& archive) {
  if (archive.has("model.json")) {
    throw Error("is a TorchScript archive of PyTorch 1.3 or before; load it in a newer PyTorch and save it again");
  }
  if (!archive.has("data.pkl")) {
    throw Error("is a ZIP archive, but not one that torch.save wrote (it has no data.pkl)");
  }
  if (archive.has("byteorder") && archive.text("byteorder") != "little") {
    throw Error(
        "was written on a big-endian machine ('{}' byte order), which is not read; "
        "load it with torch.load and save it again here",
        pickle::printable(archive.text("byteorder")));
  }
}

/// LibTorch believes what the pickles of a TorchScript file say of its tensors, and would read past the memory that they
/// have.
void check_tensors_of_script(const std::filesystem::path& file) {
  for (const std::string name : {"data", "constants"}) {
    Archive archive(file, name + "/");
    pickle::Arena arena;
    pickle::unpickle(archive.text(name + ".pkl"), arena, pickle::Globals::any);
    pickle::TensorLoader loader(archive, archive.most());
    for (const pickle::TensorView& tensor : arena.tensors()) loader.check(tensor);
  }
}

/// What torch.jit.save wrote: the tensors of the module.
Checkpoint read_script(const std::filesystem::path& file) {
  check_tensors_of_script(file);
  NetworkState state = read_script_state(file);
  Checkpoint checkpoint;
  checkpoint.format = std::string(kScriptFormat);
  checkpoint.tensors = std::move(state.parameters);
  checkpoint.tensors.insert(checkpoint.tensors.end(), state.buffers.begin(), state.buffers.end());
  for (NamedTensor& named : checkpoint.tensors) named.tensor = named.tensor.detach().clone();
  checkpoint.aliases = std::move(state.aliases);
  checkpoint.metadata = nlohmann::json::object();
  return checkpoint;
}

CheckpointIndex index_script(const std::filesystem::path& file) {
  Checkpoint checkpoint = read_script(file);
  CheckpointIndex index{{}, checkpoint.format, {}, std::move(checkpoint.metadata), "", std::move(checkpoint.aliases)};
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
  pickle::TensorLoader loader(archive, archive.most());
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
  CheckpointIndex index =
      archive.has("constants.pkl") ? index_script(file) : unpickle_archive(archive, pickle::index_of);
  index.checksums = archive.checksums();
  return index;
}

}  // namespace lossatlas
