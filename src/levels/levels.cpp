#include "levels/levels.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace lossatlas {
namespace {

constexpr std::int64_t kSmallest = 64;  // images: fewer cost as much as these, for what a point costs besides
constexpr std::size_t kPilot = 5, kSmallPilot = 4;  // points along an axis: fewer of more images than these, or the
constexpr std::int64_t kManyImages = 20'000;        // pilot would cost more than all that follows
constexpr std::size_t kScout = 11, kScoutRung = 2;  // points along an axis, and the rung, of the look that follows
constexpr std::size_t kStart = 11;  // points along an axis that begin the first level; the next begin amid the pilot's
constexpr std::size_t kBatchToComplete = 256;
constexpr std::size_t kFewestPilots = 6;  // finite ones: fewer tell nothing of a level
constexpr std::size_t kMostKriged = 900;  // points of a level: beyond, evaluating costs less than thinking
constexpr std::size_t kManyPoints = 5;    // a level known at one in so many may be evaluated at all of them
constexpr double kRefit = 1.15;           // growth of a level after which its ℓ is fitted again
constexpr double kNoiseLength = 0.5, kNoiseNugget = 0.03;  // ℓ and ν of log noise
constexpr double kScoutsWeight = 20;                       // values that s² as the scout found it counts for
constexpr std::size_t kForecastGrid = 25;    // points along an axis of the grid on which costs are predicted
constexpr std::size_t kMostForecast = 1200;  // evaluations after which a forecast gives up
// Standard deviations of the kriging that hold the true error at 95 % of the points, over samples of images, and the
// largest deviation's that hold the largest error of all for most samples; chosen by measurement (docs/performance.md).
constexpr double kHalfWidth = 2.6, kLargest = 4;
constexpr double kLeastLoss = 1e-12;  // a loss of 0 has no logarithm

double log_loss(const Evaluation& value) { return std::log(std::max(value.loss, kLeastLoss)); }

double accuracy(const Evaluation& value) { return value.accuracy; }

/// k evenly spaced indices of 0 … points - 1, ends included; all where there are fewer.
std::vector<std::size_t> spaced(std::size_t points, std::size_t k) {
  std::vector<std::size_t> indices;
  for (std::size_t i = 0; i < k; ++i) {
    const double at = static_cast<double>(i) * static_cast<double>(points - 1) / static_cast<double>(k - 1);
    const auto index = static_cast<std::size_t>(std::lround(at));
    if (indices.empty() || indices.back() != index) indices.push_back(index);
  }
  return indices;
}

std::vector<std::size_t> lattice(std::size_t nx, std::size_t ny, std::size_t k) {
  std::vector<std::size_t> points;
  for (const std::size_t row : spaced(ny, k)) {
    for (const std::size_t column : spaced(nx, k)) points.push_back(row * nx + column);
  }
  return points;
}

/// The points in the middle of the cells of that lattice.
std::vector<std::size_t> amid_lattice(std::size_t nx, std::size_t ny, std::size_t k) {
  const auto middles = [k](std::size_t points) {
    const auto ends = spaced(points, k);
    std::vector<std::size_t> indices{ends.front()};
    if (ends.size() > 1) indices.clear();
    for (std::size_t i = 1; i < ends.size(); ++i) indices.push_back((ends[i - 1] + ends[i]) / 2);
    return indices;
  };
  std::vector<std::size_t> points;
  for (const std::size_t row : middles(ny)) {
    for (const std::size_t column : middles(nx)) points.push_back(row * nx + column);
  }
  return points;
}

/// Where a level begins.
std::vector<std::size_t> start_of(std::size_t level, std::size_t nx, std::size_t ny, std::size_t pilot) {
  return level == 0 ? lattice(nx, ny, kStart) : amid_lattice(nx, ny, pilot);
}

/// Each axis from -1 to 1.
std::vector<Kriging::Place> places_on(std::size_t nx, std::size_t ny) {
  const auto at = [](std::size_t index, std::size_t points) {
    return points == 1 ? 0.0 : 2.0 * static_cast<double>(index) / static_cast<double>(points - 1) - 1;
  };
  std::vector<Kriging::Place> places;
  for (std::size_t row = 0; row < ny; ++row) {
    for (std::size_t column = 0; column < nx; ++column) places.push_back({at(column, nx), at(row, ny)});
  }
  return places;
}

/// Variances of differences that were divided by what is expected, made those of the differences.
void scale_by_squares(std::vector<double>& variances, const std::vector<double>& noises, double independence) {
  for (std::size_t p = 0; p < variances.size(); ++p) variances[p] *= noises[p] * noises[p] * independence;
}

/// What a choice of the next evaluation looks at.
struct Candidates {
  std::vector<std::vector<double>> variances;  // of each level, at each point; 0 where it is known
  std::vector<std::int64_t> prices;            // of each level: images
  std::vector<std::size_t> known;              // levels known at each point, from the first
  std::vector<bool> is_allowed;
};

struct Choice {
  std::size_t point, level;
  double variance;  // of the point, all levels together: the largest there is
};

/// The point of the largest sum of variances, and the level that takes most of it away for its price. Subsets are
/// nested: one evaluation on the images of level k removes the variances of all levels up to k, for the price of k
/// alone. The largest gain per price first is the cheapest way down if gains add up (the fractional knapsack). It leads
/// to Giles's allocation too: at his optimum the last evaluation of each level lowers the variance by the same amount
/// per price.
std::optional<Choice> choose(const Candidates& from) {
  const std::size_t levels = from.variances.size();
  double largest = 0;
  std::optional<std::size_t> point;
  for (std::size_t p = 0; p < from.known.size(); ++p) {
    if (!from.is_allowed[p] || from.known[p] == levels) continue;
    double sum = 0;
    for (std::size_t k = from.known[p]; k < levels; ++k) sum += from.variances[k][p];
    if (sum <= largest) continue;
    largest = sum;
    point = p;
  }
  if (!point) return std::nullopt;
  Choice best{*point, levels - 1, largest};
  double best_gain = 0, removed = 0;
  for (std::size_t k = from.known[*point]; k < levels; ++k) {
    removed += from.variances[k][*point];
    const double gain = removed / static_cast<double>(from.prices[k]);
    if (gain <= best_gain) continue;
    best_gain = gain;
    best.level = k;
  }
  return best;
}

}  // namespace

