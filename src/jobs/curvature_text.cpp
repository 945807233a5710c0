#include "jobs/curvature_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "curvature/curvature_summary.h"
#include "curvature/sharpness_table.h"

namespace lossatlas {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

std::string number(double value) { return std::isfinite(value) ? fmt::format("{:.4g}", value) : "?"; }

std::string setting(const CurvatureRecord& record, const char* key) {
  const auto found = record.settings.find(key);
  return found != record.settings.end() && found->is_string() ? found->get<std::string>() : "";
}

std::string sample_word(const CurvatureRecord& record) {
  return record.settings.contains("problem") ? "samples" : "images";
}

std::string matrix_name(const CurvatureRecord& record) {
  return setting(record, "operator") == "gauss-newton" ? "Gauss-Newton matrix" : "Hessian";
}

std::string title(const CurvatureRecord& record) {
  const bool is_part = record.samples.size() < static_cast<std::size_t>(record.population);
  return fmt::format("{} of the mean loss over {} {} {} {}, by {} parameters", matrix_name(record),
                     is_part ? fmt::format("{} of", record.samples.size()) : "all", record.population,
                     setting(record, "split"), sample_word(record), record.size());
}

void add_eigenvalues(const CurvatureRecord& record, std::vector<std::string>& lines) {
  if (record.pairs.size() == 0) return;
  lines.push_back(fmt::format("{:<14}{:>14}  ± over {:<8}  residual", "eigenvalues", "", sample_word(record)));
  for (std::size_t k = 0; k < record.pairs.size(); ++k) {
    const bool is_large = k < record.largest;
    const std::size_t rank = is_large ? k + 1 : record.pairs.size() - k;
    const std::string name =
        rank == 1 ? (is_large ? "largest" : "smallest") : fmt::format("{} {}", rank, is_large ? "largest" : "smallest");
    lines.push_back(fmt::format("  {:<12}{:>14.7g}  ± {:<13}  {:.2g}", name, record.pairs.values[k],
                                number(record.error_over_samples(record.pair_forms[k])), record.pairs.residuals[k]));
  }
  if (!record.has_converged) lines.emplace_back("  not all have converged: see the residuals");
}

void add_trace(const CurvatureRecord& record, std::vector<std::string>& lines) {
  if (record.trace.probes.empty()) return;
  const Estimate trace = record.trace.value();
  double top = 0;
  for (std::size_t k = 0; k < record.largest && record.has_pairs; ++k) top += record.pairs.values[k];
  const bool is_share = record.largest > 0 && top >= 0 && top <= trace.value;  // not beside large negative ones
  const std::string share =
      is_share ? fmt::format("; the largest eigenvalues hold {:.0f} %", 100 * top / trace.value) : std::string();
  lines.push_back(fmt::format("trace {:.6g} ± {} over {} probes, ± {} over {}{}", trace.value,
                              number(trace.standard_error), record.trace.probes.size(),
                              number(record.error_over_samples(record.trace_of_batches())), sample_word(record),
                              share));
}

void add_scale_trace(const CurvatureRecord& record, std::vector<std::string>& lines) {
  const ScaleTrace& scale = record.scale_trace;
  if (scale.probes.empty()) return;
  const Estimate trace = scale.value();
  lines.push_back(fmt::format("trace {} at scale h = {:.3g}, ± {} over {} probes, ± {} over {}, by forward passes",
                              std::isfinite(trace.value) ? fmt::format("{:.6g}", trace.value) : "?", scale.step,
                              number(trace.standard_error), scale.probes.size(), number(scale.error_over_samples),
                              sample_word(record)));
}

void add_counts(const CurvatureRecord& record, std::vector<std::string>& lines) {
  if (record.density.probes() == 0) return;
  const Estimate above = count_above(record.density, record.size(), record.threshold);
  const Estimate below = count_below(record.density, record.size(), -record.threshold);
  lines.push_back(fmt::format("{} ± {} eigenvalues above {:g}, {} ± {} below {:g} ({} probes of {} steps)",
                              number(above.value), number(above.standard_error), record.threshold, number(below.value),
                              number(below.standard_error), -record.threshold, record.density.probes(),
                              record.density.steps));
}

void add_modules(const CurvatureRecord& record, bool all, std::vector<std::string>& lines) {
  if (record.trace.probes.empty() || record.trace.diagonal.empty()) return;
  struct Row {
    const ModuleParts* module;
    Estimate trace;
  };
  const auto modules = modules_of(record);
  std::vector<Row> rows;
  for (const ModuleParts& module : modules) rows.push_back({&module, record.trace.value_of(module.parameters)});
  std::stable_sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) { return a.trace.value > b.trace.value; });
  constexpr std::size_t kMost = 10;
  const std::size_t shown = all ? rows.size() : std::min(kMost, rows.size());
  lines.push_back(fmt::format("trace by module{}",
                              shown < rows.size() ? fmt::format(", the {} largest of {}", shown, rows.size()) : ""));
  std::size_t width = 0;
  for (std::size_t k = 0; k < shown; ++k) width = std::max(width, rows[k].module->name.size());
  for (std::size_t k = 0; k < shown; ++k) {
    const auto& [module, trace] = rows[k];
    lines.push_back(fmt::format("  {:<{}}  {:>10.4g} ± {:<8}  {:.3g} a parameter", module->name, width, trace.value,
                                number(trace.standard_error), trace.value / static_cast<double>(module->count)));
  }
}

}  // namespace

