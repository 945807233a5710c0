#include "jobs/description.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "checkpoint/checkpoint.h"
#include "curvature/sharpness_table.h"
#include "evaluation/classifier.h"
#include "evaluation/graph_problem.h"
#include "jobs/curvature_text.h"
#include "jobs/metadata.h"
#include "jobs/run_files.h"
#include "jobs/summary_text.h"
#include "models/exported.h"
#include "models/registry.h"
#include "models/script.h"
#include "models/script_graph.h"
#include "models/script_network.h"
#include "programs/exported_program.h"
#include "programs/problem_file.h"
#include "storage/grid.h"
#include "storage/hdf5.h"
#include "surface/comparison.h"
#include "surface/shard.h"
#include "surface/summary.h"
#include "surface/surface_file.h"
#include "training/history.h"

namespace lossatlas {
namespace {

using nlohmann::ordered_json;

bool is_known(const std::string& name) {
  const auto& all = architectures();
  return std::any_of(all.begin(), all.end(), [&](const ArchitectureInfo& info) { return info.name == name; });
}

/// The network that a checkpoint names; of architecture "" if it names none that we know.
NetworkSpec spec_of(const Checkpoint& checkpoint, const std::filesystem::path& file) {
  NetworkSpec spec;
  const auto name = metadata_value<std::string>(checkpoint.metadata, "arch", "");
  if (is_known(name)) spec.architecture = name;
  spec.classes = metadata_value(checkpoint.metadata, "classes", spec.classes);
  spec.width = metadata_value(checkpoint.metadata, "width", spec.width);
  if (spec.architecture.empty() && checkpoint.format == kScriptFormat) {
    spec.architecture = kScriptArchitecture;
    spec.script = file;
    spec.script_bytes = checkpoint.script;
  }
  if (spec.architecture.empty() && checkpoint.exported) {
    spec.architecture = kExportedArchitecture;
    spec.script = file;
    spec.exported = checkpoint.exported;
    spec.classes = 1;  // or more
    for (std::size_t axis = 0; axis < spec.input.size(); ++axis)
      spec.input[axis] = spec.exported->sizes[axis + 1].example;
  }
  const auto input = checkpoint.metadata.find("input");
  const auto is_count = [](const nlohmann::json& value) { return value.is_number_integer(); };
  if (input != checkpoint.metadata.end() && input->is_array() && input->size() == spec.input.size() &&
      std::all_of(input->begin(), input->end(), is_count)) {
    input->get_to(spec.input);
  }
  return spec;
}

/// What `surface` would run the network on, in words; "" without one.
std::string engine_for(const NetworkSpec& spec) {
  if (spec.architecture.empty()) return "";
  const std::string random = !spec.script_bytes ? "" : training_mode_of(ScriptNetwork(*spec.script_bytes)).random;
  if (!random.empty()) return fmt::format("none: the network draws random numbers ({})", random);
  try {
    const std::string reason = why_not_fused(spec);
    if (!reason.empty()) return fmt::format("eager: the network has {}", reason);
    return fmt::format("fused ({})", name_of(best_instruction_set()));
  } catch (const Error& error) {
    if (spec.script.empty()) throw;
    return fmt::format("unknown: {}", error.what());  // of other images, perhaps
  }
}

ordered_json tensor_entry(const std::string& name, at::IntArrayRef shape, at::ScalarType type) {
  return {{"name", name}, {"shape", shape.vec()}, {"type", c10::toString(type)}};
}

ordered_json describe_checkpoint(const std::filesystem::path& file, bool as_json, const std::string& key) {
  const Checkpoint checkpoint = read_checkpoint(file, key);
  const NetworkSpec spec = spec_of(checkpoint, file);
  ordered_json tensors = ordered_json::array();
  std::int64_t numbers = 0;
  for (const auto& [name, tensor] : checkpoint.tensors) {
    tensors.push_back(tensor_entry(name, tensor.sizes(), tensor.scalar_type()));
    numbers += tensor.numel();
  }
  ordered_json description{{"kind", "checkpoint"}, {"file", file.string()}, {"format", checkpoint.format}};
  if (!as_json) {
    const std::string optimizer = optimizer_of(file);
    if (!spec.architecture.empty() && spec.script.empty()) description["parameters"] = count_parameters(spec);
    if (!optimizer.empty()) description["optimizer"] = optimizer;
  }
  if (checkpoint.entries.size() > 1) {
    description["key"] = checkpoint.key;
    for (const auto& [name, count, of_all] : checkpoint.entries) {
      description["groups"].push_back({{"key", name}, {"tensors", count}, {"numbers", of_all}});
    }
  }
  description.update({{"metadata", checkpoint.metadata}, {"numbers", numbers}, {"tensors", tensors}});
  for (const auto& [name, of] : checkpoint.aliases) description["tied"].push_back({{"name", name}, {"tensor", of}});
  if (const std::string engine = engine_for(spec); !engine.empty()) description["engine"] = engine;
  return description;
}

/// A parameter, and what its filters and heads are.
ordered_json parameter_entry(const ProblemParameter& parameter) {
  const at::Tensor& tensor = parameter.tensor;
  ordered_json entry = tensor_entry(parameter.name, tensor.sizes(), tensor.scalar_type());
  entry["of"] = parameter.module_class;
  if (!parameter.is_trained) entry["trained"] = false;
  if (parameter.slice_axis)
    entry["filters"] = fmt::format("{} along axis {}", tensor.size(*parameter.slice_axis), *parameter.slice_axis);
  if (parameter.has_unknown_heads) entry["heads"] = "unknown";
  if (const auto& head = parameter.head)
    entry["heads"] = fmt::format("{} along axis {}", tensor.size(head->axis) / head->size, head->axis);
  return entry;
}

std::string engine_for(const Problem& problem) {
  const std::string reason = why_not_fused(problem);
  return reason.empty() ? fmt::format("fused ({})", name_of(best_instruction_set()))
                        : fmt::format("eager: the network has {}", reason);
}

/// The tensors of a problem file, and whether it gives PyTorch's losses here.
ordered_json describe_problem(const std::filesystem::path& file) {
  const auto shared = std::make_shared<const ProblemFile>(file);
  const ProblemFile& problem = *shared;
  problem.check_reference();
  ordered_json tensors = ordered_json::array(), inputs = ordered_json::array();
  std::int64_t numbers = 0, trained = 0;
  for (const ProblemParameter& parameter : problem.parameters()) {
    const at::Tensor& tensor = parameter.tensor;
    tensors.push_back(parameter_entry(parameter));
    numbers += tensor.numel();
    trained += parameter.is_trained ? tensor.numel() : 0;
  }
  for (const ProblemInput& input : problem.inputs()) {
    inputs.push_back(tensor_entry(input.name, input.shape, input.type));
  }
  ordered_json description{
      {"kind", "problem"},      {"file", file.string()},         {"model", problem.model()},
      {"loss", problem.loss()}, {"measures", problem.outputs()}, {"samples", problem.data().count}};
  if (problem.test()) description["test_samples"] = problem.test()->count;
  description["inputs"] = inputs;
  if (problem.is_fixed_batch()) description["batch_size"] = problem.batch_size();
  description.update({{"parameters", numbers}, {"trained", trained}, {"batch_norms", problem.batch_norms().size()}});
  if (problem.inputs().front().shape.size() == 3) description["engine"] = engine_for(*make_problem(shared));
  description["reference"] = fmt::format("the first {} samples have PyTorch's losses", problem.reference_samples());
  description["tensors"] = tensors;
  for (const auto& [name, of] : problem.aliases()) description["tied"].push_back({{"name", name}, {"tensor", of}});
  return description;
}

/// Finite extremes of the values; null if there is none.
ordered_json range_of(const std::vector<double>& values) {
  double low = INFINITY, high = -INFINITY;
  for (const double value : values) {
    if (!std::isfinite(value)) continue;
    low = std::min(low, value);
    high = std::max(high, value);
  }
  return low <= high ? ordered_json{low, high} : ordered_json(nullptr);
}

/// Numbers that JSON can hold: null for NaN.
ordered_json number_of(double value) { return std::isfinite(value) ? ordered_json(value) : ordered_json(nullptr); }

ordered_json describe_run(const RunPath& run, Split split) {
  const PathSummary summary = summarize(run, split);
  return {{"name", run.name},
          {"optimizer", run.optimizer},
          {"checkpoints", run.size()},
          {run.unit + "s", {run.epoch.front(), run.epoch.back()}},
          {"longest", summary.longest},
          {"median_distance", summary.median_distance},
          {"largest_distance", summary.largest_distance},
          {"median_difference", number_of(summary.median_difference)},
          {"largest_difference", number_of(summary.largest_difference)}};
}

/// Finite extremes of test values beside those of training; nothing if there are none.
void add_test_values(const Surface& surface, ordered_json& description) {
  if (!surface.has_both_splits()) return;
  description["test_loss"] = range_of(surface.values_of("test_loss"));
  if (const Field* accuracies = surface.find("test_acc")) description["test_accuracy"] = range_of(accuracies->values);
}

/// How many points are evaluated, reconstructed (of a surface in levels) and not finite; the shard.
void add_counts(const Surface& surface, ordered_json& description) {
  if (const auto shard = shard_of(surface.settings)) {
    description["shard"] = text_of(*shard);
    description["shard_points"] = points_of_shard(surface).size();
  }
  description["evaluated"] = surface.evaluated();
  if (const auto count = surface.reconstructed(); count > 0) description["reconstructed"] = count;
  description["not_finite"] = surface.not_finite();
}

/// The checkpoints that are marked; nothing if there are none.
void add_points(const Surface& surface, ordered_json& description) {
  for (const MarkedPoint& point : surface.points) {
    ordered_json entry{{"name", point.name}};
    for (std::size_t k = 0; k < point.coordinates.size(); ++k) entry[axis_name(k)] = point.coordinates[k];
    entry["distance"] = point.distance;
    for (std::size_t s = 0; s < surface.samples.size(); ++s) {
      const PathValues names = path_values(surface.samples[s].split, s > 0);
      entry[s > 0 ? "test_loss" : "loss"] = point.value(names.loss);
      entry[s > 0 ? "test_accuracy" : "accuracy"] = point.value(names.accuracy);
    }
    const PathValues names = path_values(surface.split());
    if (!std::isnan(point.value(names.plane_accuracy))) {
      entry["plane_loss"] = point.value(names.plane_loss);
      entry["plane_accuracy"] = point.value(names.plane_accuracy);
    }
    description["marked"].push_back(entry);
  }
}

/// What stands in our own files alone; numbers and hints as JSON, or in lines for people.
void add_own(const Surface& surface, bool as_json, ordered_json& description) {
  const std::string check = centre_check_text(surface);
  description["summary"] = as_json ? summary_json(surface) : ordered_json(summary_lines(surface));
  add_points(surface, description);
  for (const RunPath& run : surface.trajectory.runs) description["runs"].push_back(describe_run(run, surface.split()));
  description["centre_check"] =
      as_json ? ordered_json(surface.centre_check) : ordered_json(check.empty() ? "none" : check);
  description["settings"] = surface.settings;
  description["provenance"] = surface.provenance;
}

ordered_json describe_surface(const std::filesystem::path& file, bool as_json) {
  const Surface surface = read_surface(file);
  ordered_json description{{"kind", kind_of(surface)}, {"file", file.string()}, {"split", name_of(surface.split())}};
  for (const Axis& axis : surface.grid.axes) description["grid"].push_back(axis.points);
  for (const Axis& axis : surface.grid.axes) description[axis.name] = {axis.low, axis.high};
  description["points"] = surface.size();
  add_counts(surface, description);
  description["loss"] = range_of(surface.loss());
  description["accuracy"] = range_of(surface.accuracy());
  add_test_values(surface, description);
  description["dir_file"] = surface.direction_file;
  add_own(surface, as_json, description);
  return description;
}

/// What marks a value as not evaluated in a file of tomgoldstein/loss-landscape becomes NaN.
void unmark(std::vector<double>& values) {
  const auto evaluated = evaluated_of(values);
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!evaluated[i]) values[i] = NAN;
  }
}

