#include "landscape/summary.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <numeric>
#include <optional>
#include <span>
#include <utility>

#include "landscape/barrier.h"
#include "landscape/curve_summary.h"
#include "landscape/range_advice.h"
#include "landscape/settings.h"

namespace lossatlas {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

bool is_known(const Surface& surface, std::size_t index) { return surface.state[index] != PointState::missing; }

/// The loss as the numbers take it: NaN where it is missing, infinite where it is not finite.
std::vector<double> heights_of(const Surface& surface) {
  std::vector<double> heights(surface.size());
  for (std::size_t i = 0; i < surface.size(); ++i) {
    const double loss = surface.loss[i];
    heights[i] = !is_known(surface, i) ? kUnknown : std::isfinite(loss) ? loss : kInfinity;
  }
  return heights;
}

Located located(const Surface& surface, std::size_t index) {
  return {surface.loss[index], surface.x.at(index % surface.x.points), surface.y.at(index / surface.x.points)};
}

std::size_t nearest_to_zero(const Axis& axis) {
  std::size_t best = 0;
  for (std::size_t i = 1; i < axis.points; ++i) {
    if (std::abs(axis.at(i)) < std::abs(axis.at(best))) best = i;
  }
  return best;
}

/// From one point to the next; 1 where there is one point.
double step_of(const Axis& axis) {
  return axis.points > 1 ? (axis.high - axis.low) / static_cast<double>(axis.points - 1) : 1;
}

/// Calls use(other) for the neighbours of a point: four, or eight with the diagonals.
template <class Use>
void for_each_neighbour(const Surface& surface, std::size_t index, bool diagonals, const Use& use) {
  const auto nx = static_cast<std::ptrdiff_t>(surface.x.points), ny = static_cast<std::ptrdiff_t>(surface.y.points);
  const auto at = static_cast<std::ptrdiff_t>(index), column = at % nx, row = at / nx;
  for (std::ptrdiff_t down = -1; down <= 1; ++down) {
    for (std::ptrdiff_t right = -1; right <= 1; ++right) {
      if ((down == 0 && right == 0) || (!diagonals && down != 0 && right != 0)) continue;
      if (row + down < 0 || row + down >= ny || column + right < 0 || column + right >= nx) continue;
      use(static_cast<std::size_t>(at + down * nx + right));
    }
  }
}

/// On the edge of the grid; an axis of one point has none.
bool is_border(const Surface& surface, std::size_t index) {
  const auto at_end = [](const Axis& axis, std::size_t i) {
    return axis.points > 1 && (i == 0 || i + 1 == axis.points);
  };
  return at_end(surface.x, index % surface.x.points) || at_end(surface.y, index / surface.x.points);
}

/// Sets of connected points.
class Regions {
 public:
  explicit Regions(std::size_t count) : parents_(count) { std::iota(parents_.begin(), parents_.end(), std::size_t{0}); }
  std::size_t of(std::size_t point) {
    while (parents_[point] != point) point = parents_[point] = parents_[parents_[point]];
    return point;
  }
  void join(std::size_t a, std::size_t b) { parents_[of(a)] = of(b); }

 private:
  std::vector<std::size_t> parents_;
};

/// The share of a triangle, or of a line, on which a linear function is at most `level`. Of a triangle a line cuts off
/// a smaller one at the lowest corner, or at the highest, whose sides are the shares of the two sides that meet there;
/// its area is their product.
double share_below(std::span<double> corners, double level) {
  std::sort(corners.begin(), corners.end());
  const auto part = [&](double low, double high) { return (level - low) / (high - low); };
  if (corners.back() <= level) return 1;
  if (corners.front() > level) return 0;
  if (corners.size() == 2) return part(corners[0], corners[1]);
  if (corners[1] > level) return part(corners[0], corners[1]) * part(corners[0], corners[2]);
  const double above = corners[2] - level;
  return std::isinf(above) ? 0 : 1 - above * above / ((corners[2] - corners[0]) * (corners[2] - corners[1]));
}

/// The region around the centre where the loss is at most a level. Its pieces are triangles, or the steps of a line.
class Basin {
 public:
  Basin(const Surface& surface, const std::vector<double>& heights, std::size_t centre, double level)
      : surface_(surface), heights_(heights), level_(level), regions_(surface.size() + cells()) {
    for_each_piece([&](auto& corners, auto& losses) {
      for (std::size_t a = 0; a < corners.size(); ++a) {
        for (std::size_t b = a + 1; b < corners.size(); ++b) {
          if (losses[a] <= level_ && losses[b] <= level_) regions_.join(corners[a], corners[b]);
        }
      }
    });
    region_ = regions_.of(centre);
  }

