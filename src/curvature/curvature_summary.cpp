#include "curvature/curvature_summary.h"

#include <cmath>

namespace lossatlas {
namespace {

using nlohmann::ordered_json;

ordered_json number(double value) { return std::isfinite(value) ? ordered_json(value) : ordered_json(nullptr); }

ordered_json eigenvalues(const CurvatureRecord& record, std::size_t first, std::size_t end) {
  auto list = ordered_json::array();
  for (std::size_t k = first; k < end; ++k) {
    list.push_back({{"value", record.pairs.values[k]},
                    {"se_samples", number(record.error_over_samples(record.pair_forms[k]))},
                    {"residual", record.pairs.residuals[k]}});
  }
  return list;
}

ordered_json count(const Estimate& estimate) {
  return {{"count", number(estimate.value)}, {"se_probes", number(estimate.standard_error)}};
}

}  // namespace

ordered_json curvature_summary(const CurvatureRecord& record) {
  ordered_json summary{{"loss", number(record.loss)},         {"loss_se", number(record.loss_error)},
                       {"accuracy", number(record.accuracy)}, {"gradient_norm", number(record.gradient_norm)},
                       {"parameters", record.size()},         {"samples", record.samples.size()},
                       {"population", record.population},     {"products", record.products}};
  if (record.has_pairs) {
    summary["largest"] = eigenvalues(record, 0, record.largest);
    summary["smallest"] = eigenvalues(record, record.largest, record.pairs.size());
    summary["converged"] = record.has_converged;
  }
  if (!record.trace.probes.empty()) {
    const Estimate trace = record.trace.value();
    summary["trace"] = {{"value", trace.value},
                        {"se_probes", number(trace.standard_error)},
                        {"se_samples", number(record.error_over_samples(record.trace_of_batches()))},
                        {"probes", record.trace.probes.size()}};
  }
  if (!record.scale_trace.probes.empty()) {
    const Estimate trace = record.scale_trace.value();
    summary["scale_trace"] = {{"value", number(trace.value)},
                              {"se_probes", number(trace.standard_error)},
                              {"se_samples", number(record.scale_trace.error_over_samples)},
                              {"probes", record.scale_trace.probes.size()},
                              {"step", record.scale_trace.step}};
  }
  if (record.density.probes() > 0) {
    summary["threshold"] = record.threshold;
    summary["above"] = count(count_above(record.density, record.size(), record.threshold));
    summary["below"] = count(count_below(record.density, record.size(), -record.threshold));
  }
  return summary;
}

}  // namespace lossatlas