/// A surface along one direction, ours or as tomgoldstein/loss-landscape writes it: every [nx] dataset at the root and
/// its range.
ordered_json describe_line(const Hdf5Reader& reader, bool as_json) {
  const auto x = reader.read<double>("/xcoordinates");
  const bool is_ours = reader.has("/lossatlas");
  ordered_json values = ordered_json::object();
  for (const std::string& name : reader.members("/")) {
    if (name == "xcoordinates" || name == "x" || !reader.is_dataset("/" + name) ||
        reader.shape("/" + name) != Shape{x.size()})
      continue;
    auto list = reader.read<double>("/" + name);
    if (!is_ours) unmark(list);
    values[name] = range_of(list);
  }
  ordered_json description{
      {"kind", "line"}, {"file", reader.file().string()}, {"points", x.size()}, {"x", range_of(x)}, {"values", values}};
  if (!reader.has_attribute("/lossatlas", "kind")) return description;
  const Surface line = read_surface(reader.file());
  description["kind"] = kind_of(line);
  description["points"] = line.size();
  if (!line.is_curve()) description["lines"] = line.members();
  add_counts(line, description);
  description["dir_file"] = line.direction_file;
  add_own(line, as_json, description);
  return description;
}

ordered_json describe_history(const std::filesystem::path& file) {
  const History history = read_history(file);
  ordered_json epochs = ordered_json::array();
  for (const HistoryRow& row : history.rows) {
    epochs.push_back({{history.unit, row.epoch},
                      {"learning_rate", row.learning_rate},
                      {"train_loss", row.train_loss},
                      {"train_acc", row.train_acc},
                      {"test_loss", row.test_loss},
                      {"test_acc", row.test_acc},
                      {"seconds", row.seconds}});
  }
  return {{"kind", "history"}, {"file", file.string()}, {"settings", history.settings}, {history.unit + "s", epochs}};
}