  /// Area, or length on a line, in the units of the axes.
  double size() {
    double pieces = 0;
    for_each_piece([&](auto& corners, auto& losses) {
      for (std::size_t a = 0; a < corners.size(); ++a) {
        if (losses[a] > level_ || regions_.of(corners[a]) != region_) continue;
        pieces += share_below(losses, level_);
        break;
      }
    });
    // Four triangles to a cell; the other axis of a line has one point, and the step 1.
    return pieces * step_of(surface_.x) * step_of(surface_.y) / (is_line() ? 1 : 4);
  }

  bool reaches_the_unknown() {
    bool reaches = false;
    for (std::size_t i = 0; i < surface_.size() && !reaches; ++i) {
      if (!(heights_[i] <= level_) || regions_.of(i) != region_) continue;
      reaches = is_border(surface_, i);
      for_each_neighbour(surface_, i, true,
                         [&](std::size_t other) { reaches = reaches || std::isnan(heights_[other]); });
    }
    return reaches;
  }

  bool is_line() const { return surface_.x.points == 1 || surface_.y.points == 1; }

 private:
  std::size_t cells() const { return (surface_.x.points - 1) * (surface_.y.points - 1); }

  /// Calls use(corners, losses) for each piece whose losses are all there.
  template <class Use>
  void for_each_piece(const Use& use) const {
    if (is_line()) {
      for (std::size_t i = 0; i + 1 < surface_.size(); ++i) {
        std::array corners{i, i + 1};
        std::array losses{heights_[i], heights_[i + 1]};
        if (!std::isnan(losses[0] + losses[1])) use(corners, losses);
      }
      return;
    }
    const std::size_t nx = surface_.x.points;
    for (std::size_t cell = 0; cell < cells(); ++cell) {
      const std::size_t low = cell / (nx - 1) * nx + cell % (nx - 1);
      const std::array around{low, low + 1, low + nx + 1, low + nx};
      double middle = 0;
      for (const std::size_t corner : around) middle += heights_[corner] / 4;
      if (std::isnan(middle)) continue;
      for (std::size_t side = 0; side < 4; ++side) {
        std::array corners{around[side], around[(side + 1) % 4], surface_.size() + cell};
        std::array losses{heights_[corners[0]], heights_[corners[1]], middle};
        use(corners, losses);
      }
    }
  }

