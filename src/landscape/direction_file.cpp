#include "landscape/direction_file.h"

#include <array>

#include "base/error.h"
#include "storage/hdf5.h"

namespace lossatlas {
namespace {

constexpr std::array<const char*, 2> kGroups{"/xdirection", "/ydirection"};

Direction read_direction(const Hdf5Reader& reader, const std::string& group,
                         const std::vector<NamedTensor>& parameters) {
  const std::size_t count = reader.members(group).size();
  if (count != parameters.size()) {
    throw Error("{}: {} holds {} tensors, the network has {} parameters; directions belong to one architecture",
                reader.file().string(), group, count, parameters.size());
  }
  Direction direction;
  for (std::size_t p = 0; p < count; ++p) {
    const auto& [name, theta] = parameters[p];
    const std::string dataset = fmt::format("{}/{}", group, p);
    if (!reader.has(dataset)) throw Error("{}: has no {}", reader.file().string(), dataset);
    const Shape shape = reader.shape(dataset);
    const Shape wanted(theta.sizes().begin(), theta.sizes().end());
    if (shape != wanted) {
      throw Error("{}: {} is [{}], but {} is [{}]", reader.file().string(), dataset, fmt::join(shape, ", "), name,
                  fmt::join(wanted, ", "));
    }
    const auto values = reader.read<float>(dataset);
    direction.push_back({name, torch::tensor(values, torch::kFloat32).view(theta.sizes())});
  }
  return direction;
}

}  // namespace

void write_directions(const std::filesystem::path& file, const std::vector<Direction>& directions) {
  Hdf5Writer writer;
  for (std::size_t d = 0; d < directions.size(); ++d) {
    for (std::size_t p = 0; p < directions[d].size(); ++p) {
      const auto& tensor = directions[d][p].tensor;
      const Shape shape(tensor.sizes().begin(), tensor.sizes().end());
      writer.write<float>(fmt::format("{}/{}", kGroups.at(d), p),
                          {tensor.data_ptr<float>(), static_cast<std::size_t>(tensor.numel())}, shape);
    }
  }
  writer.save(file);
}

std::vector<Direction> read_directions(const std::filesystem::path& file, const std::vector<NamedTensor>& parameters) {
  const Hdf5Reader reader(file);
  if (!reader.has(kGroups[0])) {
    throw Error("{}: no group 'xdirection': not a file of directions", file.string());
  }
  std::vector<Direction> directions;
  for (const char* group : kGroups) {
    if (reader.has(group)) directions.push_back(read_direction(reader, group, parameters));
  }
  return directions;
}

}  // namespace lossatlas
