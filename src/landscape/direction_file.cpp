#include "landscape/direction_file.h"

#include <ATen/ops/tensor.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <string_view>

#include "base/error.h"
#include "grid/grid.h"
#include "storage/hdf5.h"

namespace lossatlas {
namespace {

/// "/xdirection".
std::string group_of(std::size_t direction) { return fmt::format("/{}direction", axis_name(direction)); }

/// "layer1.0.bn1." of "layer1.0.bn1.running_mean".
std::string_view module_of(std::string_view name) { return name.substr(0, name.rfind('.') + 1); }

at::Tensor read_entry(const Hdf5Reader& reader, const std::string& dataset, const NamedTensor& entry) {
  if (!reader.has(dataset)) throw Error("{}: has no {}", reader.file().string(), dataset);
  const Shape shape = reader.shape(dataset);
  const Shape wanted(entry.tensor.sizes().begin(), entry.tensor.sizes().end());
  if (shape != wanted) {
    throw Error("{}: {} is [{}], but {} is [{}]", reader.file().string(), dataset, fmt::join(shape, ", "), entry.name,
                fmt::join(wanted, ", "));
  }
  return at::tensor(reader.read<float>(dataset), at::kFloat).view(entry.tensor.sizes());
}

/// The network's entries that a file with so many datasets holds.
std::vector<NamedTensor> entries_of(const NetworkTensors& network, std::size_t count, const Hdf5Reader& reader,
                                    const std::string& group) {
  if (count == network.parameters.size()) return network.parameters;
  std::vector<NamedTensor> states = in_state_dict_order(network);
  const std::size_t all = states.size();
  if (count == all) return states;
  std::erase_if(states, [](const NamedTensor& entry) { return !entry.tensor.is_floating_point(); });
  if (count == states.size()) return states;
  throw Error(
      "{}: {} holds {} tensors, the network has {} parameters and {} states; directions belong to one architecture",
      reader.file().string(), group, count, network.parameters.size(), all);
}

Direction read_direction(const Hdf5Reader& reader, const std::string& group, const NetworkTensors& network) {
  const auto entries = entries_of(network, reader.members(group).size(), reader, group);
  std::map<std::string, at::Tensor> read;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    read[entries[i].name] = read_entry(reader, fmt::format("{}/{}", group, i), entries[i]);
  }
  const bool has_weights_alone = entries.size() == network.parameters.size();
  Direction direction = zeros_like(network, has_weights_alone ? StatePart::parameters : StatePart::all);
  for (const auto& [name, tensor] : all_tensors(direction)) {
    if (tensor.is_floating_point()) tensor.copy_(read.at(name));
  }
  return direction;
}

}  // namespace

std::vector<NamedTensor> in_state_dict_order(const NetworkTensors& state) {
  std::vector<NamedTensor> entries = state.parameters;
  auto after = entries.begin();
  for (const NamedTensor& buffer : state.buffers) {
    const auto is_beside = [&](const NamedTensor& entry) { return module_of(entry.name) == module_of(buffer.name); };
    const auto last = std::find_if(entries.rbegin(), entries.rend(), is_beside).base();
    if (last != entries.begin()) after = last;  // else a module without parameters: after the buffer before it
    after = std::next(entries.insert(after, buffer));
  }
  return entries;
}

void write_directions(const std::filesystem::path& file, const std::vector<Direction>& directions, const Pca& pca) {
  Hdf5Writer writer;
  for (std::size_t d = 0; d < directions.size(); ++d) {
    const auto entries = in_state_dict_order(directions[d]);
    for (std::size_t i = 0; i < entries.size(); ++i) {
      const at::Tensor tensor = entries[i].tensor.to(at::kFloat);
      const Shape shape(tensor.sizes().begin(), tensor.sizes().end());
      writer.write<float>(fmt::format("{}/{}", group_of(d), i), numbers_of(tensor), shape);
    }
  }
  if (pca.is_known()) {
    const auto write = [&](const char* name, const std::vector<double>& values) {
      writer.write<double>(name, std::span(values).first(2), {2});
    };
    write("/explained_variance_ratio_", pca.explained_variance_ratio);
    write("/explained_variance_", pca.explained_variance);
    write("/singular_values_", pca.singular_values);
  }
  writer.save(file);
}

std::vector<Direction> read_directions(const std::filesystem::path& file, const NetworkTensors& network) {
  return read_directions(Hdf5Reader(file), network);
}

std::vector<Direction> read_directions(const Hdf5Reader& reader, const NetworkTensors& network) {
  if (!reader.has(group_of(0))) {
    throw Error("{}: no group 'xdirection': not a file of directions", reader.file().string());
  }
  std::vector<Direction> directions;
  for (std::size_t d = 0; reader.has(group_of(d)); ++d) {
    directions.push_back(read_direction(reader, group_of(d), network));
  }
  return directions;
}

}  // namespace lossatlas
