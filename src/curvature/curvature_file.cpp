#include "curvature/curvature_file.h"

#include <array>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/json.h"
#include "curvature/curvature_summary.h"
#include "storage/format.h"
#include "storage/hdf5.h"

namespace lossatlas {
namespace {

constexpr auto kRoot = "/lossatlas";
constexpr auto kKind = "curvature";

std::string place(const char* name) { return fmt::format("{}/{}", kRoot, name); }

/// Rows of one length as one array.
template <class T>
std::vector<T> flat(const std::vector<std::vector<T>>& rows) {
  std::vector<T> all;
  for (const auto& row : rows) all.insert(all.end(), row.begin(), row.end());
  return all;
}

void write(Hdf5Writer& writer, const char* name, const std::vector<double>& numbers) {
  writer.write<double>(place(name), numbers, {numbers.size()});
}

template <class T>
void write_rows(Hdf5Writer& writer, const char* name, const std::vector<std::vector<T>>& rows, std::size_t width) {
  writer.write<T>(place(name), flat(rows), {rows.size(), width});
}

template <class T>
std::vector<std::vector<T>> read_rows(const Hdf5Reader& reader, const char* name) {
  const auto all = reader.read<T>(place(name));
  const Shape shape = reader.shape(place(name));
  if (shape.size() != 2) throw Error("{}: {} has no rows", reader.file().string(), place(name));
  std::vector<std::vector<T>> rows;
  for (std::size_t k = 0; k < shape[0]; ++k) {
    const auto begin = all.begin() + static_cast<std::ptrdiff_t>(k * shape[1]);
    rows.emplace_back(begin, begin + static_cast<std::ptrdiff_t>(shape[1]));
  }
  return rows;
}

std::vector<double> read(const Hdf5Reader& reader, const char* name) { return reader.read<double>(place(name)); }

void write_number(Hdf5Writer& writer, const char* name, double number) {
  writer.attribute<double>(kRoot, name, std::array{number});
}

void write_count(Hdf5Writer& writer, const char* name, std::size_t count) {
  writer.attribute<std::int64_t>(kRoot, name, std::array{static_cast<std::int64_t>(count)});
}

std::size_t read_count(const Hdf5Reader& reader, const char* name) {
  return static_cast<std::size_t>(reader.integer_attribute(kRoot, name));
}

void write_parameters(Hdf5Writer& writer, const CurvatureRecord& record) {
  std::vector<std::int64_t> first, count;
  for (const Part& part : record.places) {
    first.push_back(static_cast<std::int64_t>(part.first));
    count.push_back(static_cast<std::int64_t>(part.count));
  }
  writer.write_texts(place("parameters/name"), record.parameters);
  writer.write<std::int64_t>(place("parameters/first"), first, {first.size()});
  writer.write<std::int64_t>(place("parameters/count"), count, {count.size()});
}

void read_parameters(const Hdf5Reader& reader, CurvatureRecord& record) {
  record.parameters = reader.read_texts(place("parameters/name"));
  const auto first = reader.read<std::int64_t>(place("parameters/first"));
  const auto count = reader.read<std::int64_t>(place("parameters/count"));
  if (first.size() != record.parameters.size() || count.size() != first.size()) {
    throw Error("{}: {} is damaged", reader.file().string(), place("parameters"));
  }
  for (std::size_t i = 0; i < first.size(); ++i) {
    record.places.push_back({static_cast<std::size_t>(first[i]), static_cast<std::size_t>(count[i])});
  }
}

void write_pairs(Hdf5Writer& writer, const CurvatureRecord& record) {
  const Eigenpairs& pairs = record.pairs;
  write(writer, "eigenvalues", pairs.values);
  write(writer, "eigenvalue_residuals", pairs.residuals);
  std::vector<double> errors;
  for (const auto& forms : record.pair_forms) errors.push_back(record.error_over_samples(forms));
  write(writer, "eigenvalue_se", errors);
  write_rows(writer, "eigenvalue_batches", record.pair_forms, record.batch_weights.size());
  write_rows(writer, "eigenvectors", pairs.vectors, record.size());
}

void write_trace(Hdf5Writer& writer, const CurvatureRecord& record) {
  const Trace& trace = record.trace;
  writer.attribute<double>(kRoot, "trace_exact", std::array{trace.exact});
  write(writer, "trace/exact_of_parameters", trace.exact_of_parts);
  write(writer, "trace/probes", trace.probes);
  write_rows(writer, "trace/probes_of_parameters", trace.probes_of_parts, trace.parts.size());
  write_rows(writer, "trace/batches", record.trace_forms, record.batch_weights.size());
  if (!trace.diagonal.empty()) write(writer, "diagonal", trace.diagonal);
  std::vector<std::string> names;
  std::vector<double> values, errors;
  for (const ModuleParts& module : modules_of(record)) {
    const Estimate estimate = trace.value_of(module.parameters);
    names.push_back(module.name);
    values.push_back(estimate.value);
    errors.push_back(estimate.standard_error);
  }
  writer.write_texts(place("modules/name"), names);
  write(writer, "modules/trace", values);
  write(writer, "modules/trace_se", errors);
}

void read_trace(const Hdf5Reader& reader, CurvatureRecord& record) {
  Trace& trace = record.trace;
  trace.parts = record.places;
  trace.exact = reader.number_attribute(kRoot, "trace_exact");
  trace.exact_of_parts = read(reader, "trace/exact_of_parameters");
  trace.probes = read(reader, "trace/probes");
  trace.probes_of_parts = read_rows<double>(reader, "trace/probes_of_parameters");
  record.trace_forms = read_rows<double>(reader, "trace/batches");
  if (reader.has(place("diagonal"))) trace.diagonal = read(reader, "diagonal");
}

void write_density(Hdf5Writer& writer, const Density& density) {
  const Shape shape{density.probes(), density.steps};
  writer.write<double>(place("density/nodes"), density.nodes, shape);
  writer.write<double>(place("density/weights"), density.weights, shape);
}

}  // namespace

std::size_t CurvatureRecord::size() const { return places.empty() ? 0 : places.back().first + places.back().count; }

double error_over_batches(const std::vector<double>& of_batches, const std::vector<double>& weights, double used,
                          double population) {
  if (used >= population) return 0;
  const auto n = static_cast<double>(of_batches.size());
  if (of_batches.size() < 2) return std::numeric_limits<double>::quiet_NaN();
  // Of the ratio Σ w x / Σ w, by linearization (Cochran 1977, "Sampling Techniques", section 6.3).
  double all = 0, total = 0, squares = 0;
  for (std::size_t b = 0; b < of_batches.size(); ++b) {
    all += weights[b];
    total += weights[b] * of_batches[b];
  }
  for (std::size_t b = 0; b < of_batches.size(); ++b) {
    const double beyond = weights[b] * (of_batches[b] - total / all);
    squares += beyond * beyond;
  }
  return std::sqrt(squares * n / (n - 1) * (1 - used / population)) / all;
}

double CurvatureRecord::error_over_samples(const std::vector<double>& of_batches) const {
  return error_over_batches(of_batches, batch_weights, static_cast<double>(samples.size()),
                            static_cast<double>(population));
}

std::vector<double> CurvatureRecord::trace_of_batches() const {
  std::vector<double> sums(batch_weights.size());
  for (const auto& forms : pair_forms) {
    for (std::size_t b = 0; b < sums.size(); ++b) sums[b] += forms[b];
  }
  for (const auto& forms : trace_forms) {
    for (std::size_t b = 0; b < sums.size(); ++b) sums[b] += forms[b] / static_cast<double>(trace_forms.size());
  }
  return sums;
}

std::vector<ModuleParts> modules_of(const CurvatureRecord& record) {
  std::vector<ModuleParts> modules;
  for (std::size_t i = 0; i < record.parameters.size(); ++i) {
    const std::string& name = record.parameters[i];
    const std::size_t point = name.rfind('.');
    const std::string module = point == name.npos ? "" : name.substr(0, point);
    if (modules.empty() || modules.back().name != module) modules.push_back({module, {}, 0});
    modules.back().parameters.push_back(i);
    modules.back().count += record.places[i].count;
  }
  return modules;
}

void write_curvature(const std::filesystem::path& file, const CurvatureRecord& record) {
  Hdf5Writer writer;
  write_parameters(writer, record);
  writer.write<std::int64_t>(place("samples"), record.samples, {record.samples.size()});
  write(writer, "batch_weights", record.batch_weights);
  if (record.has_pairs) write_pairs(writer, record);
  if (!record.trace.parts.empty()) write_trace(writer, record);
  if (record.density.steps > 0) write_density(writer, record.density);
  if (!record.scale_trace.probes.empty()) {
    write(writer, "scale_trace/probes", record.scale_trace.probes);
    write_number(writer, "scale_step", record.scale_trace.step);
    write_number(writer, "scale_trace_se", record.scale_trace.error_over_samples);
  }
  writer.attribute<std::int64_t>(kRoot, "format", std::array{kFileFormat});
  writer.attribute(kRoot, "kind", kKind);
  write_number(writer, "loss", record.loss);
  write_number(writer, "loss_se", record.loss_error);
  write_number(writer, "accuracy", record.accuracy);
  write_number(writer, "gradient_norm", record.gradient_norm);
  write_number(writer, "threshold", record.threshold);
  write_count(writer, "population", static_cast<std::size_t>(record.population));
  write_count(writer, "largest", record.largest);
  write_count(writer, "converged", record.has_converged ? 1 : 0);
  write_count(writer, "products", record.products);
  write_count(writer, "finished", record.is_finished ? 1 : 0);
  if (record.is_finished) writer.attribute(kRoot, "summary", json_text(curvature_summary(record)));
  writer.attribute(kRoot, "settings", json_text(record.settings));
  writer.attribute(kRoot, "provenance", json_text(record.provenance));
  writer.save(file);
}

bool is_curvature(const std::filesystem::path& file) {
  if (!Hdf5Reader::is_hdf5(file)) return false;
  const Hdf5Reader reader(file);
  return reader.has(kRoot) && reader.has_attribute(kRoot, "kind") && reader.text_attribute(kRoot, "kind") == kKind;
}

CurvatureRecord read_curvature(const std::filesystem::path& file) {
  if (!is_curvature(file)) throw Error("{}: not written by `lossatlas curvature`", file.string());
  const Hdf5Reader reader(file);
  check_format(reader);
  CurvatureRecord record;
  read_parameters(reader, record);
  record.samples = reader.read<std::int64_t>(place("samples"));
  record.batch_weights = read(reader, "batch_weights");
  record.has_pairs = reader.has(place("eigenvalues"));
  if (record.has_pairs) {
    record.pairs = {read(reader, "eigenvalues"), read(reader, "eigenvalue_residuals"),
                    read_rows<float>(reader, "eigenvectors")};
    record.pair_forms = read_rows<double>(reader, "eigenvalue_batches");
  }
  if (reader.has(place("trace"))) read_trace(reader, record);
  if (reader.has(place("density"))) {
    record.density = {reader.shape(place("density/nodes")).back(), read(reader, "density/nodes"),
                      read(reader, "density/weights")};
  }
  if (reader.has(place("scale_trace"))) {
    record.scale_trace = {reader.number_attribute(kRoot, "scale_step"), read(reader, "scale_trace/probes"),
                          reader.number_attribute(kRoot, "scale_trace_se")};
  }
  record.loss = reader.number_attribute(kRoot, "loss");
  record.loss_error = reader.number_attribute(kRoot, "loss_se");
  record.accuracy = reader.number_attribute(kRoot, "accuracy");
  record.gradient_norm = reader.number_attribute(kRoot, "gradient_norm");
  record.threshold = reader.number_attribute(kRoot, "threshold");
  record.population = reader.integer_attribute(kRoot, "population");
  record.largest = read_count(reader, "largest");
  record.has_converged = read_count(reader, "converged") == 1;
  record.products = read_count(reader, "products");
  record.is_finished = read_count(reader, "finished") == 1;
  record.settings = parse_json(reader.text_attribute(kRoot, "settings"));
  record.provenance = parse_json(reader.text_attribute(kRoot, "provenance"));
  return record;
}

}  // namespace lossatlas
