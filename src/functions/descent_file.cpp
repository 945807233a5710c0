#include "functions/descent_file.h"

#include <array>

#include "base/json.h"
#include "storage/format.h"
#include "storage/grid.h"
#include "storage/hdf5.h"

namespace lossatlas {
namespace {

void number_attribute(Hdf5Writer& writer, const std::string& path, const std::string& name, double value) {
  writer.attribute<double>(path, name, std::array{value});
}

void write_descent(Hdf5Writer& writer, const std::string& group, const Descent& descent, const std::string& label) {
  const std::size_t rows = descent.value.size();
  const Shape shape{rows, descent.variables};
  writer.make_group(group);
  writer.attribute(group, "label", label);
  writer.attribute(group, "optimizer", descent.options.optimizer.name);
  number_attribute(writer, group, "rate", descent.options.rate);
  writer.attribute<std::int64_t>(group, "ascend", std::array<std::int64_t, 1>{descent.options.ascend ? 1 : 0});
  writer.attribute(group, "end", name_of(descent.end));
  writer.attribute(group, "reason", descent.reason);
  writer.write<double>(group + "/position", descent.position, shape);
  writer.write<double>(group + "/value", descent.value, {rows});
  writer.write<double>(group + "/gradient", descent.gradient, shape);
  writer.write<double>(group + "/effective_rate", descent.effective_rate, shape);
}

void write_tangent(Hdf5Writer& writer, const std::string& group, const Tangent& tangent) {
  const Shape shape{tangent.point.size()};
  writer.make_group(group);
  number_attribute(writer, group, "value", tangent.value);
  writer.write<double>(group + "/point", tangent.point, shape);
  writer.write<double>(group + "/gradient", tangent.gradient, shape);
  if (tangent.direction.empty()) return;
  writer.write<double>(group + "/direction", tangent.direction, shape);
  number_attribute(writer, group, "directional_derivative", tangent.directional_derivative);
}

void write_grid(Hdf5Writer& writer, const DescentRecord& record) {
  const std::size_t points = record.value.size();
  const Shape shape = record.y.empty() ? Shape{record.x.size()} : Shape{record.y.size(), record.x.size()};
  std::vector<std::string> names{"/value"};
  writer.write<double>("/value", record.value, shape);
  const std::vector<std::string> gradients =
      record.y.empty() ? std::vector<std::string>{"derivative"} : std::vector<std::string>{"gradient_x", "gradient_y"};
  for (std::size_t i = 0; i < gradients.size(); ++i) {
    names.push_back("/lossatlas/" + gradients[i]);
    writer.write<double>(names.back(), std::span(record.gradient).subspan(i * points, points), shape);
  }
  write_axis(writer, "/xcoordinates", "/x", "x", record.x);
  if (!record.y.empty()) write_axis(writer, "/ycoordinates", "/y", "y", record.y);
  for (const auto& name : names) {
    if (!record.y.empty()) writer.attach_scale(name, 0, "/y");
    writer.attach_scale(name, static_cast<unsigned>(shape.size()) - 1, "/x");
  }
  if (!record.y.empty()) write_vtkhdf(writer, {record.x, record.y}, {"value"});
}

}  // namespace

void tabulate(const Expression& function, DescentRecord& record) {
  const std::size_t rows = record.y.empty() ? 1 : record.y.size(), columns = record.x.size();
  const std::size_t variables = record.y.empty() ? 1 : 2;
  record.value.resize(rows * columns);
  record.gradient.resize(variables * rows * columns);
  for (std::size_t row = 0; row < rows; ++row) {
    for (std::size_t column = 0; column < columns; ++column) {
      const std::size_t point = row * columns + column;
      const Dual here = function.at(std::array{record.x[column], record.y.empty() ? 0.0 : record.y[row]});
      record.value[point] = here.value;
      for (std::size_t i = 0; i < variables; ++i) record.gradient[i * rows * columns + point] = here.gradient[i];
    }
  }
}

void write_descents(const std::filesystem::path& file, const DescentRecord& record) {
  Hdf5Writer writer;
  write_grid(writer, record);
  for (std::size_t i = 0; i < record.descents.size(); ++i) {
    write_descent(writer, fmt::format("/lossatlas/descents/{}", i), record.descents[i], record.labels[i]);
  }
  for (std::size_t i = 0; i < record.tangents.size(); ++i) {
    write_tangent(writer, fmt::format("/lossatlas/tangents/{}", i), record.tangents[i]);
  }
  writer.attribute<std::int64_t>("/lossatlas", "format", std::array{kFirstFormat});
  writer.attribute("/lossatlas", "kind", "descent");
  writer.attribute("/lossatlas", "settings", json_text(record.settings));
  writer.attribute("/lossatlas", "provenance", json_text(record.provenance));
  writer.save(file);
}

}  // namespace lossatlas
