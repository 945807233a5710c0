#include "training/curve.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "base/names.h"
#include "base/philox.h"
#include "checkpoint/checkpoint.h"
#include "data/data_digest.h"
#include "training/optimizer.h"

namespace lossatlas {
namespace {

using nlohmann::json;

constexpr NameTable<CurveShape, 2> kShapeNames{{{CurveShape::bezier, "bezier"}, {CurveShape::polygon, "polygon"}}};
constexpr std::array kTrainingColumns{&HistoryRow::learning_rate, &HistoryRow::train_loss, &HistoryRow::train_acc,
                                      &HistoryRow::seconds};

double inner_product(const std::vector<NamedTensor>& a, const std::vector<NamedTensor>& b) {
  double sum = 0;
  for (std::size_t p = 0; p < a.size(); ++p) sum += (a[p].tensor * b[p].tensor).sum().item<double>();
  return sum;
}

/// Products of P_i - P_0 and P_j - P_0 for all points of the curve, [points][points].
std::vector<std::vector<double>> gram_matrix(const Curve& curve) {
  std::vector<std::vector<NamedTensor>> differences;
  for (const auto& point : curve.points) {
    auto& difference = differences.emplace_back();
    for (std::size_t p = 0; p < point.size(); ++p) {
      difference.push_back({point[p].name, point[p].tensor.to(at::kDouble) - curve.points[0][p].tensor});
    }
  }
  std::vector products(differences.size(), std::vector<double>(differences.size()));
  for (std::size_t i = 0; i < differences.size(); ++i) {
    for (std::size_t j = 0; j <= i; ++j)
      products[i][j] = products[j][i] = inner_product(differences[i], differences[j]);
  }
  return products;
}

json json_of(const std::vector<HistoryRow>& rows) {
  json list = json::array();
  for (const HistoryRow& row : rows) {
    json values = json::array();
    for (const auto column : kTrainingColumns) values.push_back(row.*column);
    list.push_back(values);
  }
  return list;
}

std::vector<HistoryRow> rows_of(const json& list) {
  std::vector<HistoryRow> rows;
  for (const json& values : list) {
    HistoryRow row;
    row.epoch = static_cast<std::int64_t>(rows.size()) + 1;
    row.test_loss = row.test_acc = std::numeric_limits<double>::quiet_NaN();
    for (std::size_t c = 0; c < kTrainingColumns.size(); ++c) {
      row.*kTrainingColumns[c] = values.at(c).is_null() ? std::nan("") : values.at(c).get<double>();
    }
    rows.push_back(row);
  }
  return rows;
}

}  // namespace

std::string_view name_of(CurveShape shape) { return kShapeNames.name_of(shape); }

CurveShape curve_shape_of(const std::string& name) { return kShapeNames.parse("`shape`", name); }

std::vector<double> coefficients(CurveShape shape, std::size_t points, double t) {
  const std::size_t n = points - 1;
  std::vector<double> c(points);
  double binomial = 1;
  for (std::size_t k = 0; k <= n; ++k) {
    if (shape == CurveShape::polygon) {
      c[k] = std::max(0.0, 1 - std::abs(static_cast<double>(n) * t - static_cast<double>(k)));
    } else {
      c[k] = binomial * std::pow(t, k) * std::pow(1 - t, n - k);
      binomial = binomial * static_cast<double>(n - k) / static_cast<double>(k + 1);  // a whole number at each step
    }
  }
  return c;
}

Curve straight_curve(CurveShape shape, const std::vector<NamedTensor>& from, const std::vector<NamedTensor>& to,
                     std::size_t bends) {
  Curve curve{shape, {from}};
  for (std::size_t k = 1; k <= bends; ++k) {
    const double t = static_cast<double>(k) / static_cast<double>(bends + 1);
    auto& bend = curve.points.emplace_back();
    for (std::size_t p = 0; p < from.size(); ++p) {
      const auto a = from[p].tensor.to(at::kDouble), b = to[p].tensor.to(at::kDouble);
      bend.push_back({from[p].name, (a + t * (b - a)).to(at::kFloat)});
    }
  }
  curve.points.push_back(to);
  return curve;
}

double length(const Curve& curve) {
  const auto products = gram_matrix(curve);
  const std::size_t count = curve.points.size();
  const std::size_t chords = 1024 * (count - 1);  // those of a polygon end at its corners
  double sum = 0;
  auto before = coefficients(curve.shape, count, 0);
  for (std::size_t i = 1; i <= chords; ++i) {
    const auto now = coefficients(curve.shape, count, static_cast<double>(i) / static_cast<double>(chords));
    double square = 0;
    for (std::size_t a = 0; a < count; ++a) {
      for (std::size_t b = 0; b < count; ++b) square += (now[a] - before[a]) * (now[b] - before[b]) * products[a][b];
    }
    sum += std::sqrt(std::max(0.0, square));
    before = now;
  }
  return sum;
}

double curve_learning_rate(double top, double done) {
  return top * std::clamp(1 - 0.99 * (done - 0.5) / 0.4, 0.01, 1.0);
}

struct CurveRun::Impl {
  CurveOptions options;
  std::filesystem::path file;
  json settings;
  Curve curve;                     // on the device, in the loop's layout
  std::vector<NamedTensor> point;  // the trainee's own parameters: θ(t)
  std::vector<NamedTensor> bends;  // of all bends, one after the other: "bend-1.conv1.weight"
  std::vector<double> c;           // c_k(t) of the step under way
  std::optional<TrainingLoop> loop;
  std::unique_ptr<Optimizer> optimizer;
  std::vector<HistoryRow> rows;

