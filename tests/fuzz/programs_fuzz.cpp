#include <ATen/Parallel.h>

#include <array>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/zip_directory.h"
#include "fuzz/input.h"
#include "programs/problem_file.h"

using namespace lossatlas;
using nlohmann::json;

/// A graph may ask for any size; as anywhere else, it is to be told that there is not so much.
extern "C" const char* __asan_default_options();
extern "C" const char* __asan_default_options() { return "allocator_may_return_null=1:max_allocation_size_mb=1000"; }

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* bytes, std::size_t size, std::size_t most);

namespace {

using Members = std::vector<std::pair<std::string, std::string>>;  // name, content

Members members_of(std::string_view zip) {
  const auto part = [&](std::uint64_t at, std::uint64_t count) {
    return std::string(zip.substr(std::min<std::uint64_t>(at, zip.size()), count));
  };
  Members members;
  for (const ZipEntry& entry : read_zip_directory(zip.size(), part)) {
    members.emplace_back(entry.name, part(entry.header + zip_header_size(part(entry.header, 30)), entry.size));
  }
  return members;
}

/// Stored, each member aligned as tensors are.
std::string zip_of(const Members& members) {
  constexpr std::size_t kAlignment = 64;
  const auto number = [](std::size_t value, std::size_t bytes) {
    std::string text(sizeof value, 0);
    std::memcpy(text.data(), &value, sizeof value);
    return text.substr(0, bytes);
  };
  std::string zip, directory;
  for (const auto& [name, content] : members) {
    const std::size_t begin = zip.size() + 30 + name.size(), padding = (kAlignment - begin % kAlignment) % kAlignment;
    const std::string sizes =
        number(0, 4) + number(content.size(), 4) + number(content.size(), 4) + number(name.size(), 2);
    directory += "PK\x01\x02" + number(20, 2) + number(20, 2) + number(0, 8) + sizes + number(0, 12) +
                 number(zip.size(), 4) + name;
    zip += "PK\x03\x04" + number(20, 2) + number(0, 8) + sizes + number(padding, 2) + name + std::string(padding, 0) +
           content;
  }
  return zip + directory + "PK\x05\x06" + number(0, 4) + number(members.size(), 2) + number(members.size(), 2) +
         number(directory.size(), 4) + number(zip.size(), 4) + number(0, 2);
}

void collect(json& value, std::vector<json*>& all) {
  all.push_back(&value);
  if (value.is_structured()) {
    for (json& entry : value) collect(entry, all);
  }
}

/// Changes one value somewhere: what a fuzzer of bytes hardly ever does without breaking the text.
void mutate(json& text, std::mt19937& random) {
  static const std::array kValues{json(0),
                                  json(-1),
                                  json(1),
                                  json(2),
                                  json(7),
                                  json(1 << 20),
                                  json(std::int64_t{1} << 40),
                                  json(std::numeric_limits<std::int64_t>::max()),
                                  json(std::numeric_limits<std::int64_t>::min()),
                                  json(1e300),
                                  json(0.5),
                                  json("NaN"),
                                  json("Infinity"),
                                  json(""),
                                  json(nullptr),
                                  json(true),
                                  json(false),
                                  json::array(),
                                  json::object(),
                                  json("any"),
                                  json("float64"),
                                  json("int64"),
                                  json({{"as_int", 3}}),
                                  json({{"as_none", true}})};
  static const std::array kOperators{"add_.Tensor",    "zero_.default",  "t_.default",
                                     "copy_.default",  "expand.default", "as_strided.default",
                                     "repeat.default", "arange.default", "full.default"};
  std::vector<json*> all;
  collect(text, all);
  const auto any = [&](const auto& list) -> const auto& { return list[random() % list.size()]; };
  json& chosen = *any(all);
  switch (random() % 6) {
    case 0: chosen = any(kValues); break;
    case 1: chosen = json(*any(all)); break;
    case 2:
      if (chosen.is_array() && !chosen.empty())
        chosen.erase(random() % chosen.size());
      else if (chosen.is_object() && !chosen.empty())
        chosen.erase(std::next(chosen.begin(), static_cast<std::ptrdiff_t>(random() % chosen.size())));
      break;
    case 3:
      if (chosen.is_array()) chosen.push_back(json(*any(all)));
      break;
    case 4:
      if (chosen.is_string()) chosen = std::string("torch.ops.aten.") + any(kOperators);
      break;
    default:
      if (auto* letters = chosen.get_ptr<std::string*>(); letters && !letters->empty()) {
        letters->resize(
            LLVMFuzzerMutate(reinterpret_cast<std::uint8_t*>(letters->data()), letters->size(), letters->size()));
      }
  }
}

/// The whole file as it is read and run before anything else.
void use(const std::filesystem::path& path) {
  const ProblemFile file(path);
  try {
    file.check_members();
  } catch (const Error&) {  // the fuzzer cannot guess digests
  }
  try {
    file.compare_with_reference();
  } catch (const std::bad_alloc&) {  // it asked for more than there is
  }
}

}  // namespace

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* bytes, std::size_t size, std::size_t most, unsigned seed);
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* bytes, std::size_t size, std::size_t most, unsigned seed) {
  std::mt19937 random(seed);
  if (random() % 8 == 0) return LLVMFuzzerMutate(bytes, size, most);
  try {
    Members members = members_of({reinterpret_cast<const char*>(bytes), size});
    const auto name = std::array{"manifest.json", "graph.json", "graph.json", "graph-train.json"}[random() % 4];
    for (auto& [member, content] : members) {
      if (member != name) continue;
      json text = parse_json(content);
      for (unsigned i = 0; i <= random() % 3; ++i) mutate(text, random);
      content = json_text(text);
    }
    const std::string zip = zip_of(members);
    if (zip.size() > most) return LLVMFuzzerMutate(bytes, size, most);
    std::memcpy(bytes, zip.data(), zip.size());
    return zip.size();
  } catch (const Error&) {
    return LLVMFuzzerMutate(bytes, size, most);
  }
}

extern "C" int LLVMFuzzerInitialize(int*, char***);
extern "C" int LLVMFuzzerInitialize(int*, char***) {
  at::set_num_threads(1);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size);
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  testing::read_as_file("my.lossatlas", bytes, size, use);
  return 0;
}
