#include "checkpoint/tensors.h"

#include <ATen/ops/empty.h>

#include <algorithm>

#include "base/crc32.h"
#include "base/error.h"

namespace lossatlas::pickle {
namespace {

// What a file may unfold to through shared or repeated (stride 0) storages: far more than any that is meant to.
constexpr std::uint64_t kCopiesPerByte = 4;
constexpr std::uint64_t kCopiesAtLeast = 256U << 20U;

bool multiply_overflows(std::int64_t a, std::int64_t b, std::int64_t& product) {
  return __builtin_mul_overflow(a, b, &product);
}

/// One past the last element that the view reaches, from the start of its storage; its offset if it has no elements.
std::int64_t end_of(const TensorView& view) {
  std::int64_t end = view.offset;
  for (std::size_t i = 0; i < view.sizes.size(); ++i) {
    if (view.sizes[i] == 0) {
      return view.offset;
    }
    std::int64_t reach = 0;
    if (view.strides[i] < 0 || multiply_overflows(view.sizes[i] - 1, view.strides[i], reach) ||
        __builtin_add_overflow(end, reach, &end)) {
      throw Error("a tensor has strides out of range");
    }
  }
  if (__builtin_add_overflow(end, 1, &end)) {
    throw Error("a tensor has an offset out of range");
  }
  return end;
}

/// Bytes of the storage, of which the view must lie inside.
std::int64_t check_inside(const TensorView& view) {
  const Storage& storage = *view.storage;
  const auto in_file = static_cast<std::int64_t>(c10::elementSize(storage.type));
  const auto in_view = static_cast<std::int64_t>(c10::elementSize(view.type));
  std::int64_t bytes = 0;
  if (storage.numel < 0 || multiply_overflows(storage.numel, in_file, bytes) || storage.view_offset < 0 ||
      storage.view_numel < 0 || storage.view_numel > storage.numel - storage.view_offset) {
    throw Error("storage '{}' has a length out of range", storage.key);
  }
  std::int64_t reach = 0;
  if (view.sizes.size() != view.strides.size() || view.offset < 0 || multiply_overflows(end_of(view), in_view, reach) ||
      reach > storage.view_numel * in_file) {
    throw Error("a tensor reaches beyond its storage '{}'", storage.key);
  }
  return bytes;
}

/// Where the view's first element is, in bytes from the start of its storage.
std::int64_t start_of(const TensorView& view) {
  const Storage& storage = *view.storage;
  return storage.view_offset * static_cast<std::int64_t>(c10::elementSize(storage.type)) +
         view.offset * static_cast<std::int64_t>(c10::elementSize(view.type));
}

bool is_row_major(const TensorView& view) {
  std::int64_t step = 1;
  for (std::size_t i = view.sizes.size(); i-- > 0;) {
    if (view.sizes[i] != 1 && view.strides[i] != step) {
      return false;
    }
    step *= view.sizes[i];
  }
  return true;
}

}  // namespace

std::int64_t byte_count(std::span<const std::int64_t> sizes, c10::ScalarType type) {
  auto count = static_cast<std::int64_t>(c10::elementSize(type));
  bool overflows = false;
  bool empty = false;
  for (const std::int64_t size : sizes) {
    if (size < 0) {
      throw Error("a tensor has a negative size");
    }
    empty = empty || size == 0;
    // LibTorch too multiplies the sizes of an empty tensor, in taking its strides.
    overflows = multiply_overflows(count, std::max<std::int64_t>(size, 1), count) || overflows;
  }
  if (overflows) {
    throw Error("a tensor has sizes out of range");
  }
  return empty ? 0 : count;
}

at::Tensor typed(const at::Tensor& bytes, c10::ScalarType type) {
  return type == at::kBool ? bytes.ne(0) : bytes.view(type);
}

TensorLoader::TensorLoader(StorageBytes& bytes, std::uint64_t file_size)
    : bytes_(bytes), unread_(file_size), copyable_(kCopiesPerByte * file_size + kCopiesAtLeast) {}

at::Tensor TensorLoader::storage(const std::string& key, std::int64_t size) {
  const auto known = storages_.find(key);
  if (known != storages_.end()) {
    if (known->second.numel() < size) {
      throw Error("storage '{}' is shorter than its length", key);
    }
    return known->second;
  }
  const std::uint64_t in_file = bytes_.size(key);
  if (in_file < static_cast<std::uint64_t>(size) || in_file > unread_) {
    throw Error("storage '{}' has {} bytes, of which the file cannot hold as many as it claims", key, in_file);
  }
  unread_ -= in_file;
  at::Tensor bytes = at::empty({static_cast<std::int64_t>(in_file)}, at::kByte);
  bytes_.read(key, {reinterpret_cast<std::byte*>(bytes.data_ptr<std::uint8_t>()), in_file});
  storages_.emplace(key, bytes);
  return bytes;
}

at::Tensor TensorLoader::copy(const at::Tensor& tensor) {
  const auto size = static_cast<std::uint64_t>(byte_count(tensor.sizes(), tensor.scalar_type()));
  if (size > copyable_) {
    throw Error("its tensors are far larger than the file");
  }
  copyable_ -= size;
  return tensor.clone(at::MemoryFormat::Contiguous);
}

at::Tensor TensorLoader::view(const TensorView& view) {
  byte_count(view.sizes, view.type);
  const at::Tensor bytes = storage(view.storage->key, check_inside(view));
  const auto width = static_cast<std::int64_t>(c10::elementSize(view.type));
  const std::int64_t skipped =
      view.storage->view_offset * static_cast<std::int64_t>(c10::elementSize(view.storage->type));
  const at::Tensor used = bytes.slice(0, skipped, bytes.numel() - (bytes.numel() - skipped) % width);
  const at::Tensor flat = typed(used, view.type);
  return flat.as_strided(view.sizes, view.strides, flat.storage_offset() + view.offset);
}

at::Tensor TensorLoader::load(const TensorView& wanted) {
  const at::Tensor tensor = view(wanted);
  if (wanted.is_negative) {
    return copy(tensor).neg_();
  }
  const std::string& key = wanted.storage->key;
  const bool whole = byte_count(wanted.sizes, wanted.type) == storages_.at(key).numel() && tensor.is_contiguous();
  return whole && handed_out_.insert(key).second ? tensor : copy(tensor);
}

void TensorLoader::check(const TensorView& view) {
  byte_count(view.sizes, view.type);
  const std::int64_t size = check_inside(view);
  if (bytes_.size(view.storage->key) < static_cast<std::uint64_t>(size)) {
    throw Error("storage '{}' is shorter than its length", view.storage->key);
  }
}

std::optional<std::uint64_t> TensorLoader::offset_of(const TensorView& view) {
  check(view);
  const auto begin = bytes_.offset(view.storage->key);
  if (!begin || view.is_negative || !is_row_major(view)) {
    return std::nullopt;
  }
  return *begin + static_cast<std::uint64_t>(start_of(view));
}

std::optional<std::uint32_t> TensorLoader::checksum_of(const TensorView& view) {
  const std::string& key = view.storage->key;
  const auto whole = bytes_.checksum(key);
  const auto size = static_cast<std::size_t>(byte_count(view.sizes, view.type));
  if (!whole || size == bytes_.size(key)) {
    return whole;
  }
  const at::Tensor bytes = storage(key, check_inside(view));
  return crc32(std::as_bytes(std::span(bytes.data_ptr<std::uint8_t>() + start_of(view), size)));
}

}  // namespace lossatlas::pickle
