#include "cli/inputs.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "cli/words.h"

namespace lossatlas {

void add_data(CLI::App& command, DataRequest& request, bool required) {
  command.option_defaults()->group("Data");
  command.add_option("--data", request.data, list_of_data_kinds())->required(required)->type_name("DATA");
  command
      .add_option("--test-data", request.test_data,
                  "data of the test split, if --data has none or another one is wanted")
      ->type_name("DATA");
  const auto add_numbers = [&](const std::string& option, std::vector<double>& numbers, const char* text) {
    const auto take = [&numbers, option](const std::string& given) { numbers = parse_numbers(option, given); };
    command.add_option_function<std::string>(option, take, text)->type_name("R,G,B");
  };
  add_numbers("--mean", request.mean,
              "mean of each channel, of pixel values in 0 … 1 (default: the checkpoint's, else that of the data)");
  add_numbers("--std", request.std,
              "standard deviation of each channel, of pixel values in 0 … 1 (default: as for --mean)");
  const auto add_size = [&](const std::string& option, std::vector<std::int64_t>& size, const char* text) {
    const auto take = [&size, option](const std::string& given) { size = parse_image_size(option, given); };
    command.add_option_function<std::string>(option, take, text)->type_name("N|HxW");
  };
  add_size(
      "--resize", request.resize,
      "images:DIR: the shorter side, or height and width, to which images are resized; 0 leaves them (default: 256)");
  add_size("--crop", request.crop, "images:DIR: the centre that is kept; 0 keeps all (default: 224)");
  command
      .add_option("--interpolation", request.interpolation,
                  "images:DIR: how --resize interpolates: bilinear, bicubic or nearest")
      ->type_name("NAME")
      ->capture_default_str();
  command.add_flag("--skip-bad", request.skip_bad, "images:DIR: leave out images that cannot be decoded");
  command
      .add_option("--image-cache", request.image_cache,
                  "images:DIR: folder for decoded images (default: ~/.cache/lossatlas)")
      ->type_name("DIR");
}

void add_network(CLI::App& command, NetworkRequest& request, bool arch_required) {
  command
      .add_option("--arch", request.arch,
                  arch_required ? "the architecture; `lossatlas info --archs` lists them"
                                : "the architecture; `lossatlas info --archs` lists them (default: the checkpoint's)")
      ->required(arch_required)
      ->type_name("ARCH");
  command
      .add_option("--classes", request.classes, "classes of the network (default: the checkpoint's, else the data's)")
      ->transform(whole_number(1, 1'000'000))
      ->type_name("N");
  command.add_option("--width", request.width, "channels of a ResNet's first stage (default: the published width)")
      ->transform(whole_number(1, 4096))
      ->type_name("N");
}

namespace {

CLI::Validator number_that(bool (*is_fine)(double), const std::string& wanted) {
  const auto check = [=](const std::string& word) {
    double value = 0;
    const bool fine = CLI::detail::lexical_cast(word, value) && std::isfinite(value) && is_fine(value);
    return fine ? std::string() : word + ": requires a number " + wanted;
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

CLI::Validator whole_number_or(const std::string& word, std::int64_t meaning, std::int64_t least, std::int64_t most) {
  const CLI::Validator number = whole_number(least, most);
  const auto check = [=](std::string& given) {
    if (given != word) return number(given);
    given = std::to_string(meaning);
    return std::string();
  };
  return CLI::Validator(check, number.get_description());
}

}  // namespace lossatlas