std::vector<std::string> curvature_lines(const CurvatureRecord& record, bool all_modules) {
  const std::string accuracy = std::isnan(record.accuracy) ? "" : fmt::format(", accuracy {:.2f} %", record.accuracy);
  std::vector<std::string> lines{title(record)};
  lines.push_back(fmt::format("loss {:.6g} ± {}{}, gradient norm {:.4g}", record.loss, number(record.loss_error),
                              accuracy, record.gradient_norm));
  add_eigenvalues(record, lines);
  add_trace(record, lines);
  add_scale_trace(record, lines);
  add_counts(record, lines);
  add_modules(record, all_modules, lines);
  return lines;
}

ordered_json describe_curvature(const std::filesystem::path& file, bool as_json) {
  const CurvatureRecord record = read_curvature(file);
  ordered_json description{{"kind", "curvature"}, {"file", file.string()}, {"finished", record.is_finished}};
  if (as_json) {
    description["summary"] = curvature_summary(record);
    auto modules = ordered_json::array();
    for (const ModuleParts& module : modules_of(record)) {
      if (record.trace.probes.empty()) break;
      const Estimate trace = record.trace.value_of(module.parameters);
      modules.push_back({{"name", module.name},
                         {"parameters", module.count},
                         {"trace", trace.value},
                         {"se_probes", std::isfinite(trace.standard_error) ? ordered_json(trace.standard_error)
                                                                           : ordered_json(nullptr)}});
    }
    description["modules"] = modules;
  } else {
    description["summary"] = curvature_lines(record, true);
  }
  description["settings"] = record.settings;
  description["provenance"] = record.provenance;
  return description;
}

ordered_json describe_sharpness(const std::filesystem::path& file, bool as_json) {
  const SharpnessTable table = read_sharpness(file);
  ordered_json description{{"kind", "sharpness"}, {"file", file.string()}, {"finished", table.is_finished()}};
  if (as_json) {
    auto rows = ordered_json::array();
    for (const std::size_t row : table.rows()) {
      ordered_json entry{{"checkpoint", table.checkpoints[row]}};
      for (std::size_t c = 0; c < table.columns.size(); ++c) {
        const double value = table.columns[c][row];
        entry[std::string(sharpness_columns()[c].name)] = std::isfinite(value) ? ordered_json(value) : nullptr;
      }
      rows.push_back(entry);
    }
    description["rows"] = rows;
  } else {
    description["summary"] = sharpness_lines(table);
  }
  description["settings"] = table.settings;
  description["provenance"] = table.provenance;
  return description;
}

}  // namespace lossatlas
