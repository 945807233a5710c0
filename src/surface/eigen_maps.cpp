#include "surface/eigen_maps.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace lossatlas {

std::vector<double> EigenMaps::ratios() const {
  std::vector<double> ratios(largest.size());
  for (std::size_t i = 0; i < ratios.size(); ++i) ratios[i] = std::abs(smallest[i] / largest[i]);
  return ratios;
}

std::vector<std::string> eigen_map_lines(const EigenMaps& maps) {
  std::vector<std::size_t> known;
  for (std::size_t i = 0; i < maps.largest.size(); ++i) {
    if (std::isfinite(maps.largest[i]) && std::isfinite(maps.smallest[i])) known.push_back(i);
  }
  if (known.empty()) return {};
  const auto range = [&](const std::vector<double>& values) {
    double low = std::nan(""), high = low;
    for (const std::size_t i : known) low = std::fmin(low, values[i]), high = std::fmax(high, values[i]);
    return fmt::format("{:.4g} to {:.4g}", low, high);
  };
  const auto negative = std::count_if(known.begin(), known.end(), [&](std::size_t i) { return maps.smallest[i] < 0; });
  const auto count = static_cast<std::size_t>(negative);  // a Ritz value below 0 is proof, one above is none
  const std::string which = count == known.size() ? fmt::format("all {} points", count)
                                                  : fmt::format("at least {} of {} points", count, known.size());
  const std::string part =
      maps.is_complete()
          ? ""
          : fmt::format(" (of {} of {} rows)", std::count(maps.done.begin(), maps.done.end(), 1), maps.done.size());
  return {fmt::format(
      "Hessian's largest eigenvalue {}, smallest {}, |λmin/λmax| {} over the grid{}; {} have a negative one",
      range(maps.largest), range(maps.smallest), range(maps.ratios()), part, which)};
}

}  // namespace lossatlas
