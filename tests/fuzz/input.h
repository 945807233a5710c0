#pragma once

#include <cstddef>
#include <cstdint>
#include <fstream>

#include "base/error.h"
#include "temporary_folder.h"

/// What the fuzzers share.
namespace lossatlas::testing {

/// Writes the fuzzer's bytes to a file of this name, and reads that: `read` may throw Error, and nothing else.
template <class Read>
void read_as_file(const char* name, const std::uint8_t* bytes, std::size_t size, const Read& read) {
  static const TemporaryFolder folder;
  std::ofstream(folder / name, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes), static_cast<std::streamsize>(size));
  try {
    read(folder / name);
  } catch (const Error&) {
  }
}

}  // namespace lossatlas::testing
