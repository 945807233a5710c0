#include "surface/summary.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "surface/barrier.h"
#include "surface/basin.h"
#include "surface/curve_summary.h"
#include "surface/range_advice.h"
#include "surface/settings.h"

namespace lossatlas {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

bool is_known(const Surface& surface, std::size_t index) { return surface.state[index] != PointState::missing; }

/// The loss as the numbers take it: NaN where it is missing, infinite where it is not finite.
std::vector<double> heights_of(const Surface& surface) {
  std::vector<double> heights(surface.size());
  for (std::size_t i = 0; i < surface.size(); ++i) {
    const double loss = surface.loss()[i];
    heights[i] = !is_known(surface, i) ? kNotKnown : std::isfinite(loss) ? loss : kInfinity;
  }
  return heights;
}

Located located(const Surface& surface, std::size_t index) {
  return {surface.loss()[index], surface.grid.coordinates_of(index)};
}

void find_steepest(const Surface& surface, const std::vector<double>& heights, Rise& steepest) {
  double largest = -1;
  const auto look = [&](std::size_t a, std::size_t b) {
    const double rise = std::abs(heights[b] - heights[a]);
    if (!std::isfinite(rise) || rise <= largest) return;
    largest = rise;
    if (heights[a] > heights[b]) std::swap(a, b);
    steepest = {located(surface, a), located(surface, b)};
  };
  for (std::size_t i = 0; i < surface.size(); ++i) {
    const auto indices = surface.grid.indices_of(i);
    std::size_t stride = 1;
    for (std::size_t k = 0; k < indices.size(); ++k) {
      if (indices[k] + 1 < surface.grid.axes[k].points) look(i, i + stride);
      stride *= surface.grid.axes[k].points;
    }
  }
}

void count_minima(const Surface& surface, const std::vector<double>& heights, Summary& summary) {
  const Field* errors = surface.find(error_name(surface.split()));
  if (errors) summary.clear_minima = 0;
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
      if (surface.grid.is_border(point)) is_minimum = false;
      surface.grid.for_each_neighbour(point, true, [&](std::size_t other) {
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
    if (errors && around - heights[start] > errors->values[start]) ++*summary.clear_minima;
  }
}

double median_of_finite(const std::vector<double>& values) {
  std::vector<double> finite;
  for (const double value : values) {
    if (std::isfinite(value)) finite.push_back(value);
  }
  if (finite.empty()) return kNotKnown;
  const auto middle = finite.begin() + static_cast<std::ptrdiff_t>(finite.size() / 2);
  std::nth_element(finite.begin(), middle, finite.end());
  return *middle;
}

/// The loss of a guess that gives all C classes the same probability, -log(1/C) = log C, where the centre is clearly
/// better; else NaN.
double uniform_loss(const Surface& surface, const Summary& summary) {
  const Settings settings = settings_from(surface.settings);
  if (!settings.classes || settings.loss != "cross-entropy") return kNotKnown;
  const double uniform = std::log(static_cast<double>(*settings.classes));
  return summary.centre.loss < 0.9 * uniform ? uniform : kNotKnown;
}

/// True if there was something to say.
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
  const auto& errors = surface.loss_errors();
  const auto error_at = [&](std::size_t i) { return std::isfinite(errors[i]) ? errors[i] : 0; };
  const auto& losses = surface.loss();
  const auto lowest =
      static_cast<std::size_t>(std::find(losses.begin(), losses.end(), summary.lowest.loss) - losses.begin());
  const double gain = summary.centre.loss - summary.lowest.loss;
  const double margin =
      std::max({0.1 * std::abs(summary.centre.loss), 0.01, 2 * (error_at(centre) + error_at(lowest))});
  if (!(gain > margin)) return;
  summary.hints.push_back(fmt::format("the centre is not the lowest point: {:.4g} there, {:.4g} at {}",
                                      summary.centre.loss, summary.lowest.loss, place_text(summary.lowest.at, 3)));
}

void hint_at_error(const Surface& surface, Summary& summary) {
  const double span = summary.highest.loss - summary.lowest.loss;
  if (!(summary.standard_error > span) || summary.points == 1 || summary.not_finite > 0) return;
  summary.hints.push_back(
      fmt::format("the losses differ by {:.2g}, less than the standard error of one of them, {:.2g}; evaluate more {}s",
                  span, summary.standard_error, sample_word(surface)));
}

}  // namespace

std::string place_text(const std::vector<double>& at, int digits) {
  std::string text;
  for (const double coordinate : at) text += fmt::format("{}{:.{}g}", text.empty() ? "" : ", ", coordinate, digits);
  return at.size() == 1 ? text : "(" + text + ")";
}