std::vector<std::int64_t> ladder_of(std::int64_t images) {
  std::vector<std::int64_t> ladder;
  for (std::int64_t size = kSmallest; size <= images / 2; size *= 2) ladder.push_back(size);
  ladder.push_back(images);
  return ladder;
}

LevelPlan::LevelPlan(Grid grid, const std::vector<Measure>& measures, std::vector<std::int64_t> ladder, LevelGoal goal)
    : grid_(std::move(grid)),
      measures_(measures),
      ladder_(std::move(ladder)),
      goal_(goal),
      places_(places_on(nx(), ny())),
      values_(grid_.size()),
      is_finite_(grid_.size(), true),
      is_pilot_(grid_.size(), false) {
  for (const LevelRequest& request : pilot()) is_pilot_[request.point] = true;
}

std::vector<LevelRequest> LevelPlan::next() {
  if (!is_piloted_) {
    is_piloted_ = true;
    return pilot();
  }
  if (!is_scouted_) {
    is_scouted_ = true;
    if (auto requests = scout(); !requests.empty()) return requests;
  }
  if (levels_.empty()) choose_levels();
  if (!is_started_) {
    is_started_ = true;
    if (auto requests = starts(); !requests.empty()) return requests;
  }
  refine_levels();
  for (const Level& level : levels_) {
    if (!level.is_complete) continue;
    if (auto requests = missing_of(level); !requests.empty()) return requests;
  }
  return where_uncertain();
}

void LevelPlan::add(const LevelRequest& request, std::span<const Evaluation> values) {
  const std::size_t point = request.point;
  values_[point].assign(values.begin(), values.end());
  cost_ += ladder_[request.rung];
  const auto is_finite = [](const Evaluation& value) { return std::isfinite(value.loss); };
  is_finite_[point] = std::all_of(values.begin(), values.end(), is_finite);
  for (std::size_t level = 0; level < levels_.size(); ++level) learn(level, point);
}

