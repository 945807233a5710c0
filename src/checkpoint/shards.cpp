#include <map>
#include <set>

#include "base/error.h"
#include "base/json.h"
#include "base/sha256.h"
#include "checkpoint/formats.h"
#include "checkpoint/globals.h"

namespace lossatlas {
namespace {

using nlohmann::json;

/// The tensors of each file, by their names. Throws Error for what is no such index, or leads out of its folder.
std::map<std::string, std::set<std::string>> names_by_file(const json& index) {
  const auto map = index.is_object() ? index.find("weight_map") : index.end();
  if (map == index.end() || !map->is_object() || map->empty()) {
    throw Error("is the index of a checkpoint in several files, but names none: it is damaged");
  }
  std::map<std::string, std::set<std::string>> names;
  for (const auto& [name, value] : map->items()) {
    const std::string file = value.is_string() ? value.get<std::string>() : "";
    if (file.empty() || file == "." || file == ".." || file.find_first_of(std::string_view("/\\\0", 3)) != file.npos) {
      throw Error("gives '{}' as the file of tensor '{}': the name of a file beside it is required",
                  pickle::printable(value.is_string() ? file : json_text(value)), pickle::printable(name));
    }
    names[file].insert(name);
  }
  return names;
}

}  // namespace

bool is_index_of_shards(const InputFile& file) {
  constexpr std::uint64_t kMost = 64U << 20U;
  return file.text(0, 1) == "{" && file.size() <= kMost &&
         file.text(0, file.size()).find("\"weight_map\"") != std::string::npos;
}

std::vector<std::filesystem::path> files_of_checkpoint(const std::filesystem::path& file) {
  std::vector<std::filesystem::path> files{file};
  try {
    const InputFile index(file);
    if (!is_index_of_shards(index)) return files;
    for (const auto& [name, tensors] : names_by_file(parse_json(index.text(0, index.size())))) {
      files.push_back(file.parent_path() / name);
    }
  } catch (const Error&) {  // reading it will say why
  }
  return files;
}

Checkpoint read_shards(const InputFile& file, const std::filesystem::path& folder) {
  const json index = parse_json(*file.content());
  if (index.is_discarded()) throw Error("is not JSON, or breaks off: it is damaged");
  auto files = names_by_file(index);
  Checkpoint whole;
  std::string digests = sha256_of_text(*file.content()) + "\n";
  for (auto& [name, wanted] : files) {
    Checkpoint shard = read_one_file(folder / name, "");
    for (NamedTensor& tensor : shard.tensors) {
      tensor.name.insert(0, shard.prefix);
      if (wanted.erase(tensor.name) > 0) whole.tensors.push_back(std::move(tensor));
    }
    if (!wanted.empty()) {
      throw Error("{} lacks tensor '{}', which the index lists there", name, pickle::printable(*wanted.begin()));
    }
    whole.format = fmt::format("{} in {} files", shard.format, files.size());
    digests += shard.sha256 + "\n";
  }
  whole.prefix = remove_module_prefix(whole.tensors);
  whole.metadata = index.value("metadata", json::object());
  if (!whole.metadata.is_object()) whole.metadata = json::object();
  whole.sha256 = sha256_of_text(digests);
  return whole;
}

}  // namespace lossatlas