  Impl(const CurveOptions& given, const Curve& start, const std::function<std::unique_ptr<Trainee>()>& make_trainee,
       std::filesystem::path state, json all_settings)
      : options(given), file(std::move(state)), settings(std::move(all_settings)), curve{start.shape, {}} {
    at::set_num_threads(options.threads);
    loop.emplace(
        options.epochs, make_trainee(),
        TrainingLoop::Step{[this] { return learning_rate(); },
                           [this](double rate, const MinibatchShare&) { descend(rate); }, [this] { prepare(); }});
    point = loop->trainee().parameters();
    for (const auto& given_point : start.points) {
      auto& own = curve.points.emplace_back();
      for (const auto& [name, tensor] : given_point) {
        const at::Tensor copy = tensor.to(point.front().tensor.device(), at::kFloat, false, true);
        own.push_back({name, in_layout(copy, loop->trainee().layout())});
      }
    }
    for (std::size_t k = 1; k <= curve.bends(); ++k) {
      for (const auto& [name, tensor] : curve.points[k]) {
        tensor.mutable_grad() = at::zeros_like(tensor);
        bends.push_back({fmt::format("bend-{}.{}", k, name), tensor});
      }
    }
    optimizer = make_optimizer({"sgd", options.momentum}, bends);
  }

  double learning_rate() const {
    const double steps = static_cast<double>(loop->steps()), done = static_cast<double>(loop->step()) / steps;
    const double epochs = static_cast<double>(options.epochs);
    return curve_learning_rate(options.learning_rate, (static_cast<double>(loop->epoch()) + done) / epochs);
  }

  /// Puts θ(t) into the network, for the t of this step.
  void prepare() {
    const at::NoGradGuard no_gradients;
    const auto number = static_cast<std::uint64_t>(loop->epoch()) << 32 | static_cast<std::uint64_t>(loop->step());
    const double t = RandomStream(options.seed, Purpose::curve, number).uniform();
    c = coefficients(curve.shape, curve.points.size(), t);
    for (std::size_t p = 0; p < point.size(); ++p) {
      point[p].tensor.copy_(curve.points[0][p].tensor).mul_(c[0]);
      for (std::size_t k = 1; k < c.size(); ++k) point[p].tensor.add_(curve.points[k][p].tensor, c[k]);
    }
  }

  void descend(double rate) {
    const at::NoGradGuard no_gradients;
    for (std::size_t p = 0; p < point.size(); ++p) {
      auto gradient = point[p].tensor.grad();
      if (!gradient.defined()) gradient = at::zeros_like(point[p].tensor);  // the loss does not depend on it
      gradient.add_(point[p].tensor, options.weight_decay);
      for (std::size_t k = 1; k <= curve.bends(); ++k) {
        curve.points[k][p].tensor.mutable_grad().copy_(gradient).mul_(c[k]);
      }
    }
    optimizer->step(rate);
  }

  void save() const {
    json state = loop->state();
    state["history"] = json_of(rows);
    state["settings"] = json_text(settings);
    write_checkpoint(file, bends, state, {{"optimizer", optimizer->memory()}});
  }

  void restore_bends(const std::vector<NamedTensor>& saved) {
    const at::NoGradGuard no_gradients;
    if (saved.size() != bends.size()) throw Error("{}: holds another curve", file.string());
    for (std::size_t p = 0; p < bends.size(); ++p) {
      if (saved[p].name != bends[p].name || saved[p].tensor.sizes() != bends[p].tensor.sizes()) {
        throw Error("{}: {} does not fit {}", file.string(), saved[p].name, bends[p].name);
      }
      bends[p].tensor.copy_(saved[p].tensor);
    }
  }
};

CurveRun::CurveRun(const CurveOptions& options, const Curve& start,
                   const std::function<std::unique_ptr<Trainee>()>& make_trainee, std::filesystem::path state,
                   json settings)
    : impl_(std::make_unique<Impl>(options, start, make_trainee, std::move(state), std::move(settings))) {}

CurveRun::~CurveRun() = default;

bool CurveRun::resume() {
  const Checkpoint saved = read_checkpoint(impl_->file);
  const json& state = saved.metadata;
  const json settings = parse_json(state.value("settings", ""));
  if (!settings.is_object()) throw Error("{}: not the state of a curve's training", impl_->file.string());
  if (const std::string what = first_difference(impl_->settings, settings); !what.empty()) {
    throw Error("{}: this curve has other settings: {}; resume it with its own, or choose another `out`",
                impl_->file.string(), what);
  }
  impl_->restore_bends(saved.tensors);
  const auto memory = saved.groups.find("optimizer");
  impl_->loop->restore(state);
  impl_->optimizer->restore(memory == saved.groups.end() ? std::vector<NamedTensor>{} : memory->second,
                            impl_->loop->steps_taken());
  impl_->rows = rows_of(state.at("history"));
  return !lacks_data_digest(impl_->settings, settings);
}

bool CurveRun::run(const TrainingHooks& hooks) {
  while (impl_->loop->epoch() < impl_->options.epochs) {
    if (!impl_->loop->train_epoch(hooks)) {
      impl_->save();
      return false;
    }
    impl_->rows.push_back(impl_->loop->finish_epoch());
    impl_->save();
    if (hooks.on_epoch) hooks.on_epoch(impl_->rows.back());
  }
  return true;
}

Curve CurveRun::curve() const {
  Curve copy{impl_->curve.shape, {}};
  for (const auto& point : impl_->curve.points) {
    auto& own = copy.points.emplace_back();
    for (const auto& [name, tensor] : point) {
      own.push_back({name, tensor.detach().to(at::kCPU, at::kFloat, false, true).contiguous()});
    }
  }
  return copy;
}

const std::vector<HistoryRow>& CurveRun::history() const { return impl_->rows; }

}  // namespace lossatlas
