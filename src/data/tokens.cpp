#include "data/tokens.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <span>
#include <utility>

#include "base/error.h"
#include "base/mapped_file.h"

namespace lossatlas {
namespace {

namespace fs = std::filesystem;

struct Place {
  fs::path path;
  std::int64_t block = 0;  // 0: the words do not say
};

Place place_of(const std::string& rest) {
  const std::size_t colon = rest.rfind(':');
  if (fs::exists(rest) || colon == rest.npos) return {rest};
  Place place{rest.substr(0, colon)};
  const char* end = rest.data() + rest.size();
  const auto [stop, failure] = std::from_chars(rest.data() + colon + 1, end, place.block);
  if (failure != std::errc{} || stop != end || place.block < 1) {
    throw UsageError("`data` tokens:{}: requires a block length after the colon, as in tokens:{}:1024", rest,
                     place.path.string());
  }
  return place;
}

fs::path file_of(const fs::path& path, Split split) {
  if (!fs::is_directory(path)) return path;
  const fs::path file = path / (split == Split::train ? "train.bin" : "val.bin");
  if (!fs::exists(file))
    throw Error("{}: no such file; nanoGPT's prepare.py writes train.bin and val.bin", file.string());
  return file;
}

/// The ids of a file as they are stored.
struct Ids {
  std::span<const std::byte> bytes;
  std::size_t size_of_one = 2;
};

/// llm.c's files begin with 256 int32: a magic number, a version, the number of ids.
Ids ids_of(std::span<const std::byte> bytes) {
  constexpr std::int32_t kGpt2 = 20240520, kLlama3 = 20240801;
  constexpr std::size_t kHeader = 256 * sizeof(std::int32_t);
  std::int32_t head[3]{};
  if (bytes.size() >= kHeader) std::memcpy(head, bytes.data(), sizeof head);
  const bool is_gpt2 = head[0] == kGpt2 && head[1] == 1, is_llama3 = head[0] == kLlama3 && head[1] == 7;
  if (!is_gpt2 && !is_llama3) {
    if (bytes.size() % 2 != 0) throw Error("holds {} bytes, not a whole number of uint16 ids", bytes.size());
    return {bytes};
  }
  const Ids ids{bytes.subspan(kHeader), is_gpt2 ? std::size_t{2} : 4};
  const std::size_t found = ids.bytes.size() / ids.size_of_one;
  if (std::cmp_not_equal(found, head[2]) || ids.bytes.size() % ids.size_of_one != 0) {
    throw Error("announces {} ids and holds {}: it is cut off or damaged", head[2], found);
  }
  return ids;
}

template <class Id>
void widen(std::span<const std::byte> bytes, std::span<std::int64_t> out) {
  for (std::size_t i = 0; i < out.size(); ++i) {
    Id id = 0;
    std::memcpy(&id, bytes.data() + i * sizeof id, sizeof id);
    out[i] = id;
  }
}

ArrayData blocks_of(std::span<const std::byte> bytes, std::int64_t block) {
  const Ids stored = ids_of(bytes);
  const auto count = static_cast<std::int64_t>(stored.bytes.size() / stored.size_of_one);
  const std::int64_t rows = (count - 1) / block;
  if (count < 2 || rows == 0) {
    throw Error("holds {} ids, fewer than the {} of a block and the one after it", count, block);
  }
  const auto used = static_cast<std::size_t>(rows * block + 1);
  const auto owner = memory_for(used * sizeof(std::int64_t));
  auto* ids = reinterpret_cast<std::int64_t*>(owner.get());
  (stored.size_of_one == 2 ? widen<std::uint16_t> : widen<std::uint32_t>)(stored.bytes, {ids, used});
  ArrayData data;  // both share the ids
  data.inputs = {Array(NumberType::int64, {rows, block}, std::shared_ptr<const void>(owner, ids))};
  data.targets = Array(NumberType::int64, {rows, block}, std::shared_ptr<const void>(owner, ids + 1));
  return data;
}

}  // namespace

ArrayData load_tokens(const std::string& rest, Split split, const TokenOptions& options) {
  const Place place = place_of(rest);
  const fs::path file = file_of(place.path, split);
  const std::int64_t block = place.block > 0 ? place.block : options.block;
  if (block < 1) {
    throw UsageError("`data` tokens:{}: requires the block length, as in tokens:{}:1024", rest, place.path.string());
  }
  const MappedFile mapped(file);
  try {
    ArrayData data = blocks_of(mapped.bytes(), block);
    data.file = file;
    return data;
  } catch (const Error& error) {
    throw Error("{}: {}", file.string(), error.what());
  }
}

bool has_test_tokens(const std::string& rest) {
  const fs::path path = place_of(rest).path;
  return fs::is_directory(path) && fs::exists(path / "val.bin");
}

std::vector<fs::path> token_files(const std::string& rest) {
  const fs::path path = place_of(rest).path;
  std::vector<fs::path> files;
  for (const fs::path& file : {path, path / "train.bin", path / "val.bin"}) {
    if (fs::is_regular_file(file)) files.push_back(file);
  }
  return files;
}

}  // namespace lossatlas
