#include "jobs/summary_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "surface/barrier.h"
#include "surface/range_advice.h"
#include "surface/settings.h"
#include "surface/summary.h"

namespace lossatlas {
namespace {

std::string width_text(const Summary& summary) {
  if (std::isnan(summary.width)) return "unknown";
  return fmt::format("{}{:.3g}", summary.is_width_bound ? "at least " : "", summary.width);
}

/// The condition alone, as it stands in a list.
std::string condition_text(const Curvature& curvature) {
  if (!curvature.is_known()) return "unknown";
  if (std::isnan(curvature.condition)) return "of one axis";
  return fmt::format("{:.3g}{}", curvature.condition, curvature.is_convex() ? "" : " (not convex)");
}

std::string curvature_text(const Curvature& curvature) {
  if (!curvature.is_known()) return "fitted curvature at the centre: unknown";
  std::string values;
  for (std::size_t k = curvature.eigenvalues.size(); k-- > 0;) {
    values += fmt::format("{}{:.3g}", values.empty() ? "" : k == 0 ? " and " : ", ", curvature.eigenvalues[k]);
  }
  if (curvature.eigenvalues.size() == 1) return "fitted curvature at the centre: " + values;
  return fmt::format("fitted curvatures at the centre: {}, condition {}", values, condition_text(curvature));
}

/// "6.8 ± 0.2"; without the error if all samples were used.
std::string with_error(double value, double error) {
  if (std::isnan(value)) return "unknown";
  return error > 0 ? fmt::format("{:.3g} ± {:.2g}", value, error) : fmt::format("{:.3g}", value);
}

/// "along x: dᵀHd 5.4 by autodiff, 6.8 at scale h = 0.03 (6.7 at h/2, 6.9 at 2h; ‖d‖ = 17.6, so 0.0174 and 0.0219 per
/// unit length, where the largest eigenvalue is 391)".
std::string axis_text(const AxisCurvature& axis, double largest_eigenvalue) {
  const auto& [half, at_step, twice] = axis.scale;
  const double square = axis.length * axis.length;
  std::string scale = with_error(at_step.value, at_step.standard_error), each;
  if (axis.autodiff) {
    scale =
        fmt::format("dᵀHd {} by autodiff, {}", with_error(axis.autodiff->value, axis.autodiff->standard_error), scale);
    each = fmt::format("{:.3g} and ", axis.autodiff->value / square);
  }
  const std::string largest =
      std::isnan(largest_eigenvalue) ? "" : fmt::format(", where the largest eigenvalue is {:.3g}", largest_eigenvalue);
  return fmt::format(
      "{} at scale h = {:.3g} ({:.3g} at h/2, {:.3g} at 2h; ‖d‖ = {:.3g}, so {}{:.3g} per unit length{})", scale,
      at_step.step, half.value, twice.value, axis.length, each, at_step.value / square, largest);
}

std::string minima_text(const Summary& summary) {
  auto text = fmt::format("{} local minim{} inside the grid", summary.minima, summary.minima == 1 ? "um" : "a");
  if (summary.clear_minima) text += fmt::format(", {} deeper than the stated error", *summary.clear_minima);
  return text;
}

/// Ends and barriers of one value, along curve and line.
std::string ways_text(const std::string& name, const nlohmann::ordered_json& curve,
                      const nlohmann::ordered_json& line) {
  const bool is_error = name.ends_with("_err");
  const auto number = [&](const nlohmann::ordered_json& value) {
    if (!value.is_number() || !std::isfinite(value.get<double>())) return std::string("not finite");
    return is_error ? fmt::format("{:.2f} %", value.get<double>()) : fmt::format("{:.4g}", value.get<double>());
  };
  const auto way = [&](const nlohmann::ordered_json& barrier) {
    return fmt::format("at most {} (t = {:.3g}), barrier {}", number(barrier["highest"]), barrier["at"].get<double>(),
                       number(barrier["barrier"]));
  };
  return fmt::format("{} {}: ends {} and {}; curve {}; line {}", name.substr(0, name.find('_')),
                     is_error ? "error" : "loss", number(curve["ends"][0]), number(curve["ends"][1]), way(curve),
                     way(line));
}

/// What the ends have by themselves beside what they have on the curve.
std::string own_text(const Surface& curve) {
  if (curve.points.size() != 2 || std::isnan(curve.points[1].value(path_values(curve.split()).loss))) return "";
  const MarkedPoint &a = curve.points[0], &b = curve.points[1];
  std::string text = "the ends with the statistics they came with: ";
  for (const Samples& samples : curve.samples) {
    const std::string loss = path_values(samples.split).loss;
    text += fmt::format("{}{} loss {:.4g} and {:.4g}", text.ends_with(": ") ? "" : ", ", name_of(samples.split),
                        a.value(loss), b.value(loss));
  }
  return text;
}

std::vector<std::string> curve_lines(const Surface& surface) {
  const auto summary = summary_json(surface);
  std::vector<std::string> lines;
  for (const auto& [name, curve] : summary["curve"].items()) {
    lines.push_back(ways_text(name, curve, summary["linear"][name]));
  }
  if (const auto own = own_text(surface); !own.empty()) lines.push_back(own);
  const Settings settings = settings_from(surface.settings);
  const double curve = settings.curve_length.value_or(kNotKnown), line = settings.line_length.value_or(kNotKnown);
  if (curve > 0) lines.push_back(fmt::format("the curve is {:.3g} times as long as the line", curve / line));
  return lines;
}

std::vector<std::string> lines_of(const Summary& summary) {
  std::vector<std::string> lines;
  const auto add_hints = [&] {
    for (const auto& hint : summary.hints) lines.push_back("hint: " + hint);
  };
  if (std::isnan(summary.lowest.loss)) {
    lines.emplace_back("no finite loss: nothing to report");
    add_hints();
    return lines;
  }
  const std::string accuracy =
      std::isnan(summary.centre_accuracy) ? "" : fmt::format(" and accuracy {:.2f} %", summary.centre_accuracy);
  const auto centre = fmt::format("{} {}", summary.is_centre_exact ? "the centre" : "the point nearest to the centre,",
                                  place_text(summary.centre.at, 4));
  lines.push_back(fmt::format("{}; lowest loss {:.6g} at {}, highest {:.6g}",
                              summary.is_centre_missing
                                  ? fmt::format("{}{} is not evaluated", centre, summary.is_centre_exact ? "" : ",")
                                  : fmt::format("loss {:.6g}{} at {}", summary.centre.loss, accuracy, centre),
                              summary.lowest.loss, place_text(summary.lowest.at, 4), summary.highest.loss));
  const std::string width = fmt::format("width at twice the centre's loss: {}; ", width_text(summary));
  lines.push_back((summary.axes.size() > 2 ? "" : width) + curvature_text(summary.curvature));
  std::string steepest;
  if (std::isfinite(summary.steepest.size())) {
    steepest = fmt::format("; largest step {:.4g}, from {} to {}", summary.steepest.size(),
                           place_text(summary.steepest.from.at, 4), place_text(summary.steepest.to.at, 4));
  }
  lines.push_back(minima_text(summary) + steepest);
  if (summary.not_finite > 0) {
    lines.push_back(fmt::format("{} of {} losses are not finite", summary.not_finite, summary.points));
  }
  add_hints();
  return lines;
}

/// "from loss 0.31 to 0.35, highest …": one value along the way between two checkpoints.
std::string barrier_text(std::string value, const nlohmann::ordered_json& barrier) {
  std::replace(value.begin(), value.end(), '_', ' ');
  const bool is_error = value.ends_with("err");
  if (is_error) value += "or";
  const auto number = [&](const nlohmann::ordered_json& found) {
    if (!found.is_number() || !std::isfinite(found.get<double>())) return std::string("not finite");
    return fmt::format("{:.4g}{}", found.get<double>(), is_error ? " %" : "");
  };
  return fmt::format("{} from {} to {}, highest {} at {:.3g}: barrier {}", value, number(barrier["ends"][0]),
                     number(barrier["ends"][1]), number(barrier["highest"]), barrier["at"].get<double>(),
                     number(barrier["barrier"]));
}

/// One number of each repeat: "width of each: 0.81, 0.79, 0.9".
template <class Text>
std::string list_text(const std::string& name, const std::vector<Summary>& repeats, const Text& text) {
  std::string list;
  for (const Summary& repeat : repeats) list += (list.empty() ? "" : ", ") + text(repeat);
  return fmt::format("  {} of each: {}", name, list);
}

/// "2.31 at epoch 3", "2.31 at step 300".
std::string at_epoch(double value, const RunPath& run, std::size_t checkpoint) {
  return fmt::format("{:.4g} at {} {}", value, run.unit, run.epoch[checkpoint]);
}

/// The variance that a plane of runs holds, and for each run how far its path lies from the plane, in parameters and in
/// loss.
std::vector<std::string> path_lines(const Trajectory& trajectory, Split split) {
  std::vector<std::string> lines;
  if (const auto& ratio = trajectory.pca.explained_variance_ratio; ratio.size() > 1) {
    lines.push_back(
        fmt::format("explained variance of the paths: {:.2f} % along x, {:.2f} % along y, {:.2f} % together",
                    100 * ratio[0], 100 * ratio[1], 100 * (ratio[0] + ratio[1])));
  }
  for (const RunPath& run : trajectory.runs) {
    const PathSummary summary = summarize(run, split);
    const auto part = [&](double distance) { return summary.longest > 0 ? 100 * distance / summary.longest : 0; };
    lines.push_back(fmt::format(
        "{}: {} checkpoints, up to {:.4g} from the origin; out of the plane by {:.4g} (median), {} (largest): {:.2g} % "
        "and {:.2g} % of that",
        run.label, run.size(), summary.longest, summary.median_distance,
        at_epoch(summary.largest_distance, run, summary.farthest), part(summary.median_distance),
        part(summary.largest_distance)));
    if (!std::isnan(summary.median_difference)) {
      const auto beside = summary.compared == run.size()
                              ? std::string()
                              : fmt::format(", over the {} where both are finite", summary.compared);
      lines.push_back(fmt::format(
          "{}: the plane's loss under a checkpoint differs from its own by {:.4g} (median), {} (largest){}", run.label,
          summary.median_difference, at_epoch(summary.largest_difference, run, summary.most_different), beside));
    }
  }
  return lines;
}

/// Of the values.
std::vector<std::string> value_lines(const Surface& surface) {
  if (surface.is_curve()) return curve_lines(surface);
  if (surface.is_single()) {
    auto lines = lines_of(summarize(surface));
    const auto interpolation = interpolation_json(surface);
    for (const auto& [value, barrier] : interpolation.items()) lines.push_back(barrier_text(value, barrier));
    const auto of_paths = path_lines(surface.trajectory, surface.split());
    lines.insert(lines.end(), of_paths.begin(), of_paths.end());
    return lines;
  }
  const char* members = surface.is_line() ? "lines" : "repeats";
  std::vector<std::string> lines{fmt::format("the mean of {} {}:", surface.members(), members)};
  for (const auto& line : lines_of(summarize(mean_of(surface)))) lines.push_back("  " + line);
  std::vector<Summary> repeats;
  for (std::size_t r = 0; r < surface.members(); ++r) repeats.push_back(summarize(member_of(surface, r)));
  if (surface.grid.dimensions() < 3) lines.push_back(list_text("width", repeats, width_text));
  lines.push_back(list_text("condition", repeats, [](const Summary& s) { return condition_text(s.curvature); }));
  lines.push_back(
      list_text("lowest loss", repeats, [](const Summary& s) { return fmt::format("{:.6g}", s.lowest.loss); }));
  lines.push_back(list_text("minima", repeats, [](const Summary& s) { return fmt::format("{}", s.minima); }));
  return lines;
}

std::string ordinal(std::int64_t place) {
  const std::string end = place > 0 ? "largest" : "smallest";
  const std::int64_t n = std::abs(place);
  if (n == 1) return end;
  const std::int64_t unit = n / 10 % 10 == 1 ? 0 : n % 10;  // 11th to 13th
  return fmt::format("{}{} {}", n, unit == 1 ? "st" : unit == 2 ? "nd" : unit == 3 ? "rd" : "th", end);
}

/// "x, y: eigenvectors of the largest and 2nd largest eigenvalue, 391 and 325 (residuals 0.0003, 0.0003), of the
/// Hessian over 64 images; its trace is 1727 ± 60, of which they hold 41 %".
std::vector<std::string> eigen_lines(const Surface& surface) {
  const Settings settings = settings_from(surface.settings);
  if (!settings.eigen || !settings.eigenvalues || settings.eigen->size() != settings.eigenvalues->size()) return {};
  std::vector<std::string> names, values, residuals;
  double sum = 0;
  for (std::size_t k = 0; k < settings.eigen->size(); ++k) {
    names.push_back(ordinal((*settings.eigen)[k]));
    values.push_back(fmt::format("{:.4g}", (*settings.eigenvalues)[k]));
    sum += (*settings.eigenvalues)[k];
  }
  if (settings.eigenvalue_residuals) {
    for (const double residual : *settings.eigenvalue_residuals) residuals.push_back(fmt::format("{:.2g}", residual));
  }
  std::string text =
      fmt::format("direction{} of the {} eigenvalue of the Hessian over {} {}s: {} (residual {})",
                  names.size() > 1 ? "s" : "", fmt::join(names, ", "), settings.eigen_samples.value_or(0),
                  sample_word(surface), fmt::join(values, ", "), fmt::join(residuals, ", "));
  if (settings.trace && *settings.trace != 0) {
    const std::string error = settings.trace_se ? fmt::format(" ± {:.2g}", *settings.trace_se) : "";
    text += fmt::format("; its trace is {:.4g}{}", *settings.trace, error);
    if (const double share = sum / *settings.trace; share >= 0 && share <= 1) {
      text += fmt::format(", of which {} {:.0f} %", names.size() > 1 ? "they hold" : "it holds", 100 * share);
    }
  }
  return {text};
}

}  // namespace

std::vector<std::string> axis_lines(const Surface& surface, double largest_eigenvalue) {
  const std::string first = surface.members() > 1 && !surface.levels() ? " of the first draw" : "";
  const auto all = static_cast<std::int64_t>(surface.samples.front().indices.size());
  std::vector<std::string> lines;
  for (const AxisCurvature& axis : surface.axis_curvatures) {
    const std::string part = axis.samples < all ? fmt::format(", {} {}s", axis.samples, sample_word(surface)) : "";
    lines.push_back(
        fmt::format("curvature along {}{}{}: {}", axis.axis, first, part, axis_text(axis, largest_eigenvalue)));
  }
  return lines;
}

std::vector<std::string> summary_lines(const Surface& surface) {
  auto lines = value_lines(surface);
  const auto of_eigenvectors = eigen_lines(surface);
  lines.insert(lines.end(), of_eigenvectors.begin(), of_eigenvectors.end());
  const auto centre = surface.grid.origin();
  const auto of_axes = axis_lines(surface, surface.maps && centre ? surface.maps->largest[*centre] : std::nan(""));
  lines.insert(lines.end(), of_axes.begin(), of_axes.end());
  if (!surface.maps) return lines;
  const auto of_maps = eigen_map_lines(*surface.maps);
  lines.insert(lines.end(), of_maps.begin(), of_maps.end());
  return lines;
}

void report_values(const Surface& surface, Observer& observer) {
  if (const std::size_t count = surface.not_finite(); count > 0) {
    const bool is_random = settings_from(surface.settings).plane.value_or("random") == "random";
    std::string advice = recalibration_advice(surface);
    if (advice.empty()) {
      const std::string range = finite_range(surface);
      advice = fmt::format("a smaller range{}{}", range.empty() ? "" : " (" + range + ")",
                           is_random ? " or `norm` filter" : "");
    }
    observer.on_note(fmt::format("warning: {} of {} losses are not finite (stored as they are){}", count,
                                 surface.size(), is_centre_finite(surface) ? fmt::format("; {} helps", advice) : ""));
  }
  if (surface.missing() > 0) return;
  for (const auto& line : summary_lines(surface)) observer.on_note(line);
}

std::string centre_check_text(const Surface& surface) {
  const nlohmann::json& check = surface.centre_check;
  if (!check.is_object() || !check.contains("equal")) return "";
  const auto loss = [&](const char* key) {
    const auto found = check.find(key);
    return found != check.end() && found->is_number() ? fmt::format("{:.6g}", found->get<double>()) : "not finite";
  };
  const auto accuracy = [&](const char* key) {  // files of before have none
    const auto found = check.find(key);
    return found != check.end() && found->is_number() ? fmt::format(" and accuracy {:.2f} %", found->get<double>())
                                                      : "";
  };
  const auto images = check.value("images", nlohmann::json(nullptr)).dump();
  const bool equal = check.at("equal") == true;
  return fmt::format("the checkpoint through LibTorch has loss {}{} over {} {}s, the centre of the surface {}{}{}",
                     loss("checkpoint"), accuracy("checkpoint_accuracy"), images, sample_word(surface), loss("surface"),
                     accuracy("surface_accuracy"), equal ? ": they agree" : "");
}

}  // namespace lossatlas
