#include <caffe2/serialize/inline_container.h>
#include <caffe2/serialize/read_adapter_interface.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/crc32.h"
#include "base/error.h"
#include "base/zip_directory.h"
#include "checkpoint/contents.h"
#include "checkpoint/formats.h"
#include "checkpoint/globals.h"
#include "checkpoint/input_file.h"
#include "checkpoint/tensors.h"
#include "checkpoint/torch_objects.h"
#include "models/exported.h"
#include "models/script.h"

namespace lossatlas {
namespace {

constexpr auto kZipFormat = "PyTorch zip";

// What a file compressed afterwards may unpack to: weights shrink little.
constexpr std::uint64_t kUnpackedPerByte = 4;
constexpr std::uint64_t kUnpackedAtLeast = 256U << 20U;

/// Through which LibTorch reads the bytes that we read.
class FileAdapter : public caffe2::serialize::ReadAdapterInterface {
 public:
  /// The file outlives the adapter.
  explicit FileAdapter(const InputFile& file) : file_(file) {}

  std::size_t size() const override { return file_.size(); }
  std::size_t read(std::uint64_t position, void* buffer, std::size_t count, const char* /*what*/) const override {
    file_.read(position, {static_cast<std::byte*>(buffer), count});
    return count;
  }

 private:
  const InputFile& file_;
};

/// The records of the archive. torch.save never compresses, so records larger than the file are damaged unless they
/// were compressed afterwards; sizes are checked before memory is taken. What is read must have the CRC-32 of the
/// directory.
class Archive : public pickle::StorageBytes {
 public:
  /// The file outlives the archive. `storages`: the folder of the records that hold storages.
  explicit Archive(const InputFile& file, std::string storages = "data/")
      : file_(file), storages_(std::move(storages)), reader_(std::make_shared<FileAdapter>(file)), most_(file.size()) {
    for (const ZipEntry& entry : read_zip_directory(
             file.size(), [&](std::uint64_t offset, std::uint64_t count) { return file.text(offset, count); })) {
      if (checksums_.empty()) folder_ = entry.name.substr(0, entry.name.find('/') + 1);
      checksums_.emplace(entry.name, entry.checksum);
    }
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
    read_record(record, std::as_writable_bytes(std::span(text)));
    return text;
  }

  /// Throws Error unless all that is in it has its CRC-32.
  void check_all() {
    for (const std::string& record : reader_.getAllRecords()) {
      if (reader_.getRecordSize(record) <= most_) text(record);
    }
  }

  std::uint64_t size(const std::string& key) override { return size_of(storages_ + key); }

  void read(const std::string& key, std::span<std::byte> bytes) override { read_record(storages_ + key, bytes); }

  /// Nothing for a record that was compressed afterwards.
  std::optional<std::uint64_t> offset(const std::string& key) override {
    const std::string record = storages_ + key;
    if (is_compressed(record)) {
      return std::nullopt;
    }
    return reader_.getRecordOffset(record);
  }

  std::optional<std::uint32_t> checksum(const std::string& key) override { return known_checksum(storages_ + key); }
  std::string entry(const std::string& key) override { return folder_ + storages_ + key; }

  /// "name size CRC-32", a line for each record; "" if PyTorch was told to leave the CRC out: it is 0 then.
  std::string checksums() {
    std::string lines;
    for (const std::string& record : reader_.getAllRecords()) {
      const std::uint64_t size = size_of(record);
      const auto checksum = is_compressed(record) ? std::nullopt : known_checksum(record);
      if (!checksum && size > 0) {
        return "";
      }
      lines += fmt::format("{} {} {:08x}\n", record, size, checksum.value_or(0));
    }
    return lines;
  }

 private:
  void read_record(const std::string& record, std::span<std::byte> bytes) {
    if (bytes.empty()) {
      return;
    }
    reader_.getRecord(record, bytes.data(), bytes.size());
    if (const auto checksum = known_checksum(record); checksum && crc32(bytes) != *checksum) {
      throw Error("{} does not have its CRC-32: the file is damaged", pickle::printable(folder_ + record));
    }
  }

  /// What the directory says; nothing if it was left out.
  std::optional<std::uint32_t> known_checksum(const std::string& record) const {
    const auto found = checksums_.find(folder_ + record);
    return found == checksums_.end() || found->second == 0 ? std::nullopt : std::optional(found->second);
  }

  /// What a record's own header says (APPNOTE.TXT 4.3.7).
  bool is_compressed(const std::string& record) { return header<std::uint16_t>(record, 8) != 0; }

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