double LevelPlan::difference(std::size_t level, std::size_t point, double (*value)(const Evaluation&)) const {
  const auto& values = values_[point];
  const double own = value(values[levels_[level].rung]);
  return level == 0 ? own : own - value(values[levels_[level - 1].rung]);
}

bool LevelPlan::is_evaluated(std::size_t level, std::size_t point) const {
  return is_finite_[point] && values_[point].size() > levels_[level].rung;
}

void LevelPlan::learn(std::size_t level, std::size_t point) {
  Level& to = levels_[level];
  if (to.is_complete || to.kriging.knows(point) || !is_evaluated(level, point)) return;
  if (level > 0 && is_pilot_[point]) return;
  const double own = difference(level, point, log_loss);
  if (level > 0) {
    to.kriging.add(point, own / expected_difference(point, levels_[0].rung, independence(level)));
  } else {
    to.kriging.add(point, own);
    if (!is_pilot_[point]) known_noises_->add(point, log_noise(point, to.rung));
  }
}

/// log σ, σ the standard deviation of log loss from image to image, by the standard error over a subset: to first order
/// that of log loss is loss_se / loss, and loss_se² = σ² loss² (1/n - 1/N) over n of N images.
double LevelPlan::log_noise(std::size_t point, std::size_t rung) const {
  constexpr double kLeastNoise = 1e-9;
  const Evaluation& value = values_[point][rung];
  const double of_one = std::sqrt(independence(rung, ladder_.size() - 1));
  return std::log(std::max(value.loss_se / std::max(value.loss, kLeastLoss) / of_one, kLeastNoise));
}

/// What two subsets are expected to differ by, by the noise on the images of a rung.
double LevelPlan::expected_difference(std::size_t point, std::size_t rung, double independence) const {
  return std::exp(log_noise(point, rung)) * std::sqrt(independence);
}

/// At all points, by the first level: interpolated where it is not evaluated.
void LevelPlan::find_noises() {
  noises_.assign(values_.size(), 0);
  if (levels_.size() == 1) return;  // no differences
  if (known_noises_->size() > 1) noises_ = known_noises_->means();
  for (std::size_t p = 0; p < noises_.size(); ++p) {
    const bool is_known = is_evaluated(0, p) && !is_pilot_[p];
    noises_[p] = std::exp(is_known ? log_noise(p, levels_[0].rung) : noises_[p]);
  }
  if (levels_[0].is_complete) smooth_noises();
}

/// A standard deviation over few images may miss the one that matters; neighbours have others: the mean square of the
/// point's own and of those around it.
void LevelPlan::smooth_noises() {
  const std::vector<double> own = noises_;
  for (std::size_t p = 0; p < own.size(); ++p) {
    double sum = 0;
    int count = 0;
    grid_.for_each_neighbour(p, true, [&](std::size_t q) {
      if (is_pilot_[q] || !is_finite_[q]) return;
      sum += own[q] * own[q];
      ++count;
    });
    if (count > 0) noises_[p] = std::sqrt((own[p] * own[p] + sum / count) / 2);
  }
}

std::size_t LevelPlan::pilot_side() const { return ladder_.back() > kManyImages ? kSmallPilot : kPilot; }

/// A lattice and the centre, on all images.
std::vector<LevelRequest> LevelPlan::pilot() const {
  auto points = lattice(nx(), ny(), pilot_side());
  points.push_back(grid_.centre());
  std::sort(points.begin(), points.end());
  points.erase(std::unique(points.begin(), points.end()), points.end());
  std::vector<LevelRequest> requests;
  for (const std::size_t point : points) requests.push_back({point, ladder_.size() - 1});
  return requests;
}

/// A finer lattice on few images: how rough the surface and the differences are.
std::vector<LevelRequest> LevelPlan::scout() const {
  const std::size_t rung = std::min(kScoutRung, std::max<std::size_t>(ladder_.size(), 2) - 2);
  std::vector<LevelRequest> requests;
  for (const std::size_t point : lattice(nx(), ny(), kScout)) {
    if (!values_[point].empty()) continue;
    if (!is_affordable(ladder_[rung], requests)) break;
    requests.push_back({point, rung});
  }
  return requests;
}

