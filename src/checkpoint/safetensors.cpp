#include <ATen/ops/empty.h>

#include <algorithm>
#include <array>
#include <bit>
#include <set>
#include <utility>

#include "base/error.h"
#include "base/files.h"
#include "base/json.h"
#include "checkpoint/formats.h"
#include "checkpoint/globals.h"
#include "checkpoint/input_file.h"
#include "checkpoint/tensors.h"

namespace lossatlas {
namespace {

using nlohmann::json;

constexpr auto kFormat = "safetensors";
constexpr std::uint64_t kMaxHeader = 100'000'000;  // the format's own limit

struct Entry {
  std::string name;
  c10::ScalarType type;
  std::vector<std::int64_t> sizes;
  std::uint64_t begin;  // from the end of the header
  std::uint64_t end;
};

constexpr std::array<std::pair<std::string_view, c10::ScalarType>, 16> kTypes{{
    {"F64", c10::kDouble},
    {"F32", c10::kFloat},
    {"F16", c10::kHalf},
    {"BF16", c10::kBFloat16},
    {"I64", c10::kLong},
    {"I32", c10::kInt},
    {"I16", c10::kShort},
    {"I8", c10::kChar},
    {"U8", c10::kByte},
    {"BOOL", c10::kBool},
    {"U64", c10::kUInt64},
    {"U32", c10::kUInt32},
    {"U16", c10::kUInt16},
    {"F8_E4M3", c10::kFloat8_e4m3fn},
    {"F8_E5M2", c10::kFloat8_e5m2},
    {"F8_E8M0", c10::kFloat8_e8m0fnu},
}};

c10::ScalarType type_of(const std::string& tensor, const std::string& name) {
  for (const auto& [known, type] : kTypes) {
    if (known == name) {
      return type;
    }
  }
  throw Error("'{}': of type '{}', which is not read; save it as another, as F32", pickle::printable(tensor),
              pickle::printable(name));
}

std::string_view name_of(const std::string& tensor, c10::ScalarType type) {
  for (const auto& [name, known] : kTypes) {
    if (known == type) return name;
  }
  throw Error("'{}': of type {}, which safetensors does not have", pickle::printable(tensor), c10::toString(type));
}

/// Of names that stand twice a JSON parser would keep one.
void check_unique(const std::string& text) {
  std::set<std::string> names;
  std::string twice;
  const auto look = [&](int depth, json::parse_event_t event, json& parsed) {
    constexpr int of_tensors = 1;
    if (event == json::parse_event_t::key && depth == of_tensors && !names.insert(parsed.get<std::string>()).second) {
      twice = parsed.get<std::string>();
    }
    return false;
  };
  const json unused = json::parse(text, look, false);
  if (!twice.empty()) {
    throw Error("holds tensor '{}' twice: it is damaged", pickle::printable(twice));
  }
}

json read_header(InputFile& file, std::uint64_t& data_begin) {
  std::uint64_t length = 0;
  file.read(0, std::as_writable_bytes(std::span(&length, 1)));
  if (length > kMaxHeader || length > file.size() - sizeof length) {
    throw Error("has a safetensors header of {} bytes, in a file of {}: it is damaged or incomplete", length,
                file.size());
  }
  data_begin = sizeof length + length;
  const std::string text = file.text(sizeof length, length);
  json header = parse_json(text);
  if (!header.is_object()) {
    throw Error("has a safetensors header that is not a JSON object: it is damaged");
  }
  check_unique(text);
  return header;
}

std::uint64_t unsigned_of(const json& value) {
  if (!value.is_number_unsigned()) {
    throw Error("has a size or an offset in its safetensors header that is not a number from 0 up");
  }
  return value.get<std::uint64_t>();
}

Entry entry_of(const std::string& name, const json& item) {
  const bool complete = item.is_object() && item.contains("dtype") && item["dtype"].is_string() &&
                        item.contains("shape") && item["shape"].is_array() && item.contains("data_offsets") &&
                        item["data_offsets"].is_array() && item["data_offsets"].size() == 2;
  if (!complete || item["shape"].size() > 64) {
    throw Error("lacks the type, shape or place of tensor '{}': it is damaged", pickle::printable(name));
  }
  Entry entry{name,
              type_of(name, item["dtype"].get<std::string>()),
              {},
              unsigned_of(item["data_offsets"][0]),
              unsigned_of(item["data_offsets"][1])};
  for (const json& size : item["shape"]) {
    // A size beyond 63 bits becomes a negative one, which byte_count refuses.
    entry.sizes.push_back(static_cast<std::int64_t>(unsigned_of(size)));
  }
  return entry;
}

/// Every tensor's bytes are as many as its shape says, and begin where those before end: the format allows no gaps.
void check(const std::vector<Entry>& entries, std::uint64_t data_size) {
  std::uint64_t last_end = 0;
  for (const Entry& entry : entries) {
    const bool inside = entry.begin == last_end && entry.begin <= entry.end && entry.end <= data_size;
    const auto bytes = static_cast<std::uint64_t>(pickle::byte_count(entry.sizes, entry.type));
    if (!inside || entry.end - entry.begin != bytes) {
      throw Error(
          "'{}': at bytes {} to {} of {}, but has {} bytes, after {} of other tensors: the file is damaged or "
          "incomplete",
          pickle::printable(entry.name), entry.begin, entry.end, data_size, bytes, last_end);
    }
    last_end = entry.end;
  }
  if (last_end != data_size) {
    throw Error("has {} bytes after its last tensor: it is damaged", data_size - last_end);
  }
}

at::Tensor read_tensor(InputFile& file, const Entry& entry, std::uint64_t data_begin) {
  const auto count = static_cast<std::int64_t>(entry.end - entry.begin);
  const at::Tensor bytes = at::empty({count}, at::kByte);
  file.read(data_begin + entry.begin,
            {reinterpret_cast<std::byte*>(bytes.data_ptr<std::uint8_t>()), static_cast<std::size_t>(count)});
  return pickle::typed(bytes, entry.type).view(entry.sizes);
}

struct Header {
  std::vector<Entry> entries;  // in file order
  json metadata = json::object();
  std::string prefix;  // that was removed from each name
  std::uint64_t data_begin = 0;
};

Header parse(InputFile& file) {
  static_assert(std::endian::native == std::endian::little, "numbers are read as they are stored");
  Header result;
  const json header = read_header(file, result.data_begin);
  std::vector<Entry>& entries = result.entries;
  for (const auto& [name, item] : header.items()) {
    if (name == "__metadata__" && item.is_object()) {
      result.metadata = item;
    } else {
      entries.push_back(entry_of(name, item));
    }
  }
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
  });
  check(entries, file.size() - result.data_begin);
  result.prefix = remove_module_prefix(entries);
  return result;
}

}  // namespace

