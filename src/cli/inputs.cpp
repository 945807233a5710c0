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
  command.add_option("--data", request.data, "synthetic[:N], cifar10:DIR, cifar100:DIR[:coarse] or mnist:DIR")
      ->required(required)
      ->type_name("DATA");
  const auto add_numbers = [&](const std::string& option, std::vector<double>& numbers, const char* text) {
    const auto take = [&numbers, option](const std::string& given) { numbers = parse_numbers(option, given); };
    command.add_option_function<std::string>(option, take, text)->type_name("R,G,B");
  };
  add_numbers("--mean", request.mean, "mean of each channel, of pixel values in 0 … 1: R,G,B");
  add_numbers("--std", request.std, "deviation of each channel, also of pixel values in 0 … 1");
}

void add_network(CLI::App& command, NetworkRequest& request, bool arch_required) {
  command.add_option("--arch", request.arch, "architecture; `lossatlas info --archs` lists them")
      ->required(arch_required)
      ->type_name("ARCH");
  command
      .add_option("--classes", request.classes,
                  "classes the network tells apart (default: the checkpoint's, else the data's)")
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