std::int64_t LevelPlan::pilot_cost() const { return static_cast<std::int64_t>(pilot().size()) * ladder_.back(); }

std::vector<LevelRequest> LevelPlan::starts() const {
  std::vector<LevelRequest> requests;
  for (std::size_t level = levels_.size() - 1; level-- > 0;) {
    const std::size_t rung = levels_[level].rung;
    for (const std::size_t point : start_of(level, nx(), ny(), pilot_side())) {
      const auto is_asked = [&](const LevelRequest& request) { return request.point == point; };
      if (values_[point].size() > rung || std::any_of(requests.begin(), requests.end(), is_asked)) continue;
      if (!is_affordable(ladder_[rung], requests)) break;
      requests.push_back({point, rung});
    }
  }
  return requests;
}

std::vector<std::vector<std::size_t>> LevelPlan::candidates() const {
  const std::size_t top = ladder_.size() - 1;
  std::vector<std::vector<std::size_t>> sets{{top}};
  for (std::size_t first = 0; first < top; ++first) {
    // The ladder is geometric except for its last step: evenly spaced rungs are evenly spaced in log images.
    for (const std::size_t steps : {1, 2, 3}) {
      std::vector<std::size_t> rungs;
      for (std::size_t step = 0; step <= steps; ++step) {
        const std::size_t rung = first + ((top - first) * step + steps / 2) / steps;
        if (rungs.empty() || rungs.back() != rung) rungs.push_back(rung);
      }
      if (std::find(sets.begin(), sets.end(), rungs) == sets.end()) sets.push_back(rungs);
    }
  }
  return sets;
}

/// Points that pilot and scout left, with finite losses.
std::vector<std::size_t> LevelPlan::first_points() const {
  std::vector<std::size_t> points;
  for (std::size_t p = 0; p < values_.size(); ++p) {
    if (!values_[p].empty() && is_finite_[p]) points.push_back(p);
  }
  return points;
}

/// Their values of a rung; or the differences from a rung below, over what is expected. They are the places `first`,
/// first + 1, …
void LevelPlan::add_first(Kriging& level, std::size_t first, std::size_t rung, std::optional<std::size_t> below) const {
  for (const std::size_t point : first_points()) {
    const std::size_t place = first++;
    const auto& values = values_[point];
    if (values.size() <= rung || (below && is_pilot_[point])) continue;
    const double loss = log_loss(values[rung]);
    if (below) {
      level.add(place,
                (loss - log_loss(values[*below])) / expected_difference(point, *below, independence(*below, rung)));
    } else {
      level.add(place, loss);
    }
  }
}

/// log noise at the first points but the pilot's, on the images of a rung, or of the scout's where that is smaller;
/// they are the places `first`, first + 1, …
Kriging LevelPlan::first_noises(const std::vector<Kriging::Place>& places, std::size_t first, std::size_t rung) const {
  Kriging noises(places);
  noises.assume_smoothness(kNoiseLength, kNoiseNugget);
  for (const std::size_t point : first_points()) {
    const std::size_t place = first++;
    if (!is_pilot_[point]) noises.add(place, log_noise(point, std::min(rung, values_[point].size() - 1)));
  }
  return noises;
}

/// The variance of the difference between the means over two nested subsets, over that of single images: 1/n - 1/m. The
/// smaller subset is a random part of the larger, so that Cov(mean n, mean m) = Var(mean m), and Var(mean n - mean m) =
/// Var(mean n) - Var(mean m).
double LevelPlan::independence(std::size_t below, std::size_t rung) const {
  return 1 / static_cast<double>(ladder_[below]) - 1 / static_cast<double>(ladder_[rung]);
}

/// By all steps of the ladder that the scout took together: they all come from the same losses of single images, and
/// are equally smooth.
LevelPlan::Differences LevelPlan::measure_differences() const {
  std::vector<Kriging::Place> places;
  for (const std::size_t p : first_points()) places.push_back(places_[p]);
  std::vector<Kriging> steps(ladder_.size() - 1, Kriging(places, Kriging::Prior::standard));
  std::vector<Kriging*> together;
  for (std::size_t k = 0; k < steps.size(); ++k) {
    add_first(steps[k], 0, k + 1, k);
    together.push_back(&steps[k]);
  }
  if (steps.empty()) return {};
  Kriging::fit(together);
  double sum = kScoutsWeight, values = kScoutsWeight;  // s² = 1, with the weight of so many values
  for (const Kriging& step : steps) {
    sum += step.squares();
    values += static_cast<double>(step.size());
  }
  return {sum / values, steps[0].length(), steps[0].nugget()};
}

