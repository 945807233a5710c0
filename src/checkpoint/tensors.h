#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>

#include "pickle/value.h"

namespace lossatlas::pickle {

/// Where a file keeps the bytes of its storages.
class StorageBytes {
 public:
  virtual ~StorageBytes() = default;
  /// How many bytes the file has for this storage. Throws Error if there is no such storage.
  virtual std::uint64_t size(const std::string& key) = 0;
  /// Copies the storage into `bytes`, which is of that size.
  virtual void read(const std::string& key, std::span<std::byte> bytes) = 0;
  /// Where in the file its bytes begin; nothing if they are not stored there as they are.
  virtual std::optional<std::uint64_t> offset(const std::string& key) = 0;
  /// CRC-32 of its bytes, if the file gives it.
  virtual std::optional<std::uint32_t> checksum(const std::string& /*key*/) { return std::nullopt; }
  /// What a zip calls the entry that holds it; "" in other files.
  virtual std::string entry(const std::string& /*key*/) { return ""; }
};

/// Makes tensors of their descriptions, each storage being read once, when first needed.
class TensorLoader {
 public:
  /// `file_size`: the storages that the file claims to hold cannot be larger together.
  TensorLoader(StorageBytes& bytes, std::uint64_t file_size);

  /// Throws Error, without a file's name, if the view is not inside its storage, or the storage not inside the file.
  void check(const TensorView& view);

  /// On the CPU, contiguous, in memory that no other tensor shares. Throws as check does.
  at::Tensor load(const TensorView& view);

  /// The same in the memory of its storage, which other views share: not to be written. Throws as check does.
  at::Tensor view(const TensorView& view);

  /// Where in the file the tensor's elements begin, if they are stored one after the other, row-major.
  /// Throws as check does.
  std::optional<std::uint64_t> offset_of(const TensorView& view);

  /// CRC-32 of the bytes that offset_of finds, if the file gives its storage's. Reads the storage if the tensor is a
  /// part.
  std::optional<std::uint32_t> checksum_of(const TensorView& view);
  std::string entry_of(const TensorView& view) { return bytes_.entry(view.storage->key); }

 private:
  /// uint8 [at least `size`]
  at::Tensor storage(const std::string& key, std::int64_t size);
  at::Tensor copy(const at::Tensor& tensor);

  StorageBytes& bytes_;
  std::uint64_t unread_;    // bytes that storages may still take
  std::uint64_t copyable_;  // bytes that copies of storages may still take
  std::map<std::string, at::Tensor> storages_;
  std::set<std::string> handed_out_;  // storages whose memory a tensor took over
};

/// A value of raw bytes as a tensor of `type`; a byte of a bool other than 0 counts as 1.
at::Tensor typed(const at::Tensor& bytes, c10::ScalarType type);

/// Bytes of a tensor of these sizes. Throws Error if a size is negative, or the product beyond 63 bits.
std::int64_t byte_count(std::span<const std::int64_t> sizes, c10::ScalarType type);

}  // namespace lossatlas::pickle
