#include "cli/inputs.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/files.h"
#include "cli/words.h"
#include "models/script.h"

namespace lossatlas {
namespace {

std::vector<double> channel_values(const std::string& option, const std::string& words, std::size_t channels) {
  auto values = parse_numbers(option, words);
  if (values.size() == 1) values.resize(channels, values[0]);
  if (values.size() != channels) throw UsageError("{} {}: wants {} numbers, one a channel", option, words, channels);
  return values;
}

[[noreturn]] void refuse_unnamed(const std::vector<std::string>& fitting) {
  constexpr const char* start = "the checkpoint does not say which network it belongs to";
  if (fitting.empty()) throw UsageError("{}; name it with --arch (`lossatlas info --archs` lists them)", start);
  throw UsageError("{}; its tensors fit {}: name {} with --arch", start, fmt::join(fitting, " and "),
                   fitting.size() == 1 ? "it" : "the right one");
}

/// `words`: what the option gave; "" where the values are those that the checkpoint recorded.
void check_normalization(const std::vector<double>& values, const char* option, const std::string& words,
                         bool (*is_fine)(double)) {
  if (std::all_of(values.begin(), values.end(), is_fine)) return;
  constexpr auto kScale = "pixel values are 0 … 1, not 0 … 255";
  if (words.empty()) {
    throw Error("the checkpoint records {} {}, but {}; give {}", option + 2, fmt::join(values, ","), kScale, option);
  }
  throw UsageError("{} {}: requires numbers {} 1: {}", option, words,
                   std::string(option) == "--std" ? "above 0, up to" : "from 0 to", kScale);
}

}  // namespace

void DataWords::add_to(CLI::App& command) {
  command.option_defaults()->group("Data");
  command.add_option("--data", data, "synthetic[:N] or cifar10:DIR")->required()->type_name("DATA");
  command.add_option("--mean", mean, "mean of each channel, of pixel values in 0 … 1: R,G,B")->type_name("R,G,B");
  command.add_option("--std", std, "deviation of each channel, also of pixel values in 0 … 1")->type_name("R,G,B");
}

DataSet DataWords::load(Split split, const nlohmann::json& metadata) const {
  DataSet set = load_data(data, split);
  normalize(set, metadata);
  return set;
}

void DataWords::normalize(DataSet& set, const nlohmann::json& metadata) const {
  const auto channels = static_cast<std::size_t>(set.shape[0]);
  const auto recorded = [&](const char* key, std::vector<double>& values) {
    const auto found = metadata.find(key);
    const auto is_number = [](const nlohmann::json& value) { return value.is_number(); };
    if (found == metadata.end() || !found->is_array() || found->size() != channels) return;
    if (std::all_of(found->begin(), found->end(), is_number)) values = found->get<std::vector<double>>();
  };
  recorded("mean", set.normalization.mean);
  recorded("std", set.normalization.deviation);
  if (!mean.empty()) set.normalization.mean = channel_values("--mean", mean, channels);
  if (!std.empty()) set.normalization.deviation = channel_values("--std", std, channels);
  check_normalization(set.normalization.mean, "--mean", mean, [](double value) { return value >= 0 && value <= 1; });
  check_normalization(set.normalization.deviation, "--std", std, [](double value) { return value > 0 && value <= 1; });
}

std::vector<std::filesystem::path> DataWords::files() const { return data_files(data); }

void NetworkWords::add_to(CLI::App& command, bool arch_required) {
  command.add_option("--arch", arch, "architecture; `lossatlas info --archs` lists them")
      ->required(arch_required)
      ->type_name("ARCH");
  command
      .add_option("--classes", classes, "classes the network tells apart (default: the checkpoint's, else the data's)")
      ->transform(whole_number(1, 1'000'000))
      ->type_name("N");
  command.add_option("--width", width, "channels of a ResNet's first stage (default: the published width)")
      ->transform(whole_number(1, 4096))
      ->type_name("N");
}

NetworkSpec NetworkWords::spec(const DataSet& data, const nlohmann::json& metadata) const {
  NetworkSpec spec;
  spec.architecture = !arch.empty() ? arch : metadata_value<std::string>(metadata, "arch", "");
  spec.classes = classes > 0 ? classes : metadata_value(metadata, "classes", data.classes);
  spec.width = width > 0 ? width : metadata_value(metadata, "width", std::int64_t{0});
  spec.input = data.shape;
  if (classes > 0 && classes < data.classes) {
    throw UsageError("--classes {}: {} has {} classes", classes, data.name, data.classes);
  }
  return spec;
}

NetworkSpec NetworkWords::spec(const DataSet& data, const Checkpoint& checkpoint,
                               const std::filesystem::path& file) const {
  if (checkpoint.format != kScriptFormat || !arch.empty()) {
    const NetworkSpec found = spec(data, checkpoint.metadata);
    if (found.architecture.empty()) refuse_unnamed(fitting_architectures(checkpoint, found));
    return found;
  }
  if (width > 0) throw UsageError("--width {}: a TorchScript network has the width it was saved with", width);
  NetworkSpec spec;
  spec.architecture = kScriptArchitecture;
  spec.classes = classes > 0 ? classes : data.classes;
  spec.input = data.shape;
  spec.script = file;
  spec.script_bytes = checkpoint.script;
  return spec;
}

void check_output(const std::string& option, const std::filesystem::path& file, bool force) {
  if (file.empty() || !file.has_filename())
    throw UsageError("{} '{}': wants the name of a file", option, file.string());
  if (const auto kind = kind_of(file); !kind.empty()) throw Error("{}: {}, not a file", file.string(), kind);
  if (std::filesystem::exists(file) && !force) {
    throw Error("{}: exists; choose another {}, or replace it with --force", file.string(), option);
  }
}

void check_writable(const std::filesystem::path& file) {
  make_folder_of(file);
  check_temporary(file);
}

bool same_file(const std::filesystem::path& a, const std::filesystem::path& b) {
  if (a.empty() || b.empty()) return false;
  std::error_code code;
  if (std::filesystem::equivalent(a, b, code)) return true;       // by device and inode
  const auto full_name = [](const std::filesystem::path& file) {  // relative ones stay so where nothing of them exists
    return std::filesystem::weakly_canonical(std::filesystem::absolute(real_file(file)));
  };
  return full_name(a) == full_name(b);
}

namespace {

CLI::Validator number_that(bool (*is_fine)(double), const std::string& wanted) {
  const auto check = [=](const std::string& word) {
    double value = 0;
    const bool fine = CLI::detail::lexical_cast(word, value) && std::isfinite(value) && is_fine(value);
    return fine ? std::string() : word + ": wants a number " + wanted;
  };
  return CLI::Validator(check, "NUMBER");
}

}  // namespace

CLI::Validator above_zero() {
  return number_that([](double value) { return value > 0; }, "above 0");
}

CLI::Validator not_negative() {
  return number_that([](double value) { return value >= 0; }, "of 0 or more");
}

namespace {

/// Takes decimal numbers of `Number` alone, and leaves them without the zeros in front that CLI11 reads as octal.
template <class Number>
CLI::Validator decimal(Number least, Number most, const std::string& type) {
  const auto check = [=](std::string& word) {
    Number value = 0;
    const auto [end, failure] = std::from_chars(word.data(), word.data() + word.size(), value);
    if (failure != std::errc{} || end != word.data() + word.size() || value < least || value > most) {
      return fmt::format("{}: requires a whole number from {} to {}", word, least, most);
    }
    word = std::to_string(value);
    return std::string();
  };
  return CLI::Validator(check, type);
}

}  // namespace

CLI::Validator whole_number() { return decimal<std::uint64_t>(0, std::numeric_limits<std::uint64_t>::max(), "NUMBER"); }

CLI::Validator whole_number(std::int64_t least, std::int64_t most) {
  return decimal(least, most, fmt::format("INT in [{} - {}]", least, most));
}

}  // namespace lossatlas
