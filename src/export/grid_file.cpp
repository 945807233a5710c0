#include "export/grid_file.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <numeric>
#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "storage/format.h"
#include "storage/grid.h"

namespace lossatlas {
namespace {

/// Groups with a value of each of several draws at each point.
constexpr std::array<const char*, 3> kDrawn{"/lossatlas/repeats", "/lossatlas/lines", "/lossatlas/levels"};

std::vector<double> read_coordinates(const Hdf5Reader& reader, const std::string& name) {
  const auto values = reader.read<double>(name);
  const auto falls = [](double a, double b) { return !(a < b); };
  const auto rises = [](double a, double b) { return !(a > b); };
  const bool finite = std::all_of(values.begin(), values.end(), [](double value) { return std::isfinite(value); });
  const bool ordered = std::adjacent_find(values.begin(), values.end(), falls) == values.end() ||
                       std::adjacent_find(values.begin(), values.end(), rises) == values.end();
  if (values.empty() || reader.shape(name).size() != 1 || !finite || !ordered) {
    throw Error("{}: {} is not a list of finite numbers that rise or fall throughout", reader.file().string(), name);
  }
  return values;
}

/// 2 -> "y"; after w come axis5, axis6, ….
std::string axis_name(std::size_t number) {
  constexpr std::string_view letters = "xyzw";
  return number <= letters.size() ? std::string(1, letters[number - 1]) : fmt::format("axis{}", number);
}

std::string coordinates_of(const std::string& axis) { return "/" + axis + "coordinates"; }

bool is_number(Stored stored) { return stored != Stored::text && stored != Stored::other; }

/// Of values [outer, count, inner] those at `index` of the middle axis.
template <class T>
std::vector<T> slice_of(const std::vector<T>& values, std::size_t index, std::size_t count, std::size_t inner) {
  std::vector<T> kept;
  for (std::size_t begin = index * inner; begin < values.size(); begin += count * inner) {
    const auto first = values.begin() + static_cast<std::ptrdiff_t>(begin);
    kept.insert(kept.end(), first, first + static_cast<std::ptrdiff_t>(inner));
  }
  return kept;
}

std::string names_of(const std::vector<Column>& axes) {
  std::vector<std::string> names;
  for (const Column& axis : axes) names.push_back(axis.name);
  return fmt::format("{}", fmt::join(names, ", "));
}

/// The index of the coordinate nearest to `place`.
std::size_t nearest_of(const Column& axis, double place) {
  const auto distance = [&](double value) { return std::abs(value - place); };
  const auto nearest = std::min_element(axis.values.begin(), axis.values.end(),
                                        [&](double a, double b) { return distance(a) < distance(b); });
  return static_cast<std::size_t>(nearest - axis.values.begin());
}

/// Reads the grid of one file.
class GridReader {
 public:
  explicit GridReader(const Hdf5Reader& reader) : reader_(reader), is_ours_(reader.has("/lossatlas")) {
    const std::string x = reader.has("/xcoordinates") ? "/xcoordinates" : "/epoch";
    if (!reader.has(x)) {
      throw Error("{}: holds no values over a grid (no xcoordinates; it holds {})", reader.file().string(),
                  fmt::join(reader.members("/"), ", "));
    }
    grid_.file = reader.file();
    grid_.axes.push_back({x == "/epoch" ? "epoch" : "x", read_coordinates(reader, x)});
    for (std::size_t number = 2; reader.has(coordinates_of(axis_name(number))); ++number) {
      grid_.axes.push_back({axis_name(number), read_coordinates(reader, coordinates_of(axis_name(number)))});
    }
    for (const Column& axis : grid_.axes) shape_.insert(shape_.begin(), axis.values.size());
  }

  GridFile read() {
    add_group("/", "", shape_);
    if (is_ours_) add_group("/lossatlas", "", shape_);
    if (is_ours_ && reader_.has("/lossatlas/linear")) add_group("/lossatlas/linear", "linear_", shape_);
    return finish("/lossatlas/evaluated", 0);
  }

  GridFile read_draw(std::size_t draw) {
    const auto* group = std::find_if(kDrawn.begin(), kDrawn.end(), [&](const char* name) { return reader_.has(name); });
    if (group == kDrawn.end()) throw UsageError("`draw` {}: {} holds only one draw", draw, reader_.file().string());
    const std::string mask = std::string(*group) + "/evaluated";
    const std::size_t draws = reader_.has(mask) && !reader_.shape(mask).empty() ? reader_.shape(mask)[0] : 0;
    if (draw < 1 || draw > draws) {
      throw UsageError("`draw` {}: {} holds draws 1 to {}", draw, reader_.file().string(), draws);
    }
    Shape shape = shape_;
    shape.insert(shape.begin(), draws);
    first_ = (draw - 1) * count();
    add_group(*group, "", shape);
    return finish(mask, first_);
  }

 private:
  std::size_t count() const { return std::accumulate(shape_.begin(), shape_.end(), std::size_t{1}, std::multiplies()); }

  bool is_value(const std::string& path, const std::string& name) const {
    const bool is_coordinate = std::any_of(grid_.axes.begin(), grid_.axes.end(), [&](const Column& axis) {
      return name == axis.name || name == axis.name + "coordinates";
    });
    if (is_coordinate || name == "evaluated" || name.starts_with("samples_")) return false;
    return reader_.is_dataset(path) && reader_.stored(path) != Stored::text;
  }

