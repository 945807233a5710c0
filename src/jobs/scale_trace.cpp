#include "jobs/scale_trace.h"

#include <algorithm>
#include <array>
#include <memory>
#include <numeric>
#include <string>
#include <utility>

#include "evaluation/measurement.h"
#include "evaluation/probed_point.h"
#include "landscape/axis_sweep.h"

namespace lossatlas {
namespace {

/// Items: 0 is the point, 1 + 2k and 2 + 2k are it plus and minus h times probe k.
struct ProbeEvaluator {
  ItemResult evaluate(std::size_t item, double step, std::uint64_t seed) {
    const double c = item == 0 ? 0 : item % 2 == 1 ? step : -step;
    const NetworkState there = state_on(point.at(seed, item == 0 ? 0 : (item - 1) / 2, c), engine.device());
    ItemResult result;
    result.values = evaluator->evaluate(there, std::array{engine.images()}, &result.images);
    return result;
  }

  ProbedPoint point;
  const Engine& engine;
  std::unique_ptr<Evaluator> evaluator;
};

double step_of(const NetworkState& point, const std::vector<std::size_t>& places, const ScaleTraceOptions& options) {
  return options.step > 0 ? options.step : ProbedPoint(point, places).step(kShareOfParameters);
}

}  // namespace

Work scale_trace_work(const NetworkState& point, const std::vector<std::size_t>& places, const Engine& engine,
                      const ScaleTraceOptions& options) {
  const auto on_thread = [&point, &places, &engine, step = step_of(point, places, options),
                          seed = options.seed]() -> EvaluateItem {
    const auto own =
        std::make_shared<ProbeEvaluator>(ProbeEvaluator{ProbedPoint(point, places), engine, engine.make_evaluator()});
    return [own, step, seed](std::size_t item) { return own->evaluate(item, step, seed); };
  };
  return {
      .request = kScaleTraceRequest, .on_thread = on_thread, .threads = engine.device().is_cpu() ? options.threads : 1};
}

std::optional<ScaleTrace> scale_trace(const NetworkState& point, const std::vector<std::size_t>& places,
                                      const Engine& engine, const ScaleTraceOptions& options) {
  const double step = step_of(point, places, options);
  std::vector<std::size_t> items(2 * options.probes + 1);
  for (std::size_t i = 0; i < items.size(); ++i) items[i] = i;
  const auto results = collect(scale_trace_work(point, places, engine, options), items, options.ranks, options.hooks);
  if (!results) return std::nullopt;
  const auto losses = [&](std::size_t item) -> const std::vector<double>& { return results->at(item).images.losses; };
  ScaleTrace trace{.step = step, .probes = {}};
  std::vector<double> means(losses(0).size());  // of each sample, over the probes
  for (std::size_t k = 0; k < options.probes; ++k) {
    double sum = 0;
    for (std::size_t i = 0; i < means.size(); ++i) {
      const double second = (losses(1 + 2 * k)[i] - 2 * losses(0)[i] + losses(2 + 2 * k)[i]) / (step * step);
      sum += second;
      means[i] += second / static_cast<double>(options.probes);
    }
    trace.probes.push_back(sum / static_cast<double>(means.size()));
  }
  Sum over_samples;
  for (const double mean : means) over_samples.add(mean);
  const auto population = static_cast<double>(std::max(engine.samples().population, engine.images()));
  const double loss = std::accumulate(losses(0).begin(), losses(0).end(), 0.0) / static_cast<double>(means.size());
  const std::string warning = rounding_warning("the trace at scale h", over_samples.mean(), loss, step);
  if (!warning.empty() && options.hooks.on_note) options.hooks.on_note(warning);
  if (engine.capabilities().per_sample) trace.error_over_samples = over_samples.standard_error(population);
  return trace;
}

}  // namespace lossatlas
