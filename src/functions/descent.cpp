#include "functions/descent.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/error.h"
#include "base/philox.h"
#include "optimizers/rule.h"

namespace lossatlas {
namespace {

double length_of(std::span<const double> vector) {
  return std::sqrt(std::inner_product(vector.begin(), vector.end(), vector.begin(), 0.0));
}

bool is_finite(std::span<const double> values) {
  return std::all_of(values.begin(), values.end(), [](double value) { return std::isfinite(value); });
}

/// The tilts of all terms, and the minibatches.
class Terms {
 public:
  Terms(const GradientNoise& noise, std::size_t variables) : noise_(noise) {
    const auto count = static_cast<std::size_t>(noise.terms);
    for (std::size_t i = 0; i < variables; ++i) {
      std::vector<float> normal(count);
      fill_normal(normal, noise.seed, Purpose::terms, i, 0);
      const double mean = std::accumulate(normal.begin(), normal.end(), 0.0) / static_cast<double>(count);
      auto& slopes = slopes_.emplace_back();
      for (const float value : normal) slopes.push_back(noise.deviation * (value - mean));
    }
  }

  /// Adds the mean tilt of minibatch `step`, counted from 0, to the gradient.
  void add(std::int64_t step, std::vector<double>& gradient) {
    const std::int64_t batches = (noise_.terms + noise_.batch_size - 1) / noise_.batch_size;
    if (step / batches != epoch_) {
      epoch_ = step / batches;
      order_ = random_order(static_cast<std::uint32_t>(noise_.terms),
                            RandomStream(noise_.seed, Purpose::shuffle, static_cast<std::uint64_t>(epoch_)));
    }
    const std::int64_t first = step % batches * noise_.batch_size;
    const std::int64_t count = std::min(noise_.batch_size, noise_.terms - first);
    for (std::size_t i = 0; i < gradient.size(); ++i) {
      double sum = 0;
      for (std::int64_t k = first; k < first + count; ++k) sum += slopes_[i][order_[static_cast<std::size_t>(k)]];
      gradient[i] += sum / static_cast<double>(count);
    }
  }

 private:
  GradientNoise noise_;
  std::vector<std::vector<double>> slopes_;  // [d][terms]
  std::int64_t epoch_ = -1;
  std::vector<std::uint32_t> order_;
};

std::string point_text(std::span<const double> point) {
  return point.size() == 1 ? fmt::format("x = {:.6g}", point[0]) : fmt::format("({:.6g}, {:.6g})", point[0], point[1]);
}

std::string text_of(Failure failure) {
  constexpr std::array texts{"is not defined", "has no derivative", "cannot be computed"};
  return texts[static_cast<std::size_t>(failure)];
}

Dual value_at(const Expression& function, std::span<const double> point) {
  if (const auto why = function.undefined_at(point)) {
    throw Error("the function {} at {} ({})", text_of(why->failure), point_text(point), why->what);
  }
  return function.at(point);
}

}  // namespace

std::string name_of(DescentEnd end) {
  constexpr std::array names{"steps", "converged", "diverged", "undefined", "interrupted"};
  return names[static_cast<std::size_t>(end)];
}

Descent descend(const Expression& function, std::span<const double> start, const DescentOptions& options,
                const std::atomic<bool>* stop) {
  const std::size_t variables = start.size();
  Descent descent;
  descent.options = options;
  descent.variables = variables;
  const bool is_noisy = options.noise.deviation > 0 && options.optimizer.name != "gd";
  Terms terms(is_noisy ? options.noise : GradientNoise{.deviation = 0, .terms = 1, .batch_size = 1, .seed = 0},
              variables);
  std::vector<std::vector<double>> memory(variables, std::vector<double>(memory_of(options.optimizer)));
  std::vector<double> point(start.begin(), start.end()), moved(variables, std::numeric_limits<double>::infinity());
  for (std::int64_t step = 0;; ++step) {
    const Dual here = step == 0 ? value_at(function, point) : function.at(point);
    if (!is_finite(point) || !here.is_finite()) {
      const auto undefined = is_finite(point) ? function.undefined_at(point) : std::nullopt;
      const bool is_undefined = undefined && undefined->failure != Failure::overflow;
      descent.end = is_undefined ? DescentEnd::undefined : DescentEnd::diverged;
      descent.reason =
          fmt::format("at {}: {}", point_text(point), undefined ? undefined->what : "the position overflows");
      break;
    }
    std::vector<double> gradient(here.gradient.begin(), here.gradient.begin() + static_cast<std::ptrdiff_t>(variables));
    const bool is_still = length_of(gradient) <= options.tolerance && length_of(moved) <= options.tolerance;
    if (is_noisy) terms.add(step, gradient);
    descent.position.insert(descent.position.end(), point.begin(), point.end());
    descent.value.push_back(here.value);
    descent.gradient.insert(descent.gradient.end(), gradient.begin(), gradient.end());
    const bool is_done = is_still || step == options.steps;
    if (is_still) descent.end = DescentEnd::converged;
    if (!is_done && stop != nullptr && *stop) descent.end = DescentEnd::interrupted;
    if (is_done || descent.end == DescentEnd::interrupted) break;
    const double rate = rate_at(options.schedule, options.rate, step);
    for (std::size_t i = 0; i < variables; ++i) {
      const double uphill = options.ascend ? -gradient[i] : gradient[i];
      const auto move = move_of<double>(options.optimizer, step + 1, uphill, memory[i]);
      const double effective = rate / move.divisor.value_or(1);
      descent.effective_rate.push_back(effective);
      moved[i] = -effective * move.direction - rate * move.decay * point[i];
      point[i] += moved[i];
    }
  }
  descent.effective_rate.resize(descent.position.size() - variables);
  descent.effective_rate.resize(descent.position.size(), std::numeric_limits<double>::quiet_NaN());
  return descent;
}

Tangent tangent_at(const Expression& function, std::span<const double> point, std::span<const double> direction) {
  const Dual here = value_at(function, point);
  const auto variables = static_cast<std::ptrdiff_t>(point.size());
  Tangent tangent;
  tangent.point.assign(point.begin(), point.end());
  tangent.gradient.assign(here.gradient.begin(), here.gradient.begin() + variables);
  tangent.value = here.value;
  const double length = length_of(direction);
  for (const double part : direction) tangent.direction.push_back(part / length);
  tangent.directional_derivative =
      std::inner_product(tangent.direction.begin(), tangent.direction.end(), tangent.gradient.begin(), 0.0);
  return tangent;
}

}  // namespace lossatlas
