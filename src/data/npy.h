#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "data/array.h"

namespace lossatlas {

/// The head of a .npy file, format 1 to 3 (numpy.lib.format).
struct NpyHeader {
  std::string type;  // as NumPy writes it: "<f4"; "structured" for records
  bool is_fortran = false;
  std::vector<std::int64_t> shape;
  std::size_t size = 0;  // bytes in front of the numbers
};

/// Bytes that are enough to read any head of plain numbers.
constexpr std::size_t kNpyHead = (1 << 16) + 12;

/// `bytes`: the beginning of the file, all of it or kNpyHead. Throws Error, without a file's name.
NpyHeader read_npy_header(std::span<const std::byte> bytes);

/// As messages name a type that NumPy writes so: "float32", "object"; itself if it has no name.
std::string type_name(const std::string& type);

/// Bytes of the numbers. Throws Error, without a file's name, for what is not plain numbers: objects are pickles, and
/// those are never run.
std::uint64_t numbers_size(const NpyHeader& header);

/// The numbers, of which there are numbers_size(header) bytes. Shares them where they can stay as they are; else a
/// copy: of big-endian numbers, those in the order of Fortran, those that are not aligned as the processor requires,
/// and of uint32 and uint64, which become int64. Throws Error for a uint64 that does not fit.
Array npy_array(const NpyHeader& header, std::shared_ptr<const void> numbers);

}  // namespace lossatlas
