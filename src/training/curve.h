#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "models/state.h"
#include "training/training_loop.h"

namespace lossatlas {

enum class CurveShape {
  bezier,   // c_k(t) = C(n, k) t^k (1 - t)^(n - k), n = bends + 1
  polygon,  // straight from one point to the next, each piece over an equal part of t
};

std::string_view name_of(CurveShape shape);
/// Throws UsageError for a name that is not "bezier" or "polygon".
CurveShape curve_shape_of(const std::string& name);

/// A curve θ(t) = Σ c_k(t) P_k, t in 0 … 1, through parameter space: from P_0 = θ(0) to the last point = θ(1); those
/// between, its bends, draw it their way (Garipov et al. 2018, section 3).
struct Curve {
  CurveShape shape = CurveShape::bezier;
  /// Two or more, each with the names and shapes of a network's parameters.
  std::vector<std::vector<NamedTensor>> points;

  std::size_t bends() const { return points.size() - 2; }
};

/// c_0(t), …: one for each of `points` points, each in 0 … 1, their sum 1.
std::vector<double> coefficients(CurveShape shape, std::size_t points, double t);

/// The bends evenly on the straight line, which is then what the curve is.
Curve straight_curve(CurveShape shape, const std::vector<NamedTensor>& from, const std::vector<NamedTensor>& to,
                     std::size_t bends);

/// ∫ ‖θ'(t)‖ dt in double; for a polygon exact, for a Bezier curve to a millionth.
double length(const Curve& curve);

/// The learning rate when this part (0 … 1) of the training is done: `top` over the first half, then falling in a
/// straight line to a hundredth at 90 %, where it stays (as in Garipov et al.'s code).
double curve_learning_rate(double top, double done);

struct CurveOptions {
  std::int64_t epochs = 30;
  std::uint64_t seed = 0;  // of the points of the curve
  double learning_rate = 0.015;
  double momentum = 0.9;
  double weight_decay = 5e-4;  // λ: λ/2 ‖θ(t)‖² is added to the loss
  int threads = 1;             // inside operators; with 1 a run gives the same bits each time
};

/// Trains the bends of a curve; its ends stay. At each minibatch t is drawn from U[0, 1), and with g the gradient of
/// the loss at θ(t) (batch norm in training mode) and λ θ(t), bend k takes an SGD step along c_k(t) g. A run that is
/// interrupted and resumed ends in the same bits as one that was not, given one thread.
class CurveRun {
 public:
  /// `make_trainee`: called once the number of threads is set. `state`: the file from which an interrupted run resumes,
  /// written after each epoch and at an interrupt. `settings`: all that decides the run.
  CurveRun(const CurveOptions& options, const Curve& start,
           const std::function<std::unique_ptr<Trainee>()>& make_trainee, std::filesystem::path state,
           nlohmann::json settings);
  ~CurveRun();

  /// Continues from the file. Throws Error if it is of other settings (named), or damaged. False if the file holds no
  /// digest of its data (data_digest.h), so that they could not be compared.
  bool resume();
  /// Trains to the last epoch (true), or until stopped (false).
  bool run(const TrainingHooks& hooks);

  /// As it is now, on the CPU.
  Curve curve() const;
  /// A row for each finished epoch: training values are means over the minibatches, each at its own t; test values NaN.
  const std::vector<HistoryRow>& history() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lossatlas
