#include "jobs/epochs.h"

#include <charconv>
#include <string>
#include <string_view>

#include "base/text.h"

namespace lossatlas {
namespace {

constexpr std::int64_t kTooLarge = 10'000'000;  // 20240131 is a date, 1700000000 a time

/// Letters of other alphabets too.
bool is_letter(char letter) {
  const auto code = static_cast<unsigned char>(letter);
  return code >= 0x80 || ((code | 0x20) >= 'a' && (code | 0x20) <= 'z');
}

/// A number of a name, and where it begins; without a value where it can be no epoch.
struct Number {
  std::size_t begin = 0;
  std::optional<std::int64_t> value;
};

std::size_t end_of_digits(std::string_view text, std::size_t at) {
  while (at < text.size() && is_digit(text[at])) ++at;
  return at;
}

/// The end of a date such as 2024-01-31 whose year ends at `end`; `end` if there is none.
std::size_t end_of_date(std::string_view text, std::size_t begin, std::size_t end) {
  if (end - begin != 4) return end;
  std::size_t last = end;
  for (int part = 0; part < 2; ++part) {
    if (last == text.size() || std::string_view("-_.").find(text[last]) == std::string_view::npos) return end;
    const std::size_t next = end_of_digits(text, last + 1);
    if (next != last + 3) return end;
    last = next;
  }
  return last;
}

std::vector<Number> numbers_of(std::string_view text) {
  std::vector<Number> numbers;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (!is_digit(text[at])) continue;
    Number number{at, std::nullopt};
    const std::size_t end = end_of_digits(text, at);
    std::size_t last = end_of_date(text, at, end);
    while (last + 1 < text.size() && text[last] == '.' && is_digit(text[last + 1]))
      last = end_of_digits(text, last + 1);
    std::int64_t value = 0;
    const auto failure = std::from_chars(text.data() + at, text.data() + end, value).ec;
    if (last == end && failure == std::errc{} && value < kTooLarge) number.value = value;
    numbers.push_back(number);
    at = last - 1;
  }
  return numbers;
}

/// The number after `word`, whatever of -_=.: and blanks is between them.
std::optional<std::int64_t> number_after(std::string_view word, std::string_view name) {
  for (const Number& number : numbers_of(name)) {
    std::size_t end = number.begin;
    while (end > 0 && std::string_view("-_=.: ").find(name[end - 1]) != std::string_view::npos) --end;
    if (!number.value || end < word.size()) continue;
    const std::size_t begin = end - word.size();
    const bool is_whole = begin == 0 || !(is_letter(name[begin - 1]) || is_digit(name[begin - 1]));
    if (is_whole && name.substr(begin, word.size()) == word) return number.value;
  }
  return std::nullopt;
}

using Words = std::initializer_list<const char*>;
constexpr Words kEpoch{"epoch", "ep", "e"}, kStep{"step"};

std::optional<std::int64_t> number_after_any(Words words, const std::filesystem::path& file) {
  std::string name = file.filename().string();
  for (char& letter : name) {
    if (letter >= 'A' && letter <= 'Z') letter = static_cast<char>(letter | 0x20);
  }
  for (const char* word : words) {
    if (const auto found = number_after(word, name)) return found;
  }
  return std::nullopt;
}

std::optional<std::vector<std::int64_t>> numbers_after(Words words, const std::vector<std::filesystem::path>& files) {
  std::vector<std::int64_t> epochs;
  for (const auto& file : files) {
    const auto epoch = number_after_any(words, file);
    if (!epoch) return std::nullopt;
    epochs.push_back(*epoch);
  }
  return epochs;
}

/// The numbers at one place of all names; nothing if one is no epoch, or they do not rise throughout.
std::optional<std::vector<std::int64_t>> rising_numbers(const std::vector<std::vector<Number>>& names,
                                                        std::size_t place) {
  std::vector<std::int64_t> epochs;
  for (const auto& numbers : names) {
    const auto value = numbers[place].value;
    if (!value || (!epochs.empty() && *value <= epochs.back())) return std::nullopt;
    epochs.push_back(*value);
  }
  return epochs;
}

}  // namespace

std::optional<std::vector<std::int64_t>> epochs_of_names(const std::vector<std::filesystem::path>& files) {
  if (auto epochs = numbers_after(kEpoch, files)) return epochs;
  if (auto steps = numbers_after(kStep, files)) return steps;
  if (files.size() < 2) return std::nullopt;
  std::vector<std::vector<Number>> names;
  for (const auto& file : files) {
    names.push_back(numbers_of(file.string()));
    if (names.back().size() != names.front().size()) return std::nullopt;
  }
  std::optional<std::vector<std::int64_t>> only;
  for (std::size_t place = 0; place < names.front().size(); ++place) {
    auto rising = rising_numbers(names, place);
    if (rising && only) return std::nullopt;
    if (rising) only = std::move(rising);
  }
  return only;
}

bool are_steps(const std::vector<std::filesystem::path>& files) {
  return !numbers_after(kEpoch, files) && numbers_after(kStep, files);
}

}  // namespace lossatlas
