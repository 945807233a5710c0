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
  NumberType type = NumberType::uint16;
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
  const Ids ids{bytes.subspan(kHeader), is_gpt2 ? NumberType::uint16 : NumberType::uint32};
  const std::size_t found = ids.bytes.size() / bytes_of(ids.type);
  if (std::cmp_not_equal(found, head[2]) || ids.bytes.size() % bytes_of(ids.type) != 0) {
    throw Error("announces {} ids and holds {}: it is cut off or damaged", head[2], found);
  }
  return ids;
}

ArrayData blocks_of(const std::shared_ptr<const MappedFile>& file, std::int64_t block) {
  const Ids ids = ids_of(file->bytes());
  const auto count = static_cast<std::int64_t>(ids.bytes.size() / bytes_of(ids.type));
  const std::int64_t rows = (count - 1) / block;
  if (count < 2 || rows == 0) {
    throw Error("holds {} ids, fewer than the {} of a block and the one after it", count, block);
  }
  const auto from = [&](std::size_t id) {
    return Array(ids.type, {rows, block},
                 std::shared_ptr<const void>(file, ids.bytes.data() + id * bytes_of(ids.type)));
  };
  ArrayData data;
  data.inputs = {from(0)};
  data.targets = from(1);
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
  try {
    ArrayData data = blocks_of(std::make_shared<const MappedFile>(file), block);
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