  const Surface& surface_;
  const std::vector<double>& heights_;
  double level_;
  Regions regions_;
  std::size_t region_ = 0;
};

void find_width(const Surface& surface, const std::vector<double>& heights, std::size_t centre, Summary& summary) {
  if (!(surface.loss[centre] > 0) || !std::isfinite(surface.loss[centre]) || surface.size() == 1) return;
  Basin basin(surface, heights, centre, 2 * surface.loss[centre]);
  const double size = basin.size();
  summary.width = basin.is_line() ? size : 2 * std::sqrt(size / std::numbers::pi);  // of a disc of that area
  summary.is_width_bound = basin.reaches_the_unknown();
}

Rise find_steepest(const Surface& surface, const std::vector<double>& heights) {
  Rise steepest;
  double largest = -1;
  const auto look = [&](std::size_t a, std::size_t b) {
    const double rise = std::abs(heights[b] - heights[a]);
    if (!std::isfinite(rise) || rise <= largest) return;
    largest = rise;
    if (heights[a] > heights[b]) std::swap(a, b);
    steepest = {located(surface, a), located(surface, b)};
  };
  const std::size_t nx = surface.x.points;
  for (std::size_t i = 0; i < surface.size(); ++i) {
    if (i % nx + 1 < nx) look(i, i + 1);
    if (i + nx < surface.size()) look(i, i + nx);
  }
  return steepest;
}

void count_minima(const Surface& surface, const std::vector<double>& heights, Summary& summary) {
  const auto names = surface.more_names();
  const std::string error = error_name(surface.split);
  const bool has_errors = std::find(names.begin(), names.end(), error) != names.end();
  if (has_errors) summary.clear_minima = 0;
  std::vector<bool> seen(surface.size());
  for (std::size_t start = 0; start < surface.size(); ++start) {
    if (seen[start] || !std::isfinite(heights[start])) continue;
    bool is_minimum = true, has_higher = false;
    double around = kInfinity;
    std::vector<std::size_t> plateau{start};
    seen[start] = true;
    while (!plateau.empty()) {
      const std::size_t point = plateau.back();
      plateau.pop_back();
      if (is_border(surface, point)) is_minimum = false;
      for_each_neighbour(surface, point, true, [&](std::size_t other) {
        if (heights[other] == heights[start]) {
          if (!seen[other]) plateau.push_back(other);
          seen[other] = true;
        } else if (heights[other] > heights[start]) {
          has_higher = true;
          around = std::min(around, heights[other]);
        } else {  // lower, or missing
          is_minimum = false;
        }
      });
    }
    if (!is_minimum || !has_higher) continue;
    ++summary.minima;
    if (has_errors && around - heights[start] > surface.values_of(error)[start]) ++*summary.clear_minima;
  }
}

/// Solves A x = b by elimination with pivots; nothing where A is singular.
template <std::size_t N>
std::optional<std::array<double, N>> solve(std::array<std::array<double, N>, N> a, std::array<double, N> b) {
  for (std::size_t k = 0; k < N; ++k) {
    std::size_t pivot = k;
    for (std::size_t row = k + 1; row < N; ++row) {
      if (std::abs(a[row][k]) > std::abs(a[pivot][k])) pivot = row;
    }
    if (std::abs(a[pivot][k]) < 1e-9) return std::nullopt;
    std::swap(a[k], a[pivot]);
    std::swap(b[k], b[pivot]);
    for (std::size_t row = k + 1; row < N; ++row) {
      const double factor = a[row][k] / a[k][k];
      for (std::size_t column = k; column < N; ++column) a[row][column] -= factor * a[k][column];
      b[row] -= factor * b[k];
    }
  }
  for (std::size_t k = N; k-- > 0;) {
    for (std::size_t column = k + 1; column < N; ++column) b[k] -= a[k][column] * b[column];
    b[k] /= a[k][k];
  }
  return b;
}

/// A point near the centre, in steps from it, and how far its loss is from the centre's.
struct Sample {
  double right, down, rise;
};

std::vector<Sample> samples_around(const Surface& surface, const std::vector<double>& heights, std::size_t centre) {
  const auto nx = static_cast<std::ptrdiff_t>(surface.x.points), ny = static_cast<std::ptrdiff_t>(surface.y.points);
  const auto at = static_cast<std::ptrdiff_t>(centre), column = at % nx, row = at / nx;
  std::vector<Sample> samples;
  for (std::ptrdiff_t down = -2; down <= 2; ++down) {
    for (std::ptrdiff_t right = -2; right <= 2; ++right) {
      if (row + down < 0 || row + down >= ny || column + right < 0 || column + right >= nx) continue;
      const double rise = heights[static_cast<std::size_t>(at + down * nx + right)] - heights[centre];
      if (std::isfinite(rise)) samples.push_back({static_cast<double>(right), static_cast<double>(down), rise});
    }
  }
  return samples;
}

/// Coefficients of the terms in the least-squares fit; nothing where the samples do not decide them.
template <std::size_t N, class Terms>
std::optional<std::array<double, N>> fit(const std::vector<Sample>& samples, const Terms& terms) {
  std::array<std::array<double, N>, N> products{};
  std::array<double, N> sums{};
  for (const Sample& sample : samples) {
    const std::array<double, N> values = terms(sample);
    for (std::size_t i = 0; i < N; ++i) {
      for (std::size_t k = 0; k < N; ++k) products[i][k] += values[i] * values[k];
      sums[i] += values[i] * sample.rise;
    }
  }
  return solve<N>(products, sums);
}

/// On a grid of one row or column there is one second derivative, and no condition.
Curvature fit_line(const Surface& surface, const std::vector<Sample>& samples) {
  Curvature curvature;
  curvature.points = samples.size();
  const auto terms = [](const Sample& s) {
    const double t = s.right + s.down;
    return std::array<double, 3>{1, t, t * t};
  };
  const double step = step_of(surface.x.points > 1 ? surface.x : surface.y);
  if (const auto found = fit<3>(samples, terms))
    curvature.smallest = curvature.largest = 2 * (*found)[2] / (step * step);
  return curvature;
}

Curvature fit_plane(const Surface& surface, const std::vector<Sample>& samples) {
  Curvature curvature;
  curvature.points = samples.size();
  const auto terms = [](const Sample& s) {
    return std::array<double, 6>{1, s.right, s.down, s.right * s.right, s.right * s.down, s.down * s.down};
  };
  const auto found = fit<6>(samples, terms);
  if (!found) return curvature;
  const double dx = step_of(surface.x), dy = step_of(surface.y);
  const double xx = 2 * (*found)[3] / (dx * dx), xy = (*found)[4] / (dx * dy), yy = 2 * (*found)[5] / (dy * dy);
  // The eigenvalues of [xx xy; xy yy]: half the trace, ± √(((xx - yy) / 2)² + xy²).
  const double middle = (xx + yy) / 2, radius = std::hypot((xx - yy) / 2, xy);
  curvature.smallest = middle - radius;
  curvature.largest = middle + radius;
  const auto [small, large] = std::minmax({std::abs(curvature.smallest), std::abs(curvature.largest)});
  curvature.condition = large / small;
  return curvature;
}

Curvature find_curvature(const Surface& surface, const std::vector<double>& heights, std::size_t centre) {
  if (!std::isfinite(heights[centre]) || surface.size() == 1) return {};
  const auto samples = samples_around(surface, heights, centre);
  const bool is_line = surface.x.points == 1 || surface.y.points == 1;
  return is_line ? fit_line(surface, samples) : fit_plane(surface, samples);
}

double median_of_finite(const std::vector<double>& values) {
  std::vector<double> finite;
  for (const double value : values) {
    if (std::isfinite(value)) finite.push_back(value);
  }
  if (finite.empty()) return kUnknown;
  const auto middle = finite.begin() + static_cast<std::ptrdiff_t>(finite.size() / 2);
  std::nth_element(finite.begin(), middle, finite.end());
  return *middle;
}

/// The loss of a guess that gives all C classes the same probability, -log(1/C) = log C, where the centre is clearly
/// better; else NaN.
double uniform_loss(const Surface& surface, const Summary& summary) {
  const Settings settings = settings_from(surface.settings);
  if (!settings.classes || settings.loss != "cross-entropy") return kUnknown;
  const double uniform = std::log(static_cast<double>(*settings.classes));
  return summary.centre.loss < 0.9 * uniform ? uniform : kUnknown;
}

std::string place_text(const Located& point) { return fmt::format("({:.3g}, {:.3g})", point.x, point.y); }

/// True where there was something to say.
bool hint_at_broken_centre(const Surface& surface, Summary& summary) {
  if (is_centre_finite(surface)) return false;
  summary.hints.emplace_back(
      "the loss at the centre is not finite: outputs of the network overflow or are not numbers there, "
      "whatever the range");
  return true;
}

std::string range_or(const std::string& range, const char* otherwise) { return range.empty() ? otherwise : range; }

void hint_at_range(const Surface& surface, const std::vector<double>& heights, Summary& summary) {
  if (surface.size() < 9) return;
  const double centre = summary.centre.loss, span = summary.highest.loss - summary.lowest.loss;
  if (summary.not_finite == 0 && span < 0.1 * std::abs(centre) && span < 0.05) {
    summary.hints.push_back(fmt::format("the range is too small to show much: losses from {:.4g} to {:.4g}; try {}",
                                        summary.lowest.loss, summary.highest.loss,
                                        range_or(wider_range(surface, summary), "a wider one")));
  }
  const double uniform = uniform_loss(surface, summary);
  const auto is_far_out = [&](double loss) {
    return std::isinf(loss) || (loss > 100 * centre && loss > 1) || loss > uniform;
  };
  const auto far_out = static_cast<std::size_t>(std::count_if(heights.begin(), heights.end(), is_far_out));
  const bool is_too_large = 2 * summary.not_finite > surface.size() || 4 * far_out > 3 * surface.size();
  const auto what = fmt::format("at {} of {} points the network is {}", far_out, surface.size(),
                                std::isnan(uniform) ? "far worse than at the centre" : "worse than a uniform guess");
  const std::string advice = recalibration_advice(surface);
  if (!advice.empty() && (is_too_large || summary.not_finite > 0)) {
    summary.hints.push_back(fmt::format("{}, with stored batch-norm statistics; try {}", what, advice));
  } else if (is_too_large) {
    summary.hints.push_back("the range is too large: " + what + "; try " +
                            range_or(smaller_range(surface, summary), "a smaller one"));
  }
}

void hint_at_centre(const Surface& surface, std::size_t centre, Summary& summary) {
  if (std::isnan(summary.lowest.loss)) return;
  const auto error_at = [&](std::size_t i) { return std::isfinite(surface.loss_se[i]) ? surface.loss_se[i] : 0; };
  const auto lowest = static_cast<std::size_t>(
      std::find(surface.loss.begin(), surface.loss.end(), summary.lowest.loss) - surface.loss.begin());
  const double gain = summary.centre.loss - summary.lowest.loss;
  const double margin =
      std::max({0.1 * std::abs(summary.centre.loss), 0.01, 2 * (error_at(centre) + error_at(lowest))});
  if (!(gain > margin)) return;
  summary.hints.push_back(fmt::format("the centre is not the lowest point: {:.4g} there, {:.4g} at {}",
                                      summary.centre.loss, summary.lowest.loss, place_text(summary.lowest)));
}

void hint_at_error(Summary& summary) {
  const double span = summary.highest.loss - summary.lowest.loss;
  if (!(summary.standard_error > span) || summary.points == 1 || summary.not_finite > 0) return;
  summary.hints.push_back(fmt::format(
      "the losses differ by {:.2g}, less than the standard error of one of them, {:.2g}; more images tell more", span,
      summary.standard_error));
}

nlohmann::ordered_json json_of(const Located& point) { return {{"loss", point.loss}, {"x", point.x}, {"y", point.y}}; }

}  // namespace