/// What a set of rungs would cost, by the variances and lengths that the pilot shows: the choices to come are played
/// through on a coarse grid.
LevelForecast LevelPlan::play(const std::vector<std::size_t>& rungs) const {
  auto places = places_on(kForecastGrid, kForecastGrid);
  const std::size_t count = places.size();
  for (const std::size_t p : first_points()) places.push_back(places_[p]);
  std::vector<Kriging> levels;
  Candidates candidates{{}, {}, std::vector<std::size_t>(count, 0), std::vector<bool>(count, true)};
  std::vector<double> noises(places.size(), 0);
  if (const Kriging known = first_noises(places, count, rungs[0]); known.size() > 1) noises = known.means();
  for (double& noise : noises) noise = std::exp(noise);
  for (std::size_t k = 0; k < rungs.size(); ++k) {
    Kriging& level = levels.emplace_back(places, k == 0 ? Kriging::Prior::none : Kriging::Prior::standard);
    add_first(level, count, rungs[k], k == 0 ? std::nullopt : std::optional(rungs[k - 1]));
    if (k == 0) {
      level.fit();
      level.localize();
    } else {  // there are too few values to tell how large and smooth one difference is
      level.assume_scale(differences_.scale);
      level.assume_smoothness(differences_.length, differences_.nugget);
    }
    candidates.prices.push_back(ladder_[rungs[k]]);
    candidates.variances.emplace_back();
  }
  LevelForecast forecast{cost_, 0};
  std::vector<std::int64_t> spent(rungs.size(), 0);
  const auto evaluate = [&](std::size_t point, std::size_t level) {
    for (std::size_t k = candidates.known[point]; k <= level; ++k) levels[k].imagine(point);
    candidates.known[point] = std::max(candidates.known[point], level + 1);
    forecast.cost += candidates.prices[level];
    spent[level] += candidates.prices[level];
  };
  for (std::size_t k = rungs.size() - 1; k-- > 0;) {
    for (const std::size_t point : start_of(k, kForecastGrid, kForecastGrid, pilot_side())) {
      const bool is_affordable = goal_.budget == 0 || forecast.cost + candidates.prices[k] <= goal_.budget;
      if (candidates.known[point] <= k && is_affordable) evaluate(point, k);
    }
  }
  for (std::size_t step = 0; step < kMostForecast; ++step) {
    for (std::size_t k = 0; k < rungs.size(); ++k) {
      candidates.variances[k] = levels[k].variances();
      if (k > 0) scale_by_squares(candidates.variances[k], noises, independence(rungs[k - 1], rungs[k]));
    }
    const auto choice = choose(candidates);
    forecast.error = choice ? kLargest * std::sqrt(choice->variance) / range() : 0;
    if (forecast.error <= goal_.tolerance || !choice) break;
    if (goal_.budget > 0 && forecast.cost + candidates.prices[choice->level] > goal_.budget) break;
    evaluate(choice->point, choice->level);
  }
  // The grid itself may have more points: a level that is too rough is needed at all of them.
  const auto more = static_cast<double>(values_.size()) / static_cast<double>(count);
  for (std::size_t k = 0; k < rungs.size() && more > 1; ++k) {
    const auto needed =
        std::count_if(candidates.known.begin(), candidates.known.end(), [&](std::size_t n) { return n > k; });
    if (static_cast<double>(needed) * more <= static_cast<double>(kMostKriged)) continue;
    forecast.cost += static_cast<std::int64_t>(static_cast<double>(spent[k]) * (more - 1));
  }
  if (goal_.budget > 0) forecast.cost = std::min(forecast.cost, goal_.budget);
  return forecast;
}

