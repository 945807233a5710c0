#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "grid/grid.h"

namespace lossatlas {

/// "51x41": points along each axis, each 1 to 10000. Throws UsageError.
std::vector<std::size_t> parse_grid(const std::string& words);

/// The same of two axes; "51": as many along both.
std::array<std::size_t, 2> parse_plane_grid(const std::string& words);

/// "-1:1" with low < high (low = high for an axis of one point), whose points are different finite numbers. Throws
/// UsageError naming the option.
Axis parse_axis(const std::string& option, const std::string& range, std::size_t points);

/// Only the range; nothing for "".
std::optional<std::array<double, 2>> parse_range(const std::string& option, const std::string& range,
                                                 std::size_t points);

/// "5=-1:1": the fifth axis, 4 as it is counted here, and its range, not yet read. Throws UsageError.
std::pair<std::size_t, std::string> parse_numbered_range(const std::string& words);

/// "0.49,0.48,0.45". Throws UsageError naming the option.
std::vector<double> parse_numbers(const std::string& option, const std::string& words);

/// "0,1;2,3": points with `;` between them. Throws UsageError naming the option.
std::vector<std::vector<double>> parse_points(const std::string& option, const std::string& words);

/// "60,120": epochs or steps, increasing whole numbers above 0; empty for none. Throws UsageError naming the option.
std::vector<std::int64_t> parse_times(const std::string& option, const std::string& words);

/// "224": one side; "224x288": height and width, in pixels; empty for "0". Throws UsageError naming the option.
std::vector<std::int64_t> parse_image_size(const std::string& option, const std::string& words);

}  // namespace lossatlas