  /// Why a dataset gives no value at each point; "" if it does.
  std::string misfit_of(const std::string& path, const Shape& shape) const {
    if (!is_number(reader_.stored(path))) return "its elements are not numbers";
    const Shape found = reader_.shape(path);
    // tomgoldstein/loss-landscape shapes its arrays [nx, ny] and fills them in the order of [ny, nx].
    if (found == shape || (!is_ours_ && found == Shape(shape.rbegin(), shape.rend()))) return "";
    return fmt::format("its shape is [{}], that of the grid [{}]", fmt::join(found, ", "), fmt::join(shape, ", "));
  }

  void add_group(const std::string& group, const std::string& prefix, const Shape& shape) {
    for (const std::string& name : reader_.members(group)) {
      const std::string path = (group == "/" ? "" : group) + "/" + name;
      if (!is_value(path, name)) continue;
      if (const std::string misfit = misfit_of(path, shape); !misfit.empty()) {
        grid_.left_out.push_back(fmt::format("{} is left out: {}", path, misfit));
        continue;
      }
      const auto values = reader_.read<double>(path);
      const auto begin = values.begin() + static_cast<std::ptrdiff_t>(first_);
      grid_.fields.push_back({prefix + name, {begin, begin + static_cast<std::ptrdiff_t>(count())}});
    }
  }

  GridFile finish(const std::string& mask, std::size_t first) {
    if (grid_.fields.empty()) {
      throw Error("{}: holds no values on its grid of {} points", reader_.file().string(), fmt::join(shape_, " x "));
    }
    if (is_ours_ && reader_.has(mask)) {
      const auto states = reader_.read<std::uint8_t>(mask);
      if (states.size() < first + count()) throw Error("{}: {} is too short", reader_.file().string(), mask);
      const auto begin = states.begin() + static_cast<std::ptrdiff_t>(first);
      grid_.state.assign(begin, begin + static_cast<std::ptrdiff_t>(count()));
    } else {
      grid_.state = is_ours_ ? std::vector<std::uint8_t>(count(), 1) : evaluated_of(grid_.field("").values);
    }
    for (Column& field : grid_.fields) {
      for (std::size_t i = 0; i < field.values.size(); ++i) {
        if (grid_.state[i] == 0) field.values[i] = NAN;
      }
    }
    return std::move(grid_);
  }

  const Hdf5Reader& reader_;
  bool is_ours_;
  GridFile grid_;
  Shape shape_;
  std::size_t first_ = 0;  // of the values of the draw
};

}  // namespace

const Column& GridFile::field(const std::string& name) const {
  const auto find = [&](const std::string& wanted) {
    return std::find_if(fields.begin(), fields.end(), [&](const Column& field) { return field.name == wanted; });
  };
  if (name.empty()) {
    for (const char* usual : {"train_loss", "test_loss"}) {
      if (const auto found = find(usual); found != fields.end()) return *found;
    }
    return fields.front();
  }
  if (const auto found = find(name); found != fields.end()) return *found;
  std::vector<std::string> names;
  for (const Column& field : fields) names.push_back(field.name);
  const std::string near = nearest(name, names);
  throw UsageError("`field` {}: {} has no such value{} (it holds {})", name, file.string(),
                   near.empty() ? "" : fmt::format(", did you mean '{}'?", near), fmt::join(names, ", "));
}

std::vector<std::string> take_slice(GridFile& grid, const std::vector<FixedAxis>& fixed) {
  constexpr double kRounding = 1e-9;
  std::vector<std::string> notes;
  for (const auto& [name, coordinate] : fixed) {
    const auto axis = std::find_if(grid.axes.begin(), grid.axes.end(), [&](const Column& a) { return a.name == name; });
    if (axis == grid.axes.end()) {
      throw UsageError("{}: no axis {} to fix at {} (its axes are {})", grid.file.string(), name, coordinate,
                       names_of(grid.axes));
    }
    const auto [low, high] = std::minmax_element(axis->values.begin(), axis->values.end());
    const double slack = kRounding * (*high - *low);
    if (!(coordinate >= *low - slack && coordinate <= *high + slack)) {
      throw UsageError("{}: {} = {} lies outside of its axis, from {} to {}", grid.file.string(), name, coordinate,
                       *low, *high);
    }
    const std::size_t index = nearest_of(*axis, coordinate), count = axis->values.size();
    const double found = axis->values[index];
    if (std::abs(found - coordinate) > kRounding * std::max(1.0, std::abs(coordinate))) {
      notes.push_back(fmt::format("no points at {} = {}: the nearest, {}, are used", name, coordinate, found));
    }
    std::size_t inner = 1;
    for (auto before = grid.axes.begin(); before != axis; ++before) inner *= before->values.size();
    for (Column& field : grid.fields) field.values = slice_of(field.values, index, count, inner);
    grid.state = slice_of(grid.state, index, count, inner);
    grid.axes.erase(axis);
  }
  return notes;
}

GridFile read_grid_file(const std::filesystem::path& file, std::optional<std::size_t> draw) {
  const Hdf5Reader reader(file);
  check_format(reader);
  GridReader grid(reader);
  return draw ? grid.read_draw(*draw) : grid.read();
}

}  // namespace lossatlas
