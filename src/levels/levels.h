#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "levels/kriging.h"
#include "surface/surface.h"

namespace lossatlas {

/// Numbers of images that a point may be evaluated on, ascending: 64, 128, … up to half of all, and all. Subsets are
/// nested, so that one evaluation on many images gives the values on fewer.
std::vector<std::int64_t> ladder_of(std::int64_t images);

/// When a surface is good enough.
struct LevelGoal {
  double tolerance = 0;     // largest error of log loss over its range; 0: as good as the budget allows
  std::int64_t budget = 0;  // image evaluations; 0: as many as the tolerance takes
};

/// What pilot and scout predict.
struct LevelForecast {
  std::int64_t cost = 0;  // image evaluations, those of the pilot included
  double error = 0;       // of log loss over its range, the largest expected
};

/// A point to be evaluated on the first ladder[0], …, ladder[rung] images.
struct LevelRequest {
  std::size_t point = 0;
  std::size_t rung = 0;
};

/// Points between two looks at the whole, once the plan chooses single ones: so many can be evaluated at a time.
inline constexpr std::size_t kLevelBatch = 16;

/// A surface of two axes on all images from few evaluations, level by level (multilevel Monte Carlo with control
/// variates; Giles 2015, "Multilevel Monte Carlo methods", Acta Numerica 24). The log loss on all images is the log
/// loss on a small subset, plus the difference that a larger subset makes, plus that of all images. Each of these is a
/// smooth function of the plane, the later the smaller: it is known at some points and interpolated by kriging, whose
/// variances add up. A difference of two subsets is interpolated over what it is expected to be: the noise at the
/// point, the standard deviation of log loss from image to image, times √(1/n - 1/m). So it is of size 1 on any surface
/// and any level. The next evaluation goes where the sum is largest, on as many images as lower it most for their
/// price. Where the surface is too rough to be interpolated, its smallest subset is evaluated at every point.
///
/// The pilot, 5x5 points (4x4 if there are more than 20,000 images) and the centre on all images, and the scout,
/// 11x11 points on few, decide which subsets are used: those with the least forecast. Subsets may be balanced
/// (balance.h) by what the pilot says of each image: at its points they then show nothing of how subsets differ, and
/// are left out there. All choices depend only on the values, so the same values give the same requests and the same
/// bits.
class LevelPlan {
 public:
  /// `grid`: of two axes. `measures`: of the surface, the loss and perhaps the accuracy. `ladder`: from ladder_of.
  LevelPlan(Grid grid, const std::vector<Measure>& measures, std::vector<std::int64_t> ladder, LevelGoal goal);

  /// What to evaluate next, all of it before the next call; nothing if the goal is reached. First the pilot.
  std::vector<LevelRequest> next();
  /// The values of a request: on ladder[0], …, ladder[rung] images.
  void add(const LevelRequest& request, std::span<const Evaluation> values);

  /// Image evaluations of the pilot.
  std::int64_t pilot_cost() const;
  /// Image evaluations so far.
  std::int64_t cost() const { return cost_; }
  /// Nothing before the pilot's end, and if it shows nothing.
  const std::optional<LevelForecast>& forecast() const { return forecast_; }
  /// The images of the subsets in use.
  std::vector<std::int64_t> sizes() const;
  /// The largest error expected at any point so far, over the range of log loss. Nothing before the pilot's end.
  std::optional<double> error() const;

  /// What the levels add up to at all points, with the half-widths of 95 % intervals as one more measure (in the
  /// loss's unit; 0 where all images were evaluated). Before the pilot's end: only points evaluated on all images.
  Surface reconstruct() const;

 private:
  struct Level {
    std::size_t rung;
    Kriging kriging;  // of log loss; of a later level: of its difference from the one before, over what is expected
    std::size_t fitted = 0;    // values known when ℓ was last decided
    bool is_complete = false;  // to be evaluated at every point, and not interpolated
  };

  /// What all differences between subsets have in common: s², ℓ and ν.
  struct Differences {
    double scale = 1, length = 1, nugget = 0;
  };

  void learn(std::size_t level, std::size_t point);
  double log_noise(std::size_t point, std::size_t rung) const;
  double expected_difference(std::size_t point, std::size_t rung, double independence) const;
  void find_noises();
  void smooth_noises();
  /// From the level before; of the first, the value itself.
  double difference(std::size_t level, std::size_t point, double (*value)(const Evaluation&)) const;
  std::vector<std::vector<std::size_t>> candidates() const;
  std::vector<std::size_t> first_points() const;
  void add_first(Kriging& level, std::size_t first, std::size_t rung, std::optional<std::size_t> below) const;
  Kriging first_noises(const std::vector<Kriging::Place>& places, std::size_t first, std::size_t rung) const;
  double independence(std::size_t below, std::size_t rung) const;
  double independence(std::size_t level) const { return independence(levels_[level - 1].rung, levels_[level].rung); }
  Differences measure_differences() const;
  LevelForecast play(const std::vector<std::size_t>& rungs) const;
  bool is_better(const LevelForecast& a, const LevelForecast& b) const;
  void choose_levels();
  bool is_rough(const Level& level) const;
  void refine_levels();
  void share_scale();
  std::size_t pilot_side() const;
  std::vector<LevelRequest> pilot() const;
  std::vector<LevelRequest> scout() const;
  std::vector<LevelRequest> starts() const;
  std::vector<LevelRequest> missing_of(const Level& level) const;
  std::vector<LevelRequest> where_uncertain();
  bool is_affordable(std::int64_t price, const std::vector<LevelRequest>& besides) const;
  struct Estimate {
    std::vector<double> means, variances;  // at each point
  };
  bool is_evaluated(std::size_t level, std::size_t point) const;
  std::vector<double> variances_of(std::size_t level) const;
  std::vector<double> means_of(std::size_t level) const;
  Estimate sum_of_levels() const;
  Estimate accuracies() const;
  double range() const;
  bool is_broken() const;

  std::size_t nx() const { return grid_.axes[0].points; }
  std::size_t ny() const { return grid_.axes[1].points; }

  Grid grid_;
  std::vector<Measure> measures_;
  std::vector<std::int64_t> ladder_;
  LevelGoal goal_;
  std::vector<Kriging::Place> places_;
  std::vector<std::vector<Evaluation>> values_;  // of each point, by rung
  std::vector<bool> is_finite_;                  // false if a value was not
  std::vector<bool> is_pilot_;
  std::vector<Level> levels_;
  std::optional<Kriging> known_noises_;  // log noise, where the first level is evaluated
  std::vector<double> noises_;           // at each point
  bool is_piloted_ = false, is_scouted_ = false, is_started_ = false;
  Differences differences_;
  std::int64_t cost_ = 0;
  std::optional<LevelForecast> forecast_;
};

}  // namespace lossatlas