Summary summarize(const Surface& surface) {
  const std::vector<double> heights = heights_of(surface);
  const std::size_t centre = nearest_to_zero(surface.y) * surface.x.points + nearest_to_zero(surface.x);
  Summary summary;
  summary.centre = located(surface, centre);
  summary.centre_accuracy = surface.accuracy[centre];
  summary.is_centre_exact = surface.index_of(0, 0).has_value();
  summary.points = surface.size();
  summary.evaluated = surface.evaluated();
  summary.reconstructed = surface.reconstructed();
  summary.not_finite = surface.not_finite();
  for (std::size_t i = 0; i < surface.size(); ++i) {
    if (!std::isfinite(heights[i])) continue;
    if (!(heights[i] >= summary.lowest.loss)) summary.lowest = located(surface, i);
    if (!(heights[i] <= summary.highest.loss)) summary.highest = located(surface, i);
  }
  find_width(surface, heights, centre, summary);
  summary.steepest = find_steepest(surface, heights);
  count_minima(surface, heights, summary);
  summary.curvature = find_curvature(surface, heights, centre);
  summary.standard_error = median_of_finite(surface.loss_se);
  if (!summary.is_complete()) return summary;
  if (!hint_at_broken_centre(surface, summary)) hint_at_range(surface, heights, summary);
  if (surface.points.empty()) hint_at_centre(surface, centre, summary);  // else the lowest is no news
  hint_at_error(summary);
  return summary;
}