void LevelPlan::choose_levels() {
  std::vector<std::size_t> chosen{ladder_.size() - 1};
  const auto is_pilot = [&](std::size_t p) { return values_[p].size() == ladder_.size(); };
  const auto points = first_points();
  const auto pilots = static_cast<std::size_t>(std::count_if(points.begin(), points.end(), is_pilot));
  const bool is_hopeless = pilots < kFewestPilots || range() == 0;
  if (!is_hopeless) {
    differences_ = measure_differences();
    for (const auto& rungs : candidates()) {
      const LevelForecast found = play(rungs);
      if (forecast_ && !is_better(found, *forecast_)) continue;
      forecast_ = found;
      chosen = rungs;
    }
  }
  for (const std::size_t rung : chosen) {
    levels_.push_back({rung, Kriging(places_, levels_.empty() ? Kriging::Prior::none : Kriging::Prior::standard)});
  }
  known_noises_.emplace(places_);
  known_noises_->assume_smoothness(kNoiseLength, kNoiseNugget);
  for (std::size_t level = 0; level < levels_.size(); ++level) {
    levels_[level].is_complete = is_hopeless;
    for (std::size_t p = 0; p < values_.size(); ++p) learn(level, p);
  }
  find_noises();
}

/// Those that reach the tolerance, by their cost; before all others, by their error.
bool LevelPlan::is_better(const LevelForecast& a, const LevelForecast& b) const {
  const bool a_reaches = a.error <= goal_.tolerance, b_reaches = b.error <= goal_.tolerance;
  if (a_reaches != b_reaches) return a_reaches;
  return a_reaches ? a.cost < b.cost : a.error < b.error;
}

/// Some losses are not finite.
bool LevelPlan::is_broken() const { return std::find(is_finite_.begin(), is_finite_.end(), false) != is_finite_.end(); }

/// Whether so many points are needed that the others may hide something between them, and are cheap beside what was
/// spent.
bool LevelPlan::is_rough(const Level& level) const {
  const std::size_t known = level.kriging.size(), points = values_.size();
  if (known > kMostKriged) return true;
  const auto rest = static_cast<std::int64_t>(points - known) * ladder_[level.rung];
  return known > std::max(points / kManyPoints, 2 * kStart * kStart) && rest <= cost_ && is_affordable(rest, {});
}

/// Decides lengths again where enough was learnt, one for all differences, and which levels are too rough to be
/// interpolated.
void LevelPlan::refine_levels() {
  std::vector<Kriging*> differences;
  bool has_grown = false;
  for (std::size_t k = levels_.size(); k-- > 0;) {
    Level& level = levels_[k];
    const bool is_above_complete = k + 1 < levels_.size() && levels_[k + 1].is_complete;
    if (is_above_complete || is_rough(level) || (k == 0 && is_broken())) level.is_complete = true;
    if (level.is_complete) continue;
    const bool has_news = static_cast<double>(level.kriging.size()) >= kRefit * static_cast<double>(level.fitted);
    if (k == 0 && has_news) level.kriging.fit();
    if (k > 0) differences.push_back(&level.kriging);
    if (k > 0 && has_news) has_grown = true;
    if (has_news) level.fitted = level.kriging.size();
  }
  if (has_grown) Kriging::fit(differences);
  share_scale();
  for (Level& level : levels_) {
    if (!level.is_complete) level.kriging.localize();
  }
  find_noises();
}

/// One s² for all differences: those known at few points, the last ones, would not tell it.
void LevelPlan::share_scale() {
  double sum = kScoutsWeight * differences_.scale, values = kScoutsWeight;
  for (std::size_t k = 1; k < levels_.size(); ++k) {
    if (levels_[k].is_complete) continue;
    sum += levels_[k].kriging.squares();
    values += static_cast<double>(levels_[k].kriging.size());
  }
  for (std::size_t k = 1; k < levels_.size(); ++k) levels_[k].kriging.assume_scale(sum / values);
}

std::vector<LevelRequest> LevelPlan::missing_of(const Level& level) const {
  std::vector<LevelRequest> requests;
  for (std::size_t p = 0; p < values_.size() && requests.size() < kBatchToComplete; ++p) {
    if (values_[p].size() > level.rung || !is_affordable(ladder_[level.rung], requests)) continue;
    requests.push_back({p, level.rung});
  }
  return requests;
}

