#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace lossatlas {

/// A number of each checkpoint.
struct SharpnessColumn {
  std::string_view name;        // of the dataset, and the head in a CSV file
  std::string_view head;        // in a table for people
  std::string_view definition;  // with its source; an attribute of the dataset
};

/// In the order of tables; a number's standard error follows it.
const std::vector<SharpnessColumn>& sharpness_columns();

/// How sharp the loss is at several checkpoints, one row each.
struct SharpnessTable {
  std::vector<std::string> checkpoints;      // of each row: names, as short as tells them apart
  std::vector<std::vector<double>> columns;  // [column][row]; NaN: not known
  nlohmann::json settings = nlohmann::json::object(), provenance = nlohmann::json::object();

  SharpnessTable() = default;
  /// Without a row.
  explicit SharpnessTable(std::vector<std::string> checkpoints);

  /// Whether this row was computed. All of them have a loss.
  bool has(std::size_t row) const;
  /// Those that were computed, ascending.
  std::vector<std::size_t> rows() const;
  bool is_finished() const { return rows().size() == checkpoints.size(); }
  /// One number for each column.
  void set(std::size_t row, const std::vector<double>& numbers);
};

/// Lines for people: a head, and a line for each row; columns without a number are left out.
std::vector<std::string> sharpness_lines(const SharpnessTable& table);
/// A head and a line for each row, with all digits; empty where a number is not known.
std::string sharpness_csv(const SharpnessTable& table);

/// Kind "sharpness" of docs/file-format.md.
void write_sharpness(const std::filesystem::path& file, const SharpnessTable& table);
/// Throws Error, naming the file, for what is none.
SharpnessTable read_sharpness(const std::filesystem::path& file);
/// Whether a file of HDF5 is one.
bool is_sharpness(const std::filesystem::path& file);

}  // namespace lossatlas