ordered_json describe_directions(const Hdf5Reader& reader) {
  ordered_json groups = ordered_json::object();
  for (std::size_t k = 0; reader.has("/" + axis_name(k) + "direction"); ++k) {
    groups[axis_name(k) + "direction"] = reader.members("/" + axis_name(k) + "direction").size();
  }
  ordered_json description{{"kind", "directions"}, {"file", reader.file().string()}, {"tensors", groups}};
  for (const char* name : {"explained_variance_ratio_", "explained_variance_", "singular_values_"}) {
    if (reader.has(std::string("/") + name)) description[name] = reader.read<double>(std::string("/") + name);
  }
  return description;
}

/// A path as tomgoldstein/loss-landscape projects it.
ordered_json describe_projection(const Hdf5Reader& reader) {
  const auto x = reader.read<double>("/proj_xcoord"), y = reader.read<double>("/proj_ycoord");
  return {{"kind", "projection"},
          {"file", reader.file().string()},
          {"checkpoints", x.size()},
          {"x", range_of(x)},
          {"y", range_of(y)}};
}

/// What optimizers did on a function: how each descent ended.
ordered_json describe_descents(const Hdf5Reader& reader) {
  const auto settings = parse_json(reader.text_attribute("/lossatlas", "settings"));
  if (!settings.is_object()) throw Error("{}: /lossatlas@settings is not a JSON object", reader.file().string());
  ordered_json descents = ordered_json::array();
  for (std::size_t i = 0;; ++i) {
    const std::string group = fmt::format("/lossatlas/descents/{}", i);
    if (!reader.has(group)) break;
    const auto position = reader.read<double>(group + "/position"), value = reader.read<double>(group + "/value");
    const auto shape = reader.shape(group + "/position");
    if (value.empty() || shape.size() != 2) throw Error("{}: {} holds no steps", reader.file().string(), group);
    descents.push_back(
        {{"label", reader.text_attribute(group, "label")},
         {"optimizer", reader.text_attribute(group, "optimizer")},
         {"end", reader.text_attribute(group, "end")},
         {"steps", value.size() - 1},
         {"position", std::vector<double>(position.end() - static_cast<std::ptrdiff_t>(shape[1]), position.end())},
         {"value", value.back()}});
  }
  return {{"kind", "descent"},
          {"file", reader.file().string()},
          {"expression", settings.value("expression", "")},
          {"descents", descents},
          {"settings", settings},
          {"provenance", parse_json(reader.text_attribute("/lossatlas", "provenance"))}};
}

}  // namespace