bool LevelPlan::is_affordable(std::int64_t price, const std::vector<LevelRequest>& besides) const {
  std::int64_t sum = cost_ + price;
  for (const LevelRequest& request : besides) sum += ladder_[request.rung];
  return goal_.budget == 0 || sum <= goal_.budget;
}

std::vector<LevelRequest> LevelPlan::where_uncertain() {
  std::vector<LevelRequest> requests;
  const auto so_far = error();
  if (!so_far || *so_far <= goal_.tolerance) return requests;
  // The error is a multiple of the standard deviation: the tolerance is reached where the variance is share² of the
  // largest.
  const double share = goal_.tolerance / *so_far;
  double enough = 0;  // the variance that asks for nothing more
  Candidates from{{}, {}, std::vector<std::size_t>(values_.size(), 0), is_finite_};
  for (std::size_t k = 0; k < levels_.size(); ++k) {
    from.variances.push_back(variances_of(k));
    from.prices.push_back(ladder_[levels_[k].rung]);
    for (std::size_t p = 0; p < values_.size(); ++p) from.known[p] += values_[p].size() > levels_[k].rung ? 1 : 0;
  }
  while (requests.size() < kLevelBatch) {
    const auto choice = choose(from);
    if (requests.empty() && choice) enough = choice->variance * share * share;
    if (!choice || choice->variance <= enough) break;
    // A point that was just asked for on fewer images: those are among the new ones.
    auto others = requests;
    std::erase_if(others, [&](const LevelRequest& request) { return request.point == choice->point; });
    if (!is_affordable(from.prices[choice->level], others)) break;
    requests = std::move(others);
    requests.push_back({choice->point, levels_[choice->level].rung});
    for (std::size_t k = from.known[choice->point]; k <= choice->level; ++k) {
      if (levels_[k].is_complete) continue;
      levels_[k].kriging.imagine(choice->point);
      from.variances[k] = variances_of(k);
    }
    from.known[choice->point] = choice->level + 1;
  }
  for (Level& level : levels_) level.kriging.forget();
  return requests;
}

/// Of log loss; 0 where the level is evaluated, or to be.
std::vector<double> LevelPlan::variances_of(std::size_t level) const {
  if (levels_[level].is_complete) return std::vector<double>(values_.size(), 0);
  auto variances = levels_[level].kriging.variances();
  if (level > 0) scale_by_squares(variances, noises_, independence(level));
  for (std::size_t p = 0; p < variances.size(); ++p) {
    if (is_evaluated(level, p)) variances[p] = 0;
  }
  return variances;
}

std::vector<double> LevelPlan::means_of(std::size_t level) const {
  const Kriging& kriging = levels_[level].kriging;
  const double unknown = level == 0 ? std::nan("") : 0;
  auto means = kriging.size() < 2 ? std::vector<double>(values_.size(), unknown) : kriging.means();
  const double root = level == 0 ? 1 : std::sqrt(independence(level));
  for (std::size_t p = 0; p < means.size(); ++p) {
    if (is_evaluated(level, p)) {
      means[p] = difference(level, p, log_loss);
    } else if (level > 0) {
      means[p] *= noises_[p] * root;
    }
  }
  return means;
}

/// Of log loss.
LevelPlan::Estimate LevelPlan::sum_of_levels() const {
  Estimate sum{std::vector<double>(values_.size(), 0), std::vector<double>(values_.size(), 0)};
  for (std::size_t k = 0; k < levels_.size(); ++k) {
    const auto means = means_of(k), variances = variances_of(k);
    for (std::size_t p = 0; p < values_.size(); ++p) {
      sum.means[p] += means[p];
      sum.variances[p] += variances[p];
    }
  }
  return sum;
}

