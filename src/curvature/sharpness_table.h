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
  std::vector<std::string> checkpoints;      // names, as short as tells them apart; of all rows that there will be
  std::vector<std::vector<double>> columns;  // [column][row], of rows that are there; NaN: not known
  nlohmann::json settings = nlohmann::json::object(), provenance = nlohmann::json::object();

  SharpnessTable();
  std::size_t rows() const { return columns.front().size(); }
  bool is_finished() const { return rows() == checkpoints.size(); }
  /// One number for each column.
  void add(const std::vector<double>& row);
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
