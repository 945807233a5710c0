#include "surface/surface.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <type_traits>

namespace lossatlas {
namespace {

std::size_t members_of(const Form& form) {
  return std::visit(
      []<class T>([[maybe_unused]] const T& is) -> std::size_t {
        if constexpr (std::is_same_v<T, Repeats> || std::is_same_v<T, FanLines>) return is.count;
        if constexpr (std::is_same_v<T, Levels>) return is.sizes.size();
        return std::is_same_v<T, CurveWithChord> ? 2 : 1;
      },
      form);
}

/// What a field takes its values from.
const Evaluation& part_for(const Measure& measure, const Evaluation& evaluation, Split first) {
  return measure.split && *measure.split != first ? evaluation.second.at(0) : evaluation;
}

}  // namespace

double MarkedPoint::value(const std::string& dataset) const {
  const auto found = values.find(dataset);
  return found == values.end() ? kNotKnown : found->second;
}

bool MarkedPoint::is_known(const std::string& loss, const std::string& accuracy) const {
  return !std::isnan(value(loss)) || !std::isnan(value(accuracy));
}

Surface::Surface(Grid of, const std::vector<Measure>& measures, Form is) : grid(std::move(of)), form(std::move(is)) {
  const std::size_t count = members() * grid.size();
  state.assign(count, PointState::missing);
  for (const Measure& measure : measures) {
    fields.push_back({measure, std::vector<double>(count, kNotKnown),
                      std::vector<double>(measure.has_error ? count : 0, kNotKnown)});
    const auto is_known = [&](const Samples& known) { return known.split == measure.split; };
    if (!measure.split || std::any_of(samples.begin(), samples.end(), is_known)) continue;
    samples.push_back({*measure.split, {}, std::vector<std::int64_t>(count, 0)});
  }
}

std::size_t Surface::members() const { return members_of(form); }

std::vector<Measure> Surface::measures() const {
  std::vector<Measure> measures;
  for (const Field& field : fields) measures.push_back(field.measure);
  return measures;
}

const Field* Surface::find(std::string_view measure) const {
  const auto found =
      std::find_if(fields.begin(), fields.end(), [&](const Field& field) { return field.measure.name == measure; });
  return found == fields.end() ? nullptr : &*found;
}

const std::vector<double>& Surface::values_of(std::string_view measure) const {
  const Field* field = find(measure);
  if (!field) throw std::logic_error("Surface: has no " + std::string(measure));
  return field->values;
}

std::vector<double> Surface::accuracy() const {
  const Field* field = find(measure_name("accuracy", split()));
  return field ? field->values : std::vector<double>(size(), kNotKnown);
}

void Surface::set(std::size_t index, const Evaluation& evaluation) {
  for (auto& [measure, values, standard_errors] : fields) {
    const Evaluation& part = part_for(measure, evaluation, split());
    values[index] = part.value(measure.kind);
    if (measure.has_error) standard_errors[index] = part.standard_error(measure.kind);
  }
  samples[0].counts[index] = evaluation.images;
  if (has_both_splits()) samples[1].counts[index] = evaluation.second.at(0).images;
  state[index] = PointState::evaluated;
}

Evaluation Surface::at(std::size_t index) const {
  Evaluation evaluation{.images = samples[0].counts[index]};
  if (has_both_splits()) evaluation.second = {{.images = samples[1].counts[index]}};
  for (const auto& [measure, values, standard_errors] : fields) {
    Evaluation& part = measure.split && *measure.split != split() ? evaluation.second[0] : evaluation;
    part.set(measure.kind, values[index], measure.has_error ? standard_errors[index] : kNotKnown);
  }
  return evaluation;
}

std::string error_name(Split split) { return measure_name("loss_error", split); }

std::size_t Surface::evaluated() const {
  return static_cast<std::size_t>(std::count(state.begin(), state.end(), PointState::evaluated));
}

std::size_t Surface::reconstructed() const {
  return static_cast<std::size_t>(std::count(state.begin(), state.end(), PointState::reconstructed));
}

std::size_t Surface::missing() const {
  return static_cast<std::size_t>(std::count(state.begin(), state.end(), PointState::missing));
}

std::size_t Surface::not_finite() const {
  std::size_t count = 0;
  for (std::size_t i = 0; i < size(); ++i) {
    count += state[i] != PointState::missing && !std::isfinite(loss()[i]) ? 1 : 0;
  }
  return count;
}

std::string_view sample_word(const Surface& surface) {
  return surface.settings.contains("problem") ? "sample" : "image";
}

std::string_view kind_of(const Surface& surface) {
  if (surface.is_curve()) return "curve";
  return surface.is_line() ? "line" : "surface";
}

std::string grid_text(const Surface& surface) {
  std::vector<std::size_t> points;
  std::vector<std::string> ranges;
  for (const Axis& axis : surface.grid.axes) {
    points.push_back(axis.points);
    ranges.push_back(fmt::format("{} {}:{}", axis.name, axis.low, axis.high));
  }
  return fmt::format("{}{} over {}", fmt::join(points, "x"), points.size() == 1 ? " points" : "",
                     fmt::join(ranges, points.size() == 2 ? " and " : ", "));
}

Surface empty_like(const Surface& surface, Form form) {
  Surface empty(surface.grid, surface.measures(), std::move(form));
  empty.settings = surface.settings;
  empty.points = surface.points;
  empty.trajectory = surface.trajectory;
  return empty;
}

Surface mean_of(const Surface& all) {
  Surface mean = empty_like(all);
  const std::size_t size = mean.size();
  const auto is_missing = [&](std::size_t i) { return all.state[i] == PointState::missing; };
  const auto mean_at = [&](const std::vector<double>& values, std::size_t point) {
    double sum = values[point];
    for (std::size_t i = point + size; i < all.size(); i += size) sum += values[i];
    return sum / static_cast<double>(all.members());
  };
  for (std::size_t point = 0; point < size; ++point) {
    bool is_complete = true;
    for (std::size_t i = point; i < all.size(); i += size) is_complete = is_complete && !is_missing(i);
    if (!is_complete) continue;
    for (std::size_t f = 0; f < mean.fields.size(); ++f) {
      const Field& from = all.fields[f];
      mean.fields[f].values[point] = mean_at(from.values, point);
      if (from.measure.has_error) mean.fields[f].standard_errors[point] = mean_at(from.standard_errors, point);
    }
    for (std::size_t s = 0; s < mean.samples.size(); ++s) mean.samples[s].counts[point] = all.samples[s].counts[point];
    mean.state[point] = PointState::evaluated;
  }
  return mean;
}

Surface member_of(const Surface& all, std::size_t member) {
  Surface one = empty_like(all);
  const auto take = [&]<class T>(const std::vector<T>& from, std::vector<T>& to) {
    const auto first = from.begin() + static_cast<std::ptrdiff_t>(all.index_in(member, 0));
    if (!from.empty()) to.assign(first, first + static_cast<std::ptrdiff_t>(one.size()));
  };
  for (std::size_t f = 0; f < one.fields.size(); ++f) {
    take(all.fields[f].values, one.fields[f].values);
    take(all.fields[f].standard_errors, one.fields[f].standard_errors);
  }
  for (std::size_t s = 0; s < one.samples.size(); ++s) take(all.samples[s].counts, one.samples[s].counts);
  take(all.state, one.state);
  return one;
}

}  // namespace lossatlas
