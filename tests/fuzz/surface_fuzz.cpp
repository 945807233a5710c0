#include <algorithm>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

#include "base/crc32.h"
#include "base/json.h"
#include "fuzz/input.h"
#include "storage/hdf5.h"
#include "surface/journal.h"
#include "surface/summary.h"
#include "surface/surface_file.h"
#include "training/history.h"

using namespace lossatlas;

/// HDF5 asks for any size that a damaged file names; as anywhere else, it is to be told that there is not so much.
extern "C" const char* __asan_default_options();
extern "C" const char* __asan_default_options() { return "allocator_may_return_null=1"; }

/// It forgets some of what it holds (about 50 bytes) when it gives up a damaged file.
extern "C" const char* __lsan_default_suppressions();
extern "C" const char* __lsan_default_suppressions() { return "leak:libhdf5\n"; }

namespace {

constexpr std::string_view kJournal = "lossatlas-journ\n";

template <class T>
T number(std::span<const std::byte> bytes) {
  T number = 0;
  std::memcpy(&number, bytes.data(), std::min(bytes.size(), sizeof number));
  return number;
}

/// A journal's checksums, which the fuzzer cannot guess: of its head, then of each record of five values.
void repair(std::span<std::byte> rest) {
  constexpr std::size_t kPrefix = 24, kRecord = 48;
  const auto finish = [&](std::size_t length) {
    if (length > rest.size() || rest.size() - length < sizeof(std::uint32_t)) return false;
    const std::uint32_t sum = crc32(rest.first(length));
    std::memcpy(rest.data() + length, &sum, sizeof sum);
    rest = rest.subspan(length + sizeof sum);
    return true;
  };
  bool whole = rest.size() > kPrefix && finish(kPrefix + number<std::uint32_t>(rest.subspan(kPrefix - 4)));
  while (whole) whole = finish(kRecord);
}

void fuzz_journal(const std::uint8_t* bytes, std::size_t size) {
  std::vector<std::uint8_t> journal(bytes, bytes + size);
  repair(std::as_writable_bytes(std::span(journal)));
  testing::read_as_file("surface.h5.journal", journal.data(), size, [](const auto& file) {
    const JournalContents contents = read_journal(file);
    json_text(contents.settings);
  });
}

/// What `info` reads of the kinds that have no reader of their own: projections, descents, directions.
void read_all(const Hdf5Reader& reader, const std::string& group, int depth) {
  for (const std::string& name : reader.members(group.empty() ? "/" : group)) {
    const std::string path = group + "/" + name;
    try {
      if (reader.is_group(path) && depth < 4) read_all(reader, path, depth + 1);
      if (!reader.is_dataset(path)) continue;
      if (reader.stored(path) == Stored::text) {
        reader.read_texts(path);
      } else {
        reader.read<double>(path);
      }
    } catch (const Error&) {
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size);
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  if (std::string_view(reinterpret_cast<const char*>(bytes), size).starts_with(kJournal)) {
    fuzz_journal(bytes, size);
    return 0;
  }
  testing::read_as_file("surface.h5", bytes, size, [](const auto& file) {
    const Surface surface = read_surface(file);
    json_text(surface.settings);
    json_text(surface.provenance);
    json_text(summary_json(surface));
  });
  testing::read_as_file("history.h5", bytes, size, [](const auto& file) { json_text(read_history(file).settings); });
  testing::read_as_file("other.h5", bytes, size, [](const auto& file) { read_all(Hdf5Reader(file), "", 0); });
  return 0;
}