std::string recalibration_advice(const Surface& surface) {
  const Settings settings = settings_from(surface.settings);
  const auto& plane = settings.plane;  // files of older versions lack it and bn_layers
  const bool is_between_networks =
      plane == "points" || plane == "pca" || plane == "path" || (settings.runs && !settings.runs->empty());
  if (!is_between_networks || settings.bn != "stored" || settings.bn_layers.value_or(0) == 0) return "";
  return settings.arch == "torchscript" ? "--bn recalibrate with the network's --arch" : "--bn recalibrate";
}

bool is_centre_finite(const Surface& surface) {
  if (const auto index = surface.index_of(0, 0); index && is_known(surface, *index)) {
    return std::isfinite(surface.loss[*index]);
  }
  const auto& check = surface.centre_check;
  return !check.is_object() || !check.contains("surface") ||
         (check["surface"].is_number() && std::isfinite(check["surface"].get<double>()));
}

nlohmann::ordered_json json_of(const Summary& summary) {
  auto centre = json_of(summary.centre);
  centre["accuracy"] = summary.centre_accuracy;
  centre["exact"] = summary.is_centre_exact;
  const Curvature& curvature = summary.curvature;
  nlohmann::ordered_json all{
      {"centre", centre},
      {"lowest", json_of(summary.lowest)},
      {"highest", json_of(summary.highest)},
      {"width", summary.width},
      {"width_at_least", summary.is_width_bound},
      {"steepest",
       {{"rise", summary.steepest.size()},
        {"from", {summary.steepest.from.x, summary.steepest.from.y}},
        {"to", {summary.steepest.to.x, summary.steepest.to.y}}}},
      {"minima", summary.minima},
      {"clear_minima", summary.clear_minima ? nlohmann::ordered_json(*summary.clear_minima) : nullptr},
      {"curvature",
       {{"eigenvalues", {curvature.smallest, curvature.largest}},
        {"condition", curvature.condition},
        {"convex", curvature.is_convex()},
        {"points", curvature.points}}},
      {"points", summary.points},
      {"evaluated", summary.evaluated},
      {"not_finite", summary.not_finite},
      {"standard_error", summary.standard_error},
      {"hints", summary.hints}};
  if (summary.reconstructed > 0) all["reconstructed"] = summary.reconstructed;
  return all;
}

nlohmann::ordered_json summary_json(const Surface& surface) {
  if (surface.kind == SurfaceKind::curve) return curve_summary(surface);
  if (surface.layers == 1) {
    auto summary = json_of(summarize(surface));
    if (auto interpolation = interpolation_json(surface); !interpolation.is_null()) {
      summary["interpolation"] = std::move(interpolation);
    }
    return summary;
  }
  auto summary = json_of(summarize(mean_of_repeats(surface)));
  for (std::size_t repeat = 0; repeat < surface.layers; ++repeat) {
    summary["repeats"].push_back(json_of(summarize(repeat_of(surface, repeat))));
  }
  return summary;
}

}  // namespace lossatlas
