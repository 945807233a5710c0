#include "cli/words.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <optional>

#include "base/error.h"
#include "base/text.h"

namespace lossatlas {
namespace {

template <class T>
std::optional<T> parse_whole(std::string_view text) {
  T value{};
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failure != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<double> parse_finite(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  if (text.starts_with('+')) text.remove_prefix(1);
  const auto value = parse_whole<double>(text);
  return value && std::isfinite(*value) ? value : std::nullopt;
}

}  // namespace

std::vector<std::size_t> parse_grid(const std::string& words) {
  constexpr std::size_t kMost = 10'000;
  std::vector<std::size_t> points;
  for (const std::string_view part : split_at(words, 'x')) {
    const auto along = parse_whole<std::size_t>(part);
    if (!along || *along < 1 || *along > kMost) {
      throw UsageError("--grid {}: requires points along each axis, 1 to {} each, as in 51x41, or one number for all",
                       words, kMost);
    }
    points.push_back(*along);
  }
  return points;
}

std::array<std::size_t, 2> parse_plane_grid(const std::string& words) {
  const auto points = parse_grid(words);
  if (points.size() > 2) throw UsageError("--grid {}: a plane has two axes, as in 51x41", words);
  return {points.front(), points.back()};
}

Axis parse_axis(const std::string& option, const std::string& range, std::size_t points) {
  const auto parts = split_at(range, ':');
  const auto low = parse_finite(parts[0]);
  const auto high = parts.size() == 2 ? parse_finite(parts[1]) : std::nullopt;
  if (!low || !high) {
    throw UsageError("{} {}: requires a range LOW:HIGH, as in -1:1{}", option, range,
                     parts.size() == 3 ? "; set the number of points with --grid, of a line with --points" : "");
  }
  if (*low > *high) throw UsageError("{} {}: the range runs backwards; write {}:{}", option, range, *high, *low);
  if (points > 1 && *low == *high)
    throw UsageError("{} {}: the range is empty, but holds {} points", option, range, points);
  if (points == 1 && *low != *high)
    throw UsageError("{} {}: one point requires one coordinate, as in 0:0", option, range);
  const Axis axis{*low, *high, points};
  if (axis.has_distinct_points()) return axis;
  throw UsageError("{} {}: this range does not hold {} different finite numbers", option, range, points);
}

std::optional<std::array<double, 2>> parse_range(const std::string& option, const std::string& range,
                                                 std::size_t points) {
  if (range.empty()) return std::nullopt;
  const Axis axis = parse_axis(option, range, points);
  return std::array{axis.low, axis.high};
}

std::pair<std::size_t, std::string> parse_numbered_range(const std::string& words) {
  const std::size_t equals = words.find('=');
  const auto axis = parse_whole<std::size_t>(std::string_view(words).substr(0, equals));
  if (equals == std::string::npos || !axis || *axis < 1) {
    throw UsageError("--axis {}: requires the number of an axis and its range, as in 5=-1:1", words);
  }
  return {*axis - 1, words.substr(equals + 1)};
}

std::vector<double> parse_numbers(const std::string& option, const std::string& words) {
  std::vector<double> numbers;
  for (const std::string_view part : split_at(words, ',')) {
    const auto number = parse_finite(part);
    if (!number) throw UsageError("{} {}: requires finite numbers separated by commas", option, words);
    numbers.push_back(*number);
  }
  return numbers;
}

std::vector<std::vector<double>> parse_points(const std::string& option, const std::string& words) {
  std::vector<std::vector<double>> points;
  for (const std::string_view part : split_at(words, ';')) points.push_back(parse_numbers(option, std::string(part)));
  return points;
}

std::vector<std::int64_t> parse_times(const std::string& option, const std::string& words) {
  std::vector<std::int64_t> times;
  if (words.empty()) return times;
  for (const std::string_view part : split_at(words, ',')) {
    const auto time = parse_whole<std::int64_t>(part);
    if (!time || *time < 1 || (!times.empty() && *time <= times.back())) {
      throw UsageError("{} {}: requires increasing whole numbers above 0, as in 60,120", option, words);
    }
    times.push_back(*time);
  }
  return times;
}

std::vector<std::int64_t> parse_image_size(const std::string& option, const std::string& words) {
  constexpr std::int64_t kMost = 10'000;
  if (words == "0") return {};
  std::vector<std::int64_t> size;
  for (const std::string_view part : split_at(words, 'x')) {
    const auto side = parse_whole<std::int64_t>(part);
    if (!side || *side < 1 || *side > kMost || size.size() == 2) {
      throw UsageError("{} {}: requires pixels from 1 to {}, as in 224, or height and width, as in 224x288", option,
                       words, kMost);
    }
    size.push_back(*side);
  }
  return size;
}

}  // namespace lossatlas