/// Interpolated level by level like log loss, as smooth as that; subsets are not balanced by them, so that the pilot's
/// count too.
LevelPlan::Estimate LevelPlan::accuracies() const {
  Estimate sum{std::vector<double>(values_.size(), 0), std::vector<double>(values_.size(), 0)};
  for (std::size_t k = 0; k < levels_.size(); ++k) {
    const Level& level = levels_[k];
    Kriging kriging(places_);
    kriging.assume_smoothness(level.kriging.length(), level.kriging.nugget());
    for (std::size_t p = 0; p < values_.size() && !level.is_complete; ++p) {
      if (is_evaluated(k, p)) kriging.add(p, difference(k, p, accuracy));
    }
    const bool tells = kriging.size() > 1;
    const auto means = tells ? kriging.means() : std::vector<double>(values_.size(), std::nan(""));
    const auto variances = tells ? kriging.variances() : means;
    for (std::size_t p = 0; p < values_.size(); ++p) {
      const bool is_known = is_evaluated(k, p);
      sum.means[p] += is_known ? difference(k, p, accuracy) : means[p];
      sum.variances[p] += is_known ? 0 : variances[p];
    }
  }
  return sum;
}

/// Of log loss, by what was evaluated on all images.
double LevelPlan::range() const {
  double low = std::numeric_limits<double>::infinity(), high = -low;
  for (std::size_t p = 0; p < values_.size(); ++p) {
    if (values_[p].size() < ladder_.size() || !is_finite_[p]) continue;
    low = std::min(low, log_loss(values_[p].back()));
    high = std::max(high, log_loss(values_[p].back()));
  }
  return high > low ? high - low : 0;
}

std::vector<std::int64_t> LevelPlan::sizes() const {
  std::vector<std::int64_t> sizes;
  for (const Level& level : levels_) sizes.push_back(ladder_[level.rung]);
  return sizes;
}

std::optional<double> LevelPlan::error() const {
  if (levels_.empty()) return std::nullopt;
  const auto [means, variances] = sum_of_levels();
  double largest = 0, low = std::numeric_limits<double>::infinity(), high = -low;
  for (std::size_t p = 0; p < means.size(); ++p) {
    if (!is_finite_[p] || std::isnan(means[p])) continue;
    largest = std::max(largest, variances[p]);
    low = std::min(low, means[p]);
    high = std::max(high, means[p]);
  }
  return high > low ? kLargest * std::sqrt(largest) / (high - low) : 0;
}

Surface LevelPlan::reconstruct() const {
  auto measures = measures_;
  const Measure& loss_measure = measures_[0];
  measures.push_back(measure_of(error_name(*loss_measure.split), loss_measure.unit));
  Surface surface(grid_, measures);
  const bool is_known = is_started_ && !levels_.empty();
  const auto [losses, variances] = is_known ? sum_of_levels() : Estimate{};
  // Where some losses are not finite, those of other points cannot be told from their neighbours.
  const bool needs_own_values = is_broken();
  const bool has_accuracy = std::any_of(measures_.begin(), measures_.end(),
                                        [](const Measure& measure) { return measure.kind == "accuracy"; });
  const auto [percents, percent_variances] = is_known && has_accuracy ? accuracies() : Estimate{};
  for (std::size_t p = 0; p < values_.size(); ++p) {
    if (values_[p].size() == ladder_.size() || !is_finite_[p]) {
      Evaluation value = values_[p].back();
      value.more = {{"loss_error", is_finite_[p] ? 0 : std::numeric_limits<double>::quiet_NaN()}};
      surface.set(p, value);
    } else if (is_known && !std::isnan(losses[p]) && !(needs_own_values && values_[p].empty())) {
      // To first order the loss has the error of its logarithm times the loss. The interval is that of the logarithm,
      // loss · exp(±w); its upper half is the wider one.
      const double loss = std::exp(losses[p]), error = std::sqrt(variances[p]);
      const std::int64_t images = values_[p].empty() ? 0 : ladder_[values_[p].size() - 1];
      Evaluation value{.loss = loss,
                       .loss_se = loss * error,
                       .images = images,
                       .more = {{"loss_error", loss * std::expm1(kHalfWidth * error)}}};
      if (has_accuracy) value.set("accuracy", std::clamp(percents[p], 0.0, 100.0), std::sqrt(percent_variances[p]));
      surface.set(p, value);
      surface.state[p] = PointState::reconstructed;
    }
  }
  return surface;
}

}  // namespace lossatlas
