#include "curvature/sharpness_table.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "storage/format.h"
#include "storage/hdf5.h"

namespace lossatlas {
namespace {

constexpr auto kTableRoot = "/lossatlas";
constexpr auto kTableKind = "sharpness";
constexpr auto kRowNames = "/lossatlas/sharpness/checkpoint";

std::string column_place(std::string_view column) { return fmt::format("/lossatlas/sharpness/{}", column); }

/// "391.2", "" where it is not known.
std::string short_number(double value) { return std::isnan(value) ? "" : fmt::format("{:.4g}", value); }

bool is_known(const std::vector<double>& column) {
  for (const double value : column) {
    if (!std::isnan(value)) return true;
  }
  return false;
}

}  // namespace

const std::vector<SharpnessColumn>& sharpness_columns() {
  static const std::vector<SharpnessColumn> columns{
      {"epoch", "epoch", "of the checkpoint, if it says so"},
      {"step", "step", "of the checkpoint, if it says so"},
      {"loss", "loss", "L(θ), the mean over the samples"},
      {"loss_se", "±", "standard error of the loss, as an estimate of the whole split's mean"},
      {"accuracy", "acc %", "percent"},
      {"gradient_norm", "‖g‖", "of the gradient g of the mean loss"},
      {"lambda_max", "λmax", "largest eigenvalue of the Hessian H of the mean loss: vᵀHv in float64"},
      {"lambda_max_residual", "", "‖Hv − λv‖"},
      {"trace", "trace", "of the Hessian (Hutchinson 1989, beside the leading eigenvectors)"},
      {"trace_se", "±", "standard error of the trace over the probes"},
      {"lambda_max_normalized", "λmax norm.",
       "largest eigenvalue of SHS, S = diag(‖θ_f‖) of each number's filter f, 0 for parameters of one dimension: the "
       "sharpest filter-normalized direction (normalization of Li et al. 2018)"},
      {"sam_sharpness", "SAM", "L(θ + ρ g/‖g‖) − L(θ) (Foret et al. 2021)"},
      {"expected_sharpness", "expected",
       "mean of L(θ + σ d) − L(θ) over filter-normalized Gaussian directions d (Li et al. 2018)"},
      {"expected_sharpness_se", "±", "standard error of that mean over the directions"},
      {"critical_sharpness", "critical",
       "2/η, η the smallest step with L(θ − η g) > L(θ) (arXiv 2601.16979, the update that of gradient descent)"},
      {"critical_sharpness_update", "along update",
       "2/η, η the smallest step with L(θ − η u) > L(θ), u the part of g along the way from the checkpoint before; not "
       "known where the loss rises along it at once"}};
  return columns;
}

SharpnessTable::SharpnessTable(std::vector<std::string> names)
    : checkpoints(std::move(names)),
      columns(sharpness_columns().size(),
              std::vector<double>(checkpoints.size(), std::numeric_limits<double>::quiet_NaN())) {}

bool SharpnessTable::has(std::size_t row) const {
  static const auto loss = static_cast<std::size_t>(
      std::ranges::find(sharpness_columns(), "loss", &SharpnessColumn::name) - sharpness_columns().begin());
  return !std::isnan(columns[loss][row]);
}

std::vector<std::size_t> SharpnessTable::rows() const {
  std::vector<std::size_t> rows;
  for (std::size_t row = 0; row < checkpoints.size(); ++row) {
    if (has(row)) rows.push_back(row);
  }
  return rows;
}

void SharpnessTable::set(std::size_t row, const std::vector<double>& numbers) {
  for (std::size_t c = 0; c < columns.size(); ++c) columns[c][row] = numbers.at(c);
}

std::vector<std::string> sharpness_lines(const SharpnessTable& table) {
  const auto& described = sharpness_columns();
  const auto rows = table.rows();
  std::vector<std::vector<std::string>> cells(1 + rows.size());  // [line][cell]
  cells[0].emplace_back("checkpoint");
  for (std::size_t k = 0; k < rows.size(); ++k) cells[k + 1].push_back(table.checkpoints[rows[k]]);
  for (std::size_t c = 0; c < described.size(); ++c) {
    if (described[c].head.empty() || !is_known(table.columns[c])) continue;
    cells[0].emplace_back(described[c].head);
    for (std::size_t k = 0; k < rows.size(); ++k) cells[k + 1].push_back(short_number(table.columns[c][rows[k]]));
  }
  std::vector<std::size_t> widths(cells[0].size());
  const auto width_of = [](const std::string& text) {  // characters of UTF-8
    return static_cast<std::size_t>(
        std::count_if(text.begin(), text.end(), [](char byte) { return (byte & 0xc0) != 0x80; }));
  };
  for (const auto& line : cells) {
    for (std::size_t k = 0; k < line.size(); ++k) widths[k] = std::max(widths[k], width_of(line[k]));
  }
  std::vector<std::string> lines;
  for (const auto& line : cells) {
    std::string text = line[0] + std::string(widths[0] - width_of(line[0]), ' ');
    for (std::size_t k = 1; k < line.size(); ++k) {
      text += "  " + std::string(widths[k] - width_of(line[k]), ' ') + line[k];
    }
    lines.push_back(text);
  }
  return lines;
}

std::string sharpness_csv(const SharpnessTable& table) {
  std::string text = "checkpoint";
  for (const SharpnessColumn& column : sharpness_columns()) text += fmt::format(",{}", column.name);
  for (const std::size_t row : table.rows()) {
    std::string name = table.checkpoints[row];
    if (name.find_first_of(",\"\n") != name.npos) {
      for (std::size_t at = 0; (at = name.find('"', at)) != name.npos; at += 2) name.insert(at, 1, '"');
      name = '"' + name + '"';
    }
    text += "\n" + name;
    for (const auto& column : table.columns) {
      text += std::isnan(column[row]) ? "," : fmt::format(",{}", column[row]);
    }
  }
  return text + "\n";
}

void write_sharpness(const std::filesystem::path& file, const SharpnessTable& table) {
  Hdf5Writer writer;
  const auto rows = table.rows();
  std::vector<std::string> names;
  for (const std::size_t row : rows) names.push_back(table.checkpoints[row]);
  writer.write_texts(kRowNames, names);
  for (std::size_t c = 0; c < table.columns.size(); ++c) {
    const SharpnessColumn& column = sharpness_columns()[c];
    std::vector<double> values;
    for (const std::size_t row : rows) values.push_back(table.columns[c][row]);
    writer.write<double>(column_place(column.name), values, {rows.size()});
    writer.attribute(column_place(column.name), "definition", column.definition);
  }
  writer.write_texts("/lossatlas/checkpoints", table.checkpoints);
  writer.attribute<std::int64_t>(kTableRoot, "format", std::array{kFileFormat});
  writer.attribute(kTableRoot, "kind", kTableKind);
  writer.attribute<std::int64_t>(kTableRoot, "finished", std::array{std::int64_t{table.is_finished()}});
  writer.attribute(kTableRoot, "settings", json_text(table.settings));
  writer.attribute(kTableRoot, "provenance", json_text(table.provenance));
  writer.save(file);
}

SharpnessTable read_sharpness(const std::filesystem::path& file) {
  const Hdf5Reader reader(file);
  if (!is_sharpness(file)) throw Error("{}: holds no sharpness of checkpoints", file.string());
  SharpnessTable table(reader.read_texts("/lossatlas/checkpoints"));
  std::vector<std::size_t> rows;
  for (const std::string& name : reader.read_texts(kRowNames)) {
    rows.push_back(static_cast<std::size_t>(std::ranges::find(table.checkpoints, name) - table.checkpoints.begin()));
    if (rows.back() == table.checkpoints.size()) throw Error("{}: {} is damaged", file.string(), kRowNames);
  }
  for (std::size_t c = 0; c < table.columns.size(); ++c) {
    const std::string name = column_place(sharpness_columns()[c].name);
    if (!reader.has(name)) continue;
    const auto values = reader.read<double>(name);
    if (values.size() != rows.size()) throw Error("{}: {} is damaged", file.string(), name);
    for (std::size_t k = 0; k < rows.size(); ++k) table.columns[c][rows[k]] = values[k];
  }
  table.settings = parse_json(reader.text_attribute(kTableRoot, "settings"));
  table.provenance = parse_json(reader.text_attribute(kTableRoot, "provenance"));
  return table;
}

bool is_sharpness(const std::filesystem::path& file) {
  const Hdf5Reader reader(file);
  return reader.has(kTableRoot) && reader.has_attribute(kTableRoot, "kind") &&
         reader.text_attribute(kTableRoot, "kind") == kTableKind;
}

}  // namespace lossatlas