  const InputFile& file_;
  std::string storages_;
  caffe2::serialize::PyTorchStreamReader reader_;
  std::uint64_t most_;
  std::string folder_;  // "archive/" of "archive/data.pkl", the first member
  std::map<std::string, std::uint32_t> checksums_;
};

[[noreturn]] void refuse_old_export() {
  throw Error(
      "was written by torch.export of an older PyTorch, which stores weights as a pickle; load it in PyTorch 2.11 with "
      "torch.export.load and save it again");
}

/// Whether it is one from before archives, which had a folder.
bool is_old_export(const InputFile& file) {
  const auto text = [&](std::uint64_t offset, std::uint64_t count) { return file.text(offset, count); };
  try {
    const auto entries = read_zip_directory(file.size(), text);
    return std::any_of(entries.begin(), entries.end(),
                       [](const ZipEntry& entry) { return entry.name == "serialized_exported_program.json"; });
  } catch (const Error&) {  // no zip: whoever reads it says so
    return false;
  }
}

void check_byte_order(Archive& archive) {
  if (archive.has("byteorder") && archive.text("byteorder") != "little") {
    throw Error(
        "was written on a big-endian machine ('{}' byte order), which is not read; "
        "load it with torch.load and save it again here",
        pickle::printable(archive.text("byteorder")));
  }
}

void check_kind(Archive& archive) {
  if (archive.has("model.json")) {
    throw Error("is a TorchScript archive of PyTorch 1.3 or before; load it in a newer PyTorch and save it again");
  }
  if (!archive.has("data.pkl")) {
    throw Error("is a ZIP archive, but not one that torch.save wrote (it has no data.pkl)");
  }
  check_byte_order(archive);
}

/// LibTorch believes what the pickles of a TorchScript file say of its tensors, and would read past the memory that
/// they have. Nor does it look at checksums.
void check_script(const InputFile& file) {
  Archive(file).check_all();
  for (const std::string name : {"data", "constants"}) {
    Archive archive(file, name + "/");
    pickle::Arena arena;
    pickle::unpickle(archive.text(name + ".pkl"), arena, pickle::Globals::any);
    pickle::TensorLoader loader(archive, archive.most());
    for (const pickle::TensorView& tensor : arena.tensors()) loader.check(tensor);
  }
}

/// What torch.jit.save wrote: the tensors of the module.
Checkpoint read_script(InputFile& file, std::string_view key) {
  refuse_key(key);
  file.load();
  check_script(file);
  NetworkTensors state = read_script_state(*file.content());
  Checkpoint checkpoint;
  checkpoint.format = std::string(kScriptFormat);
  checkpoint.script = file.content();
  checkpoint.tensors = std::move(state.parameters);
  checkpoint.tensors.insert(checkpoint.tensors.end(), state.buffers.begin(), state.buffers.end());
  for (NamedTensor& named : checkpoint.tensors) named.tensor = named.tensor.detach().clone();
  checkpoint.aliases = std::move(state.aliases);
  checkpoint.metadata = nlohmann::json::object();
  return checkpoint;
}

/// What torch.export.save wrote.
Checkpoint read_export(const InputFile& file, std::string_view key) {
  refuse_key(key);
  Archive records(file, "");
  check_byte_order(records);
  if (!records.has("models/model.json")) {
    throw Error("holds no network of torch.export (models/model.json); save one with torch.export.save");
  }
  if (!records.has("data/weights/model_weights_config.json")) refuse_old_export();
  Checkpoint checkpoint;
  checkpoint.format = std::string(kExportedFormat);
  checkpoint.exported = read_exported(records, records.most());
  NetworkTensors state = exported_state(checkpoint.exported);
  checkpoint.tensors = all_tensors(state);
  for (NamedTensor& named : checkpoint.tensors) named.tensor = named.tensor.detach();
  checkpoint.aliases = std::move(state.aliases);
  checkpoint.metadata = nlohmann::json::object();
  return checkpoint;
}

/// What `take` makes of the archive's pickle and its tensors: checkpoint_of or index_of.
template <class Found>
Found unpickle_archive(Archive& archive, std::string_view key,
                       Found (*take)(const pickle::Value&, pickle::TensorLoader&, std::string_view)) {
  check_kind(archive);
  pickle::Arena arena;
  const pickle::Loaded loaded = pickle::unpickle(archive.text("data.pkl"), arena);
  pickle::TensorLoader loader(archive, archive.most());
  Found found = take(*loaded.root, loader, key);
  found.format = kZipFormat;
  return found;
}

}  // namespace

Checkpoint read_zip(InputFile& file, std::string_view key) {
  if (is_old_export(file)) refuse_old_export();
  Archive archive(file);
  if (archive.has("archive_format")) return read_export(file, key);
  return archive.has("constants.pkl") ? read_script(file, key) : unpickle_archive(archive, key, pickle::checkpoint_of);
}

CheckpointIndex index_zip(InputFile& file, std::string_view key) {
  if (is_old_export(file)) refuse_old_export();
  Archive archive(file);
  CheckpointIndex index = archive.has("archive_format")  ? in_memory(read_export(file, key))
                          : archive.has("constants.pkl") ? in_memory(read_script(file, key))
                                                         : unpickle_archive(archive, key, pickle::index_of);
  index.checksums = archive.checksums();
  return index;
}

}  // namespace lossatlas
