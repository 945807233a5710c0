#include "base/text.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>
#include <utility>
#include <vector>

#include "base/error.h"

namespace lossatlas {
namespace {

// Not std::tolower: that one follows the locale.
char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::size_t edit_distance(std::string_view from, std::string_view to) {
  const auto equal = [&](std::size_t i, std::size_t j) { return lower(from[i]) == lower(to[j]); };
  std::vector<std::size_t> before, last, row(to.size() + 1);  // of the first i - 1, i and i + 1 letters
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < from.size(); ++i) {
    before = std::exchange(last, row);
    row[0] = i + 1;
    for (std::size_t j = 0; j < to.size(); ++j) {
      row[j + 1] = std::min({last[j] + (equal(i, j) ? 0 : 1), row[j] + 1, last[j + 1] + 1});
      const bool swapped = i > 0 && j > 0 && equal(i, j - 1) && equal(i - 1, j);
      if (swapped) row[j + 1] = std::min(row[j + 1], before[j - 1] + 1);
    }
  }
  return row.back();
}

/// True if one of the two, of three letters or more, begins the other.
bool is_beginning(std::string_view a, std::string_view b) {
  constexpr std::size_t kShortest = 3;
  const std::size_t shorter = std::min(a.size(), b.size());
  return shorter >= kShortest && edit_distance(a.substr(0, shorter), b.substr(0, shorter)) == 0;
}

}  // namespace

std::string nearest(std::string_view word, std::span<const std::string> candidates) {
  std::size_t best = static_cast<std::size_t>(-1);
  std::string found;
  for (const std::string& candidate : candidates) {
    const std::size_t distance = edit_distance(word, candidate);
    if ((3 * distance <= word.size() || is_beginning(word, candidate)) && distance < best) {
      best = distance;
      found = candidate;
    }
  }
  return found;
}

std::string did_you_mean(std::string_view word, std::span<const std::string> candidates) {
  const std::string near = nearest(word, candidates);
  return near.empty() ? "" : fmt::format(", did you mean '{}'?", near);
}

void check_known(std::string_view option, std::string_view word, std::span<const std::string> names) {
  if (std::find(names.begin(), names.end(), word) != names.end()) return;
  throw UsageError("{} {}: requires {}{}", option, word, fmt::join(names, ", "), did_you_mean(word, names));
}

std::string reason_of(std::string_view message) {
  constexpr std::string_view kSpace = " \n";
  message.remove_prefix(std::min(message.find_first_not_of(kSpace), message.size()));
  message = message.substr(0, message.find("\nException raised from"));  // LibTorch's own backtrace
  message = message.substr(0, message.find_last_not_of(kSpace) + 1);
  if (message.find("Traceback of TorchScript") != message.npos) {
    constexpr std::string_view kError = "Error: ";  // "RuntimeError: …", "torch.jit.Error: …"
    const std::size_t error = message.rfind(kError);
    message.remove_prefix(error != message.npos ? error + kError.size() : message.rfind('\n') + 1);
  }
  return std::string(message.substr(0, message.find('\n')));
}

std::string shell_line(std::span<const std::string> words) {
  constexpr std::string_view kPlain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./:,@%";
  std::string line;
  for (const std::string& word : words) {
    if (!line.empty()) line += ' ';
    if (!word.empty() && word.find_first_not_of(kPlain) == std::string::npos) {
      line += word;
      continue;
    }
    line += '\'';
    for (const char c : word) line += c == '\'' ? std::string("'\\''") : std::string(1, c);
    line += '\'';
  }
  return line;
}

std::vector<std::string_view> split_at(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (std::size_t first = 0;;) {
    const std::size_t end = text.find(separator, first);
    parts.push_back(text.substr(first, end - first));
    if (end == std::string_view::npos) return parts;
    first = end + 1;
  }
}

std::string duration_text(double seconds) {
  if (!std::isfinite(seconds)) return "?";
  const auto whole = static_cast<long long>(std::llround(seconds));
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{} min {:02} s", whole / 60, whole % 60);
  return fmt::format("{} h {:02} min", whole / 3600, whole / 60 % 60);
}

}  // namespace lossatlas