Summary summarize(const Surface& surface) {
  const std::vector<double> heights = heights_of(surface);
  const std::size_t centre = surface.grid.nearest_to_origin();
  const std::vector<double> nowhere(surface.grid.dimensions(), kNotKnown);
  Summary summary;
  for (const Axis& axis : surface.grid.axes) summary.axes.push_back(axis.name);
  summary.lowest.at = summary.highest.at = summary.steepest.from.at = summary.steepest.to.at = nowhere;
  summary.centre = located(surface, centre);
  summary.centre_accuracy = surface.accuracy()[centre];
  summary.is_centre_exact = surface.grid.origin().has_value();
  summary.is_centre_missing = !is_known(surface, centre);
  summary.points = surface.size();
  summary.evaluated = surface.evaluated();
  summary.reconstructed = surface.reconstructed();
  summary.not_finite = surface.not_finite();
  for (std::size_t i = 0; i < surface.size(); ++i) {
    if (!std::isfinite(heights[i])) continue;
    if (!(heights[i] >= summary.lowest.loss)) summary.lowest = located(surface, i);
    if (!(heights[i] <= summary.highest.loss)) summary.highest = located(surface, i);
  }
  const Width width = width_around(surface.grid, heights, centre);
  summary.width = width.width;
  summary.is_width_bound = width.is_bound;
  find_steepest(surface, heights, summary.steepest);
  count_minima(surface, heights, summary);
  summary.curvature = curvature_at(surface.grid, heights, centre);
  summary.standard_error = median_of_finite(surface.loss_errors());
  if (!summary.is_complete()) return summary;
  if (!hint_at_broken_centre(surface, summary)) hint_at_range(surface, heights, summary);
  if (surface.points.empty()) hint_at_centre(surface, centre, summary);  // else the lowest is no news
  hint_at_error(surface, summary);
  return summary;
}

std::string recalibration_advice(const Surface& surface) {
  const Settings settings = settings_from(surface.settings);
  const auto& plane = settings.plane;  // files of older versions lack it and bn_layers
  const bool is_between_networks =
      plane == "points" || plane == "pca" || plane == "path" || (settings.runs && !settings.runs->empty());
  if (!is_between_networks || settings.bn != "stored" || settings.bn_layers.value_or(0) == 0) return "";
  const bool is_of_file = settings.arch == "torchscript" || settings.arch == "torch.export";
  return is_of_file ? "--bn recalibrate with the network's --arch" : "--bn recalibrate";
}

bool is_centre_finite(const Surface& surface) {
  if (const auto index = surface.grid.origin(); index && is_known(surface, *index)) {
    return std::isfinite(surface.loss()[*index]);
  }
  const auto& check = surface.centre_check;
  return !check.is_object() || !check.contains("surface") ||
         (check["surface"].is_number() && std::isfinite(check["surface"].get<double>()));
}

nlohmann::ordered_json json_of(const Summary& summary) {
  const auto located = [&](const Located& point) {
    nlohmann::ordered_json json{{"loss", point.loss}};
    for (std::size_t k = 0; k < summary.axes.size(); ++k) json[summary.axes[k]] = point.at[k];
    return json;
  };
  auto centre = located(summary.centre);
  centre["accuracy"] = summary.centre_accuracy;
  centre["exact"] = summary.is_centre_exact;
  const Curvature& curvature = summary.curvature;
  nlohmann::ordered_json all{
      {"centre", centre},
      {"lowest", located(summary.lowest)},
      {"highest", located(summary.highest)},
      {"width", summary.width},
      {"width_at_least", summary.is_width_bound},
      {"steepest",
       {{"rise", summary.steepest.size()}, {"from", summary.steepest.from.at}, {"to", summary.steepest.to.at}}},
      {"minima", summary.minima},
      {"clear_minima", summary.clear_minima ? nlohmann::ordered_json(*summary.clear_minima) : nullptr},
      {"curvature",
       {{"eigenvalues", curvature.eigenvalues},
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

namespace {

nlohmann::ordered_json values_json(const Surface& surface) {
  if (surface.is_curve()) return curve_summary(surface);
  if (surface.is_single()) {
    auto summary = json_of(summarize(surface));
    if (auto interpolation = interpolation_json(surface); !interpolation.is_null()) {
      summary["interpolation"] = std::move(interpolation);
    }
    return summary;
  }
  auto summary = json_of(summarize(mean_of(surface)));
  for (std::size_t member = 0; member < surface.members(); ++member) {
    summary["repeats"].push_back(json_of(summarize(member_of(surface, member))));
  }
  return summary;
}

}  // namespace

nlohmann::ordered_json summary_json(const Surface& surface) {
  auto of_values = values_json(surface);
  if (surface.axis_curvatures.empty()) return of_values;
  nlohmann::ordered_json summary;
  for (const auto& [name, value] : of_values.items()) {
    if (name == "hints") summary["axis_curvatures"] = axis_curvatures_json(surface.axis_curvatures);
    summary[name] = value;
  }
  return summary;
}

}  // namespace lossatlas
