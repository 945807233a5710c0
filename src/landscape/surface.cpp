#include "landscape/surface.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

namespace lossatlas {

double Axis::at(std::size_t index) const {
  if (index == 0) return low;
  if (index + 1 == points) return high;
  // Counted from the middle, so that a symmetric range is exactly symmetric.
  const double half_steps = 2.0 * static_cast<double>(index) - static_cast<double>(points - 1);
  const double half_step = (high - low) / (2.0 * static_cast<double>(points - 1));
  const double value = (low + high) / 2 + half_steps * half_step;
  // Rounding must not hide the two checkpoints of a line, at 0 and 1.
  const double whole = std::round(value);
  return std::abs(value - whole) < 1e-9 * std::abs(half_step) ? whole : value;
}

std::vector<double> Axis::coordinates() const {
  std::vector<double> all(points);
  for (std::size_t i = 0; i < points; ++i) all[i] = at(i);
  return all;
}

std::optional<std::size_t> Axis::index_of(double coordinate) const {
  for (std::size_t i = 0; i < points; ++i) {
    if (at(i) == coordinate) return i;
  }
  return std::nullopt;
}

bool Axis::has_distinct_points() const {
  for (std::size_t i = 0; i < points; ++i) {
    if (!std::isfinite(at(i)) || (i > 0 && !(at(i - 1) < at(i)))) return false;
  }
  return true;
}

Surface::Surface(const Axis& x_axis, const Axis& y_axis, Split which, const std::vector<std::string>& more_names,
                 std::size_t layer_count)
    : x(x_axis), y(y_axis), split(which), layers(layer_count) {
  const std::size_t count = layers * grid_size();
  for (auto* values : {&loss, &loss_se, &accuracy, &accuracy_se}) {
    values->assign(count, std::numeric_limits<double>::quiet_NaN());
  }
  images.assign(count, 0);
  for (const auto& name : more_names) {
    more.push_back({name, std::vector<double>(count, std::numeric_limits<double>::quiet_NaN())});
  }
  state.assign(count, PointState::missing);
}

std::vector<std::string> Surface::more_names() const {
  std::vector<std::string> names;
  for (const auto& measure : more) names.push_back(measure.name);
  return names;
}

bool Surface::has_both_splits() const {
  return std::any_of(more.begin(), more.end(), [](const Measure& measure) { return measure.name == "test_loss"; });
}

const std::vector<double>& Surface::values_of(std::string_view measure) const {
  const auto found = std::find_if(more.begin(), more.end(), [&](const Measure& own) { return own.name == measure; });
  if (found == more.end()) throw std::logic_error("Surface: no such measure");
  return found->values;
}

std::optional<std::size_t> Surface::index_of(double at_x, double at_y) const {
  const auto column = x.index_of(at_x), row = y.index_of(at_y);
  if (!column || !row) return std::nullopt;
  return *row * x.points + *column;
}

void Surface::set(std::size_t index, const Evaluation& evaluation) {
  loss[index] = evaluation.loss;
  loss_se[index] = evaluation.loss_se;
  accuracy[index] = evaluation.accuracy;
  accuracy_se[index] = evaluation.accuracy_se;
  images[index] = evaluation.images;
  for (std::size_t m = 0; m < more.size(); ++m) more[m].values[index] = evaluation.more.at(m);
  state[index] = PointState::evaluated;
}

std::string error_name(Split split) { return std::string(name_of(split)) + "_loss_error"; }

Evaluation Surface::at(std::size_t index) const {
  Evaluation point{.loss = loss[index],
                   .loss_se = loss_se[index],
                   .accuracy = accuracy[index],
                   .accuracy_se = accuracy_se[index],
                   .images = images[index]};
  for (const auto& measure : more) point.more.push_back(measure.values[index]);
  return point;
}

std::size_t Surface::evaluated() const {
  return static_cast<std::size_t>(std::count(state.begin(), state.end(), PointState::evaluated));
}

std::size_t Surface::reconstructed() const {
  return static_cast<std::size_t>(std::count(state.begin(), state.end(), PointState::reconstructed));
}

std::size_t Surface::not_finite() const {
  std::size_t count = 0;
  for (std::size_t i = 0; i < size(); ++i) count += state[i] != PointState::missing && !std::isfinite(loss[i]) ? 1 : 0;
  return count;
}

std::string_view name_of(SurfaceKind kind) {
  if (kind == SurfaceKind::curve) return "path";
  return kind == SurfaceKind::line ? "line" : "surface";
}

Surface empty_like(const Surface& surface, std::size_t layers) {
  Surface empty(surface.x, surface.y, surface.split, surface.more_names(), layers);
  empty.kind = surface.kind;
  empty.settings = surface.settings;
  empty.points = surface.points;
  empty.trajectory = surface.trajectory;
  return empty;
}

Surface mean_of_repeats(const Surface& all) {
  Surface mean = empty_like(all);
  for (std::size_t i = 0; i < mean.size(); ++i) {
    Evaluation sum = all.at(i);
    bool complete = all.state[i] != PointState::missing;
    for (std::size_t at = i + mean.size(); at < all.size(); at += mean.size()) {
      const Evaluation point = all.at(at);
      complete = complete && all.state[at] != PointState::missing;
      sum.loss += point.loss;
      sum.loss_se += point.loss_se;
      sum.accuracy += point.accuracy;
      sum.accuracy_se += point.accuracy_se;
      for (std::size_t m = 0; m < sum.more.size(); ++m) sum.more[m] += point.more[m];
    }
    if (!complete) continue;
    const auto repeats = static_cast<double>(all.layers);
    for (double* value : {&sum.loss, &sum.loss_se, &sum.accuracy, &sum.accuracy_se}) *value /= repeats;
    for (double& value : sum.more) value /= repeats;
    mean.set(i, sum);
  }
  return mean;
}

Surface repeat_of(const Surface& all, std::size_t repeat) {
  Surface one = empty_like(all);
  for (std::size_t i = 0; i < one.size(); ++i) {
    const std::size_t from = repeat * one.size() + i;
    if (all.state[from] == PointState::missing) continue;
    one.set(i, all.at(from));
    one.state[i] = all.state[from];
  }
  return one;
}

}  // namespace lossatlas