Checkpoint read_safetensors(InputFile& file, std::string_view key) {
  refuse_key(key);
  Header header = parse(file);
  Checkpoint checkpoint;
  checkpoint.format = kFormat;
  checkpoint.metadata = std::move(header.metadata);
  checkpoint.prefix = header.prefix;
  for (const Entry& entry : header.entries) {
    checkpoint.tensors.push_back({entry.name, read_tensor(file, entry, header.data_begin)});
  }
  return checkpoint;
}

CheckpointIndex index_safetensors(InputFile& file, std::string_view key) {
  refuse_key(key);
  Header header = parse(file);
  CheckpointIndex index;
  index.format = kFormat;
  index.metadata = std::move(header.metadata);
  index.prefix = header.prefix;
  for (const Entry& entry : header.entries) {
    index.tensors.push_back(
        {.name = entry.name, .sizes = entry.sizes, .type = entry.type, .offset = header.data_begin + entry.begin});
  }
  return index;
}

void write_safetensors(const std::filesystem::path& file, std::vector<NamedTensor> tensors, const json& metadata) {
  for (NamedTensor& named : tensors) named.tensor = named.tensor.detach().to(at::kCPU).contiguous();
  const auto is_wider = [](const NamedTensor& a, const NamedTensor& b) {
    return a.tensor.element_size() > b.tensor.element_size();
  };
  std::stable_sort(tensors.begin(), tensors.end(), is_wider);  // so that each begins at a multiple of its element
  nlohmann::ordered_json header;
  for (const auto& [name, value] : metadata.items()) {
    header["__metadata__"][name] = value.is_string() ? value.get<std::string>() : json_text(value);
  }
  std::uint64_t end = 0;
  for (const auto& [name, tensor] : tensors) {
    if (header.contains(name)) throw Error("{}: tensor '{}' is there twice", file.string(), pickle::printable(name));
    const std::uint64_t begin = std::exchange(end, end + tensor.nbytes());
    try {
      header[name] = {{"dtype", name_of(name, tensor.scalar_type())},
                      {"shape", tensor.sizes().vec()},
                      {"data_offsets", {begin, end}}};
    } catch (const Error& error) {
      throw Error("{}: {}", file.string(), error.what());
    }
  }
  std::string text = header.empty() ? "{}" : json_text(header);
  text.resize((text.size() + 7) / 8 * 8, ' ');
  write_atomically(file, [&](const ByteSink& sink) {
    const std::uint64_t length = text.size();
    sink(std::as_bytes(std::span(&length, 1)));
    sink(std::as_bytes(std::span(text)));
    for (const auto& [name, tensor] : tensors) {
      sink({static_cast<const std::byte*>(tensor.const_data_ptr()), tensor.nbytes()});
    }
  });
}

}  // namespace lossatlas
