#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "data/data_set.h"
#include "models/spec.h"

namespace lossatlas {

/// The words about data that several commands share.
struct DataWords {
  std::string data;
  std::string mean, std;  // "" : the checkpoint's, else the data's own

  void add_to(CLI::App& command);

  /// The files that --data names, as far as they are there. Throws UsageError for an unknown kind of data.
  std::vector<std::filesystem::path> files() const;

  /// Loads a split; --mean and --std replace the data's normalization, or what the checkpoint was trained with.
  DataSet load(Split split, const nlohmann::json& metadata = nlohmann::json::object()) const;
  /// Sets that normalization, of data that were loaded before the checkpoint was read.
  void normalize(DataSet& set, const nlohmann::json& metadata) const;
};

/// The words that decide the network.
struct NetworkWords {
  std::string arch;
  std::int64_t classes = 0;  // 0: the checkpoint's, else the data's
  std::int64_t width = 0;    // 0: the checkpoint's, else the architecture's own

  void add_to(CLI::App& command, bool arch_required);

  /// Its architecture is "" where neither the words nor the metadata name one.
  NetworkSpec spec(const DataSet& data, const nlohmann::json& metadata = nlohmann::json::object()) const;

  /// The network that a checkpoint belongs to: a TorchScript file brings its own where the words name none. Throws
  /// UsageError where nothing names an architecture, with those that the checkpoint fits.
  NetworkSpec spec(const DataSet& data, const Checkpoint& checkpoint, const std::filesystem::path& file) const;
};

/// Throws where `file` is no name for a file, or something stands there that is no regular file, or is not to be
/// replaced. Touches nothing.
void check_output(const std::string& option, const std::filesystem::path& file, bool force);

/// Makes the folder of `file`, and throws Error where no file can be written there.
void check_writable(const std::filesystem::path& file);

/// True where both name one file, by links of either kind too, whether or not it is there yet.
bool same_file(const std::filesystem::path& a, const std::filesystem::path& b);

/// An entry of a checkpoint's metadata, or the other value where it is missing or of another type: anybody's trainer
/// may have written it.
template <class T>
T metadata_value(const nlohmann::json& metadata, const char* key, const T& otherwise) {
  const auto found = metadata.find(key);
  if (found == metadata.end()) return otherwise;
  if constexpr (std::is_same_v<T, std::string>) return found->is_string() ? found->get<T>() : otherwise;
  if constexpr (std::is_integral_v<T>) return found->is_number_integer() ? found->get<T>() : otherwise;
  if constexpr (std::is_floating_point_v<T>) return found->is_number() ? found->get<T>() : otherwise;
  return otherwise;
}

/// For CLI11: finite numbers above 0, of 0 or more.
CLI::Validator above_zero();
CLI::Validator not_negative();
/// For CLI11's transform(): decimal whole numbers that 64 bits hold, or within a range. "010" is ten.
CLI::Validator whole_number();
CLI::Validator whole_number(std::int64_t least, std::int64_t most);
inline constexpr std::int64_t kMostCounted = std::numeric_limits<std::int64_t>::max();

}  // namespace lossatlas
