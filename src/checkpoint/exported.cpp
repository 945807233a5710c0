#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "checkpoint/formats.h"
#include "checkpoint/globals.h"
#include "checkpoint/tensors.h"
#include "pickle/value.h"
#include "programs/exported_program.h"
#include "programs/graph_json.h"

// The archive is described in torch/export/pt2_archive/_package.py, and its JSON in torch/_export/serde/schema.py.

namespace lossatlas {
namespace {

using nlohmann::json;
using pickle::printable;

constexpr const char* kModel = "models/model.json";

std::string text_of(pickle::StorageBytes& records, const std::string& name) {
  std::string text(records.size(name), '\0');
  records.read(name, std::as_writable_bytes(std::span(text)));
  return text;
}

json json_of(pickle::StorageBytes& records, const std::string& name) {
  json parsed = parse_json(text_of(records, name));
  if (parsed.is_discarded()) throw Error("{}: is not JSON", name);
  return parsed;
}

/// [{"as_int": 3}, …].
std::vector<std::int64_t> whole_numbers(const json& list) {
  std::vector<std::int64_t> numbers;
  for (const json& entry : list) numbers.push_back(value_as<std::int64_t>(member(entry, "as_int"), "a whole number"));
  return numbers;
}

/// Tensors in a folder of the archive, of which a record of JSON says what they are.
class Folder {
 public:
  Folder(pickle::StorageBytes& records, pickle::TensorLoader& loader, std::string path, const std::string& config)
      : records_(records), loader_(loader), path_(std::move(path)), config_(json_of(records, path_ + config)) {}

  at::Tensor tensor(const GraphInput& input) {
    const json& all = member(config_, "config");
    const auto found = all.find(input.name);
    if (found == all.end()) throw Error("lacks the tensor {}, which its graph reads", printable(input.name));
    try {
      return tensor(*found, input.kind == InputKind::parameter);
    } catch (const Error& error) {
      throw Error("'{}': {}", printable(input.name), error.what());
    }
  }

 private:
  at::Tensor tensor(const json& entry, bool is_parameter) {
    if (value_as<bool>(member(entry, "use_pickle"), "true or false")) {
      throw Error("a tensor of a class of its own, which is stored as a pickle and not read");
    }
    const json& meta = member(entry, "tensor_meta");
    if (member(meta, "layout") != 7) throw Error("a tensor that is not dense");
    const std::string key = path_ + value_as<std::string>(member(entry, "path_name"), "a name");
    const auto type = scalar_type_of(member(meta, "dtype"));
    const auto bytes = static_cast<std::int64_t>(records_.size(key));
    const auto numbers = bytes / static_cast<std::int64_t>(c10::elementSize(type));
    const pickle::Storage storage{.key = key, .type = type, .numel = numbers, .view_offset = 0, .view_numel = numbers};
    const pickle::TensorView view{
        .storage = &storage,
        .type = type,
        .offset = value_as<std::int64_t>(member(member(meta, "storage_offset"), "as_int"), "a whole number"),
        .sizes = whole_numbers(member(meta, "sizes")),
        .strides = whole_numbers(member(meta, "strides"))};
    const bool repeats = pickle::byte_count(view.sizes, type) > bytes;
    if (repeats && is_parameter) {
      throw Error("repeats its own numbers, as after expand(); save the network with a copy of it");
    }
    return repeats ? loader_.load(view) : loader_.view(view);  // a copy cannot be far larger than the file
  }

  pickle::StorageBytes& records_;
  pickle::TensorLoader& loader_;
  std::string path_;
  json config_;
};

}  // namespace

std::shared_ptr<const ExportedProgram> read_exported(pickle::StorageBytes& records, std::uint64_t most) {
  if (const std::string version = text_of(records, "archive_version"); version != "0") {
    throw Error("is an archive of torch.export of version {}: this version of lossatlas reads version 0",
                printable(version));
  }
  pickle::TensorLoader loader(records, most);
  Folder weights(records, loader, "data/weights/", "model_weights_config.json");
  Folder constants(records, loader, "data/constants/", "model_constants_config.json");
  return std::make_shared<const ExportedProgram>(
      read_exported_program(json_of(records, kModel), [&](const GraphInput& input) {
        return (input.kind == InputKind::constant ? constants : weights).tensor(input);
      }));
}

}  // namespace lossatlas