ordered_json describe_architectures() {
  ordered_json list = ordered_json::array();
  for (const ArchitectureInfo& info : architectures()) {
    const auto& spec = info.defaults;
    list.push_back({{"name", info.name},
                    {"parameters", count_parameters(spec)},
                    {"classes", spec.classes},
                    {"input", spec.input},
                    {"summary", info.summary}});
  }
  return list;
}

ordered_json describe(const std::filesystem::path& file, bool as_json, const std::string& key) {
  const bool is_problem = ProblemFile::is_problem(file), is_hdf5 = !is_problem && Hdf5Reader::is_hdf5(file);
  if (!key.empty() && (is_problem || is_hdf5)) throw UsageError("`key` {}: {} is not a checkpoint", key, file.string());
  if (is_problem) return describe_problem(file);
  if (!is_hdf5) return describe_checkpoint(file, as_json, key);
  if (is_curvature(file)) return describe_curvature(file, as_json);
  if (is_sharpness(file)) return describe_sharpness(file, as_json);
  const Hdf5Reader reader(file);
  if (reader.has("/epoch")) return describe_history(file);
  if (reader.has("/lossatlas/derivative") || reader.has("/lossatlas/gradient_x")) return describe_descents(reader);
  if (reader.has("/xdirection")) return describe_directions(reader);
  if (reader.has("/proj_xcoord") && reader.has("/proj_ycoord")) return describe_projection(reader);
  if (reader.has("/xcoordinates") && !reader.has("/ycoordinates")) return describe_line(reader, as_json);
  return describe_surface(file, as_json);
}

ordered_json describe_difference(const std::filesystem::path& first, const std::filesystem::path& second) {
  ordered_json description{{"kind", "comparison"}, {"first", first.string()}, {"second", second.string()}};
  description.update(json_of(compare(read_surface(first), read_surface(second))));
  return description;
}

}  // namespace lossatlas
